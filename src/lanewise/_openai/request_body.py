"""The body that the app sent, read once a call and at its top level only.

A prompt with images has megabytes: ``messages`` and ``input`` stay bytes, and are read further only where a rule
needs more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final, NoReturn

import msgspec

from lanewise._openai.json_scan import top_level
from lanewise._openai.parameters import MEMORY
from lanewise.types import Api

__all__ = ["BadBody", "RequestBody", "binding", "bound_by", "json_text", "objects_in"]

_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT: Final = msgspec.json.Decoder(str)
_NULL: Final = b"null"
_EMPTY: Final = msgspec.Raw(b"[]")
_LARGE: Final = 65536
"""Bytes from which a search is led by the underscore: base64 has none, so images cost next to nothing."""
_UNDERSCORES_TRIED: Final = 256
_REFERENCE_NAMES: Final = ("file_id", "file_ids", "vector_store_ids", "container_id", "container")
_AUDIO_ID: Final = b'"audio_'
"""How the id of a spoken answer begins, which chat takes for the answer itself while the provider keeps it."""


class BadBody(ValueError):
    """The request's body is none that could be sent; its text never quotes the body."""


class RequestBody:
    """A JSON body, parsed once per call.

    Of a name that comes twice the last value counts, as in Python's ``json``. It has no pickle, and its repr tells
    only its size: it holds the prompt.

    Example::

        body = RequestBody.parse(b'{"model": "ticket-summary", "messages": [], "stream": true}')
        assert body.model == "ticket-summary" and body.stream
    """

    __slots__ = ("_added", "_digest", "fields", "model", "raw", "stream")

    raw: bytes
    fields: dict[str, msgspec.Raw]
    """The top level, each value as the JSON that the app sent. To read only."""
    model: str | None
    stream: bool

    def __init__(self, raw: bytes, fields: dict[str, msgspec.Raw]) -> None:
        self.raw = raw
        self.fields = fields
        self.model = json_text(fields.get("model"))
        stream = fields.get("stream")
        self.stream = stream is not None and bytes(stream) == b"true"
        self._digest: bytes | None = None
        self._added = b""

    @classmethod
    def parse(cls, raw: bytes) -> RequestBody:
        """Read a body's top level.

        Raises BadBody if it is not UTF-8, not JSON (which has no NaN), not an object, or nested too
        deeply to be read.
        """
        try:
            if not raw.isascii():
                raw.decode()
            fields = top_level(raw)
        except UnicodeDecodeError:
            problem = "the request's body is not UTF-8"
        except msgspec.ValidationError:
            problem = "the request's body is not a JSON object"
        except msgspec.DecodeError:
            problem = "the request's body is not JSON"
        except RecursionError:
            problem = "the request's body is nested too deeply"
        else:
            return cls(raw, fields)
        raise BadBody(problem)  # outside the handlers: the decoder's own error must not travel along

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the body as the app sent it, and of what was added since; made on first use."""
        if self._digest is None:
            digest = hashlib.sha256(self.raw)
            if self._added:
                digest.update(self._added)
            self._digest = digest.digest()
        return self._digest

    def with_added(self, name: str, value: msgspec.Raw) -> RequestBody:
        """The body with one more parameter, or with another value of it: what the task asks for and the app did not.

        Example::

            body = body.with_added("response_format", msgspec.Raw(b'{"type":"json_object"}'))
        """
        body = RequestBody(self.raw, {**self.fields, name: value})
        body._added = b"\0".join((self._added, name.encode(), bytes(value)))
        return body

    @property
    def asks_usage(self) -> bool:
        """Whether the app asked for the usage chunk of a chat stream."""
        options = _object(self.fields.get("stream_options"))
        return options is not None and _is(options, "include_usage", b"true")

    @property
    def asks_reasoning(self) -> bool:
        """Whether the app asked for a reasoning effort, so that a stream may start late."""
        if "reasoning_effort" in self.fields:
            return json_text(self.fields["reasoning_effort"]) not in (None, "none")
        reasoning = _object(self.fields.get("reasoning"))
        return reasoning is not None and json_text(reasoning.get("effort")) not in (None, "none")

    def has(self, name: str) -> bool:
        """Whether the app sent this parameter; ``null`` counts as not sent."""
        value = self.fields.get(name)
        return value is not None and bytes(value) != _NULL

    def __repr__(self) -> str:
        return f"<RequestBody of {len(self.raw)} bytes>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a body holds the prompt: it can't be pickled or copied")


def binding(body: RequestBody, api: Api) -> str | None:
    """Why the call is bound to one provider's memory, or ``None`` if any provider can read it.

    Example::

        body = RequestBody.parse(b'{"model": "chat", "input": "go on", "previous_response_id": "resp_1"}')
        assert binding(body, Api.RESPONSES) == "it continues an earlier response"
    """
    if api is Api.EMBEDDINGS:
        return None
    if api is Api.RESPONSES:
        for name, reason in MEMORY.items():
            if body.has(name):
                return reason
        tools = body.fields.get("tools")
        if tools is not None and _may_store(bytes(tools)) and _refers(tools):
            return "its tools use stored files"
    if _may_refer(body.raw):
        question = body.fields.get("messages" if api is Api.CHAT else "input")
        if question is not None and _refers(question):
            return "it refers to a stored file or item"
    return None


def bound_by(body: RequestBody, api: Api) -> str:
    """The parameter that binds a bound call.

    Example::

        body = RequestBody.parse(b'{"previous_response_id": "resp_1"}')
        assert bound_by(body, Api.RESPONSES) == "previous_response_id"
    """
    if api is Api.RESPONSES:
        named = next((name for name in MEMORY if body.has(name)), None)
        return named or ("tools" if _refers(body.fields.get("tools", _EMPTY)) else "input")
    return "messages"


def _may_store(tools: bytes) -> bool:
    return b"_ids" in tools or b'"container' in tools


def _may_refer(raw: bytes) -> bool:
    """Whether a reference to something stored could be in these bytes; a text that quotes one is no such place."""
    start = 0
    if len(raw) > _LARGE:
        for _ in range(_UNDERSCORES_TRIED):
            start = raw.find(b"_", start) + 1
            if not start:
                return False
            if raw[start - 6 : start + 3] == b'"file_id"' or raw[start - 6 : start + 10] == b'"item_reference"':
                return True
            if raw[start - 7 : start] == _AUDIO_ID:
                return True
    found = raw.find(b'"file_id"', start) >= 0 or raw.find(b'"item_reference"', start) >= 0
    return found or raw.find(_AUDIO_ID, start) >= 0


def objects_in(value: msgspec.Raw) -> list[dict[str, object]] | None:
    """All objects of a JSON value, at any depth; ``None`` if it is too deep to be read, or has too large a number."""
    try:
        return list(_objects(msgspec.json.decode(value)))
    except (msgspec.MsgspecError, RecursionError):
        return None


def _refers(value: msgspec.Raw) -> bool:
    found = objects_in(value)
    if found is None:
        return True  # in doubt the call stays with its provider
    return any(_is_reference(item) for item in found)


def _is_reference(item: dict[str, object]) -> bool:
    if item.get("type") == "item_reference":
        return True
    audio = item.get("audio")
    return any(_names(item.get(name)) for name in _REFERENCE_NAMES) or (
        isinstance(audio, dict) and _names(audio.get("id"))
    )


def _names(value: object) -> bool:
    """Whether this is an id, or some: a function may have a parameter that is called as one, with its schema here."""
    return isinstance(value, str | list) and bool(value)


def _objects(value: object) -> Iterator[dict[str, object]]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def json_text(value: msgspec.Raw | None) -> str | None:
    """A field's text; ``None`` where it is missing, or of another type."""
    if value is None:
        return None
    try:
        return _TEXT.decode(value)
    except msgspec.MsgspecError:
        return None


def _object(value: msgspec.Raw | None) -> dict[str, msgspec.Raw] | None:
    if value is None:
        return None
    try:
        return _FIELDS.decode(value)
    except msgspec.MsgspecError:
        return None


def _is(fields: dict[str, msgspec.Raw], name: str, json: bytes) -> bool:
    value = fields.get(name)
    return value is not None and bytes(value) == json
