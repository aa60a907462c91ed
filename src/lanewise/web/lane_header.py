"""The header ``x-lanewise-lane`` of an app's answers: which lane the AI answers in them came from.

Opt-in (``tell_callers``): its value is the worst lane that has answered in the request so far.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from lanewise.types import LaneName

if TYPE_CHECKING:
    from lanewise.scope import Scope
    from lanewise.web.asgi_disconnects import Message

__all__ = ["LANE_HEADER", "set_lane_header", "with_lane"]

LANE_HEADER: Final = "x-lanewise-lane"
_NAME: Final = LANE_HEADER.encode()
_RANKS: Final = {lane.value: rank for rank, lane in enumerate(LaneName)}


def with_lane(headers: list[tuple[str, str]], scope: Scope) -> list[tuple[str, str]]:
    """The headers of an answer with the lane, if any call was answered. Of two lanes the worse one is sent: a part of
    the app with a router of its own, or the app itself, may have set one.

    Example::

        start_response(status, with_lane(headers, scope))
    """
    lane = _lane_to_send(scope, (value for name, value in headers if name.lower() == LANE_HEADER))
    if lane is None:
        return headers
    return [*(header for header in headers if header[0].lower() != LANE_HEADER), (LANE_HEADER, lane)]


def set_lane_header(start: Message, scope: Scope) -> None:
    """Set the lane in the ASGI message that starts an answer, by the rules of :func:`with_lane`."""
    headers = start.get("headers") or ()
    lane = _lane_to_send(scope, (value.decode("latin-1") for name, value in headers if name.lower() == _NAME))
    if lane is not None:
        rest = (header for header in headers if header[0].lower() != _NAME)
        start["headers"] = [*rest, (_NAME, lane.encode())]


def _lane_to_send(scope: Scope, present: Iterable[str]) -> str | None:
    """The lane to send; ``None``: the headers stay as they are."""
    lanes = scope.lanes
    if not lanes:
        return None
    ranks = [_RANKS.get(value, len(_RANKS)) for value in present]  # what is no lane is the app's own affair
    return None if ranks and max(ranks) >= _RANKS[lanes[-1]] else lanes[-1].value
