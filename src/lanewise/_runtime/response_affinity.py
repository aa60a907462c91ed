"""Which route made what a provider keeps: calls that go on from it stay there."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import msgspec

from lanewise._openai.request_body import Body

__all__ = ["Memory"]

REMEMBERED: Final = 4096
"""How many of the latest stored responses and conversations the router knows the route of."""


class Memory:
    """The routes of stored responses and conversations, in this process.

    Another worker does not know them: there a bound call goes to the provider of its task's first route.
    """

    def __init__(self) -> None:
        self._routes: OrderedDict[str, str] = OrderedDict()

    def remember(self, body: Body, response_id: str | None, route: str) -> None:
        """Note who answered: who made this response, and has the conversation that it belongs to."""
        for name in (response_id, _conversation(body)):
            if name:
                self._routes[name] = route
                self._routes.move_to_end(name)
        while len(self._routes) > REMEMBERED:
            self._routes.popitem(last=False)

    def route_for(self, body: Body) -> str | None:
        """The route that made what a call goes on from, if it is known."""
        for name in (_text(body.fields.get("previous_response_id")), _conversation(body)):
            route = self._routes.get(name) if name else None
            if route is not None:
                return route
        return None


class _Named(msgspec.Struct):
    id: str


_STRING: Final = msgspec.json.Decoder(str)
_CONVERSATION: Final = msgspec.json.Decoder(str | _Named)


def _text(value: msgspec.Raw | None) -> str | None:
    try:
        return None if value is None else _STRING.decode(value)
    except msgspec.MsgspecError:
        return None


def _conversation(body: Body) -> str | None:
    """The id of the conversation that a call belongs to: the SDK sends it bare, or in an object."""
    value = body.fields.get("conversation")
    try:
        given = None if value is None else _CONVERSATION.decode(value)
    except msgspec.MsgspecError:
        return None
    return given.id if isinstance(given, _Named) else given
