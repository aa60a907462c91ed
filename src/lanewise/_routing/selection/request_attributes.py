"""What rules ask of a call: each fact is found out when one asks, from as little of the body as it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Final

import msgspec

from lanewise._openai.parameters import OUTPUT_LIMITS
from lanewise._openai.request_body import RequestBody, objects_in
from lanewise._openai.response_format import JSON_FORMATS, response_format
from lanewise._openai.token_estimate import likely, text_bytes
from lanewise.types import Api

__all__ = ["RequestAttributes", "asked_output", "likely_tokens"]

_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_NUMBER: Final = msgspec.json.Decoder(int)
_IMAGES: Final = ("image_url", "input_image")
_AUDIO: Final = ("input_audio",)


class RequestAttributes:
    """The facts of one call. ``hour`` is asked for the hour of the day in UTC.

    What the app sent malformed counts as not sent: the provider will say so.

    Example::

        facts = RequestAttributes(body, Api.CHAT, task="ticket-summary", labels={}, subject=True, hour=lambda: 14)
        assert facts.value("tokens") < 2000
    """

    def __init__(
        self,
        body: RequestBody,
        api: Api,
        *,
        task: str,
        labels: Mapping[str, str],
        subject: bool,
        hour: Callable[[], int],
    ) -> None:
        self._body = body
        self._question = "messages" if api is Api.CHAT else "input"
        self.api = api.value
        self.task = task
        self.labels = labels
        self.subject = subject
        self._hour = hour

    def __repr__(self) -> str:
        return f"<CallFacts of {self.task}>"

    def value(self, name: str) -> float | str | bool:
        """A fact by its name in ``FACTS``."""
        value = getattr(self, name)
        assert isinstance(value, float | int | str)
        return value

    @cached_property
    def tokens(self) -> int:
        """The question's tokens, estimated."""
        return likely_tokens(self._body)

    @cached_property
    def max_tokens(self) -> int:
        """The most tokens that the answer may have, 0 if the app does not say."""
        return asked_output(self._body) or 0

    @cached_property
    def tools(self) -> int:
        """How many tools are offered."""
        return sum(_length(self._body.fields.get(name)) for name in ("tools", "functions"))

    @cached_property
    def images(self) -> int:
        """How many images the question has."""
        return self._parts(_IMAGES)

    @cached_property
    def audio(self) -> int:
        """How many recordings the question has."""
        return self._parts(_AUDIO)

    @cached_property
    def json(self) -> bool:
        """Whether the answer is to be JSON."""
        fields = self._body.fields
        asked = response_format(Api.CHAT, fields.get("response_format"))
        if asked is None:
            asked = response_format(Api.RESPONSES, fields.get("text"))
        return asked is not None and asked.type in JSON_FORMATS

    @property
    def stream(self) -> bool:
        """Whether the answer is to come as a stream."""
        return self._body.stream

    @property
    def reasoning(self) -> bool:
        """Whether the call asks for a reasoning effort."""
        return self._body.asks_reasoning

    @property
    def hour(self) -> int:
        """The hour of the day in UTC."""
        return self._hour()

    def _parts(self, kinds: tuple[str, ...]) -> int:
        """How many parts of the question are of these kinds; only a body that has the word in it is read."""
        if not any(self._body.raw.find(f'"{kind}"'.encode()) >= 0 for kind in kinds):
            return 0
        question = self._body.fields.get(self._question)
        found = None if question is None else objects_in(question)
        if found is None:
            return 0
        return sum(item.get("type") in kinds for item in found)


def likely_tokens(body: RequestBody) -> int:
    """The tokens of a body's texts, if they are like English prose: images and recordings in it count nothing.

    Example::

        assert likely_tokens(RequestBody.parse(b'{"messages": []}')) == 4
    """
    return likely(text_bytes(body.raw))


def asked_output(body: RequestBody) -> int | None:
    """The most tokens that the app lets the answer have, ``None`` if it does not say.

    Example::

        assert asked_output(RequestBody.parse(b'{"max_tokens": 100}')) == 100
    """
    for name in OUTPUT_LIMITS:
        value = body.fields.get(name)
        if value is not None and bytes(value) != b"null":
            try:
                return _NUMBER.decode(value)
            except msgspec.MsgspecError:
                return None
    return None


def _length(value: msgspec.Raw | None) -> int:
    try:
        return 0 if value is None else len(_ITEMS.decode(value))
    except msgspec.MsgspecError:
        return 0
