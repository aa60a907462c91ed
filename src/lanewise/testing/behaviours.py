"""The behaviours of a fake provider: one small frozen dataclass each, plain data, freely combined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "NUMBERED",
    "Answer",
    "Behaviour",
    "Body",
    "Close",
    "Cycle",
    "Drip",
    "Flapping",
    "Html",
    "JsonBody",
    "Raw",
    "Redirect",
    "RejectParameters",
    "RequestQuota",
    "Reset",
    "Silence",
    "SlowHeaders",
    "Status",
    "StreamOf",
    "TokenQuota",
    "ToolCall",
    "TruncatedBody",
]

NUMBERED = "numbered"
"""A ``request_id`` that stands for ``req_1``, ``req_2``, ... by the number of the request."""


class Behaviour:
    """What all behaviours are."""


@dataclass(frozen=True)
class ToolCall:
    """A call of a function that an answer asks for. ``arguments`` is JSON text."""

    name: str
    arguments: str = "{}"
    id: str = "call_1"


@dataclass(frozen=True)
class Answer(Behaviour):
    """A good answer in whatever form was asked for: chat, responses, completions, streams of those, embeddings.

    ``text`` is "Hello from <model>" unless given. ``model`` is the one asked for unless given. ``usage`` is input and
    output tokens, ``None`` leaves it out. ``finish_reason`` is in the words of chat completions, and translated for
    responses. ``delay`` is in seconds, before anything is sent. ``request_id`` is the ``x-request-id`` header,
    ``None`` sends none. ``dimensions`` is the length of an embedding where the request names none.

    Example::

        fake_provider.script("gpt-5.5", Answer("Hello.", usage=(9, 2)))
    """

    text: str | None = None
    model: str | None = None
    usage: tuple[int, int] | None = (12, 5)
    finish_reason: str | None = "stop"
    delay: float = 0.0
    tool_calls: Sequence[ToolCall] = ()
    refusal: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    request_id: str | None = NUMBERED
    dimensions: int = 8


@dataclass(frozen=True)
class Status(Behaviour):
    """An HTTP error in OpenAI's form.

    ``error`` overrides single fields of the error object that OpenAI would send with that status (``message``,
    ``type``, ``code``, ``param``); ``body`` replaces the whole body. ``retry_after`` is the ``Retry-After`` header, in
    seconds or as it should be written.

    Example::

        Status(429, retry_after=2)
        Status(429, error={"code": "insufficient_quota"})
    """

    status: int
    error: Mapping[str, object] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | bytes | None = None
    retry_after: float | str | None = None
    request_id: str | None = NUMBERED


@dataclass(frozen=True)
class Reset(Behaviour):
    """The connection is reset (TCP RST).

    ``"accept"``: as soon as the connection is made, when it is the next thing in the script for all models; a request
    that came over a kept connection is reset unanswered. The other moments are those of answering ``then``:
    ``"before_headers"`` once the request was read, ``"after_headers"``, and ``"mid_body"`` after half of the body.
    """

    when: Literal["accept", "before_headers", "after_headers", "mid_body"] = "before_headers"
    then: Behaviour = field(default_factory=Answer)


@dataclass(frozen=True)
class Close(Behaviour):
    """The connection is closed (TCP FIN) at the moments of :class:`Reset`, or ``"after_answer"`` without notice."""

    when: Literal["accept", "before_headers", "after_headers", "mid_body", "after_answer"] = "before_headers"
    then: Behaviour = field(default_factory=Answer)


@dataclass(frozen=True)
class Silence(Behaviour):
    """The request is read and nothing is ever said.

    A ``deaf`` provider does not even notice that its peer closes: its end of the connection stays open.
    """

    deaf: bool = False


@dataclass(frozen=True)
class SlowHeaders(Behaviour):
    """Nothing is sent for ``seconds``, then what ``then`` sends."""

    seconds: float
    then: Behaviour = field(default_factory=Answer)


@dataclass(frozen=True)
class Drip(Behaviour):
    """The body of ``then`` comes ``size`` bytes at a time, ``interval`` seconds apart; its headers at once."""

    interval: float = 0.05
    size: int = 1
    then: Behaviour = field(default_factory=Answer)


@dataclass(frozen=True, kw_only=True)
class StreamOf(Behaviour):
    """A stream, and the ways in which it goes wrong. A request that asks for no stream gets the whole text at once.

    A chunk is a text, the ``delta`` object of a chat chunk, or bytes that are put on the stream as they are. All
    ``*_after`` count chunks: 0 is before the first one. Times are seconds. What is off by default:

    - ``first_token_delay`` waits between headers (and preamble) and the first chunk, ``interval`` between chunks.
    - ``comments`` sends a keep-alive comment so often while it waits or stalls.
    - ``stall_after`` falls silent for ``stall_for`` (``None``: for good).
    - ``cut_after`` drops the connection, by ``cut``.
    - ``error_event_after`` ends the stream with an error event that has ``error``; a responses stream names the event
      ``error_event``.
    - ``malformed_after`` sends one event that is not JSON, and goes on.
    - ``no_done``, ``no_finish_reason`` leave out what marks the end (``response.completed`` in a responses stream).
    - ``never_ends`` sends all, and does not end the response.
    - ``split`` sends so many bytes at a time, inside of lines and of characters.
    - ``framing="close"`` has no chunked coding: closing the connection ends the body.
    """

    chunks: Sequence[str | bytes | Mapping[str, object]] = ("Hello", " from", " the", " stream")
    model: str | None = None
    usage: tuple[int, int] | None = (12, 5)
    finish_reason: str = "stop"
    tool_calls: Sequence[ToolCall] = ()
    refusal: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    request_id: str | None = NUMBERED
    preamble: bool = True
    first_token_delay: float = 0.0
    interval: float = 0.0
    comments: float | None = None
    stall_after: int | None = None
    stall_for: float | None = None
    cut_after: int | None = None
    cut: Literal["close", "reset"] = "close"
    error_event_after: int | None = None
    error: Mapping[str, object] = field(
        default_factory=lambda: {"message": "The server had an error", "type": "server_error", "code": "server_error"}
    )
    error_event: Literal["error", "response.failed"] = "error"
    malformed_after: int | None = None
    no_done: bool = False
    no_finish_reason: bool = False
    never_ends: bool = False
    line_ending: Literal["\n", "\r\n", "\r"] = "\n"
    split: int | None = None
    framing: Literal["chunked", "close"] = "chunked"


@dataclass(frozen=True)
class Html(Behaviour):
    """A page of HTML, as a proxy or a firewall would send it."""

    text: str = "<!doctype html><html><body><h1>Just a moment...</h1></body></html>"
    status: int = 200


@dataclass(frozen=True)
class Raw(Behaviour):
    """These bytes on the socket instead of an HTTP response, then the end of the connection unless ``keep``."""

    data: bytes | str
    keep: bool = False


@dataclass(frozen=True)
class JsonBody(Behaviour):
    """Any value as a JSON body."""

    value: object
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Body(Behaviour):
    """Any bytes as a body. ``encoding`` is the ``Content-Encoding``; ``compress=False`` only claims it."""

    content: bytes | str
    content_type: str = "application/json"
    status: int = 200
    encoding: Literal["gzip", "deflate"] | None = None
    compress: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TruncatedBody(Behaviour):
    """What ``then`` sends, but its last ``missing`` bytes never come: the connection is closed instead."""

    missing: int = 20
    then: Behaviour = field(default_factory=Answer)


@dataclass(frozen=True)
class Redirect(Behaviour):
    """A redirect to ``location``."""

    location: str
    status: int = 307


@dataclass(frozen=True)
class Flapping(Behaviour):
    """``up`` for ``period`` seconds, then ``down`` as long, and so on, from the moment it was scripted."""

    period: float
    up: Behaviour = field(default_factory=Answer)
    down: Behaviour = field(default_factory=lambda: Status(503))


@dataclass(frozen=True)
class Cycle(Behaviour):
    """One behaviour a request, over and over: ``Cycle((Answer(), Answer(), Status(500)))`` fails every third."""

    behaviours: Sequence[Behaviour]


@dataclass(frozen=True)
class TokenQuota(Behaviour):
    """429 once ``tokens`` are used up within ``window`` seconds, with ``Retry-After`` and ``x-ratelimit-*`` headers.

    A request costs the ``usage`` of ``then`` where that is an answer that has one, else a quarter of its bytes. One
    object that is in several scripts is one quota.
    """

    tokens: int
    window: float = 60.0
    then: Behaviour = field(default_factory=Answer)


@dataclass(frozen=True)
class RequestQuota(Behaviour):
    """429 once ``requests`` were answered within ``window`` seconds; otherwise as :class:`TokenQuota`."""

    requests: int
    window: float = 60.0
    then: Behaviour = field(default_factory=Answer)


@dataclass(frozen=True)
class RejectParameters(Behaviour):
    """400 (Mistral: 422) while the body has one of these parameters, in a provider's words, else ``then``.

    Example::

        RejectParameters("temperature", style="gemini")
    """

    names: str | Sequence[str]
    style: Literal["openai", "gemini", "mistral", "anthropic"] = "openai"
    then: Behaviour = field(default_factory=Answer)
