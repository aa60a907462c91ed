"""Why a route is not what a call goes to first."""

from __future__ import annotations

from typing import Final

import msgspec

from lanewise.types import Failure

__all__ = ["PENDING", "Throttle", "Unavailable"]

PENDING: Final = 0.1
"""Seconds that the shared store has to say who sends the next attempt to a throttled route."""


class Throttle(msgspec.Struct, frozen=True):
    """A route that has not answered for long: ``failures`` in a row, throttled for ``seconds``; its next attempt may go
    out in ``next_attempt`` seconds. The latest that failed took ``failed_in`` seconds, where that is known."""

    failures: int
    seconds: float
    next_attempt: float
    failed_in: float = 0.0

    def __str__(self) -> str:
        return f"throttled: {self.failures} failures in a row; the next probe in {self.next_attempt:.1f} s"


class Unavailable(msgspec.Struct, frozen=True):
    """What keeps new calls from a route: ``failure.retry_after`` says for how many seconds, if anybody knows.

    ``last_resort``: a call that has no other route may go there, since it fails in part, or a rate limit closed it; if
    it is throttled, when its turn comes. ``in_part``: it rate limits some and answers others, so that what it asked of
    others does not keep such a call. ``reason`` says what keeps calls away, if it is not that the route is open.
    """

    failure: Failure
    last_resort: bool = False
    throttle: Throttle | None = None
    in_part: bool = False
    reason: str = ""
