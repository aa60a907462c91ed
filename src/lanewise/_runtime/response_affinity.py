"""Which route made what a provider keeps: calls that go on from it stay there."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from typing import Final, Protocol

import msgspec

from lanewise._openai.request_body import BadBody, RequestBody, json_text

__all__ = ["ResponseAffinity", "ResponseOrigin", "SharedOrigins", "id_of"]

REMEMBERED: Final = 4096
"""How many of the latest stored responses and conversations the router knows the route of."""


class ResponseOrigin(msgspec.Struct, frozen=True):
    """Who made a stored answer, and the categories of the call that it answered."""

    route: str
    task: str
    marks: tuple[str, ...]


class SharedOrigins(Protocol):
    """What other workers know."""

    def publish(self, name: str, made: ResponseOrigin) -> None: ...

    async def find(self, name: str) -> ResponseOrigin | None: ...


class ResponseAffinity:
    """The makers of stored answers and conversations, in this process and, where there is a store, in all workers.

    What nobody knows goes to the provider of the task's first route.
    """

    def __init__(self, shared: SharedOrigins | None = None) -> None:
        self._made: OrderedDict[str, ResponseOrigin] = OrderedDict()
        self._shared = shared

    def remember(self, body: RequestBody, response_id: str | None, made: ResponseOrigin) -> None:
        """Note who answered: who made this response, and has the conversation that it belongs to."""
        stored = body.fields.get("store")
        for name in (response_id, _conversation(body)):
            if name:
                self._store(name, made)
                if self._shared is not None and (stored is None or bytes(stored) != b"false"):
                    self._shared.publish(name, made)

    async def find(self, name: str) -> ResponseOrigin | None:
        """Who made a stored answer, if anybody knows."""
        made = self._made.get(name)
        if made is None and self._shared is not None:
            made = await self._shared.find(name)
            if made is not None:
                self._store(name, made)
        return made

    @property
    def is_shared(self) -> bool:
        """Whether other workers may know more."""
        return self._shared is not None

    async def look_up(self, raw: bytes) -> None:
        """Find out who made what a call with this body goes on from, for :meth:`made_for`."""
        with contextlib.suppress(BadBody):
            for name in _names(RequestBody.parse(raw)):
                await self.find(name)

    def made_for(self, body: RequestBody) -> ResponseOrigin | None:
        """Who made what a call goes on from, if it is known."""
        return next((made for name in _names(body) if (made := self._made.get(name)) is not None), None)

    def _store(self, name: str, made: ResponseOrigin) -> None:
        self._made[name] = made
        self._made.move_to_end(name)
        while len(self._made) > REMEMBERED:
            self._made.popitem(last=False)


def _names(body: RequestBody) -> list[str]:
    """The ids of what a call goes on from."""
    found = (json_text(body.fields.get("previous_response_id")), _conversation(body))
    return [name for name in found if name]


class _Named(msgspec.Struct):
    id: str


_CONVERSATION: Final = msgspec.json.Decoder(str | _Named)


def id_of(body: bytes) -> str | None:
    """The id of a whole answer."""
    try:
        return msgspec.json.decode(body, type=_Named).id
    except msgspec.MsgspecError:
        return None


def _conversation(body: RequestBody) -> str | None:
    """The id of the conversation that a call belongs to: the SDK sends it bare, or in an object."""
    value = body.fields.get("conversation")
    try:
        conversation = None if value is None else _CONVERSATION.decode(value)
    except msgspec.MsgspecError:
        return None
    return conversation.id if isinstance(conversation, _Named) else conversation
