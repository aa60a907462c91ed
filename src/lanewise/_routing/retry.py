"""Whether a failure is tried again on the same route, and after how long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lanewise.types import BreakerEffect, Failure, FailureKind, Retry

__all__ = ["FIRST_BACKOFF", "may_repeat", "wait_before"]

FIRST_BACKOFF: Final = 0.25
"""Seconds; jitter adds as much again, and each further try on the route doubles it."""
MOST_BACKOFF: Final = 8.0


def may_repeat(
    failure: Failure, failed_here: tuple[FailureKind, ...], declared: Mapping[FailureKind, int] | None, *, alone: bool
) -> bool:
    """Whether the same route may be tried again, caps and time aside.

    ``failed_here`` is what its attempts ended in so far, this one included; ``declared`` how often the task wants a
    kind of failure tried again; ``alone`` says that no other route could take the call.

    Example::

        may_repeat(failures.TIMEOUT.failure(), (FailureKind.TIMEOUT,), {FailureKind.TIMEOUT: 1}, alone=False)  # True
    """
    if failure.retry_refused:
        return False
    most = declared.get(failure.kind) if declared else None
    if most is not None:
        return failed_here.count(failure.kind) <= most
    if failure.retry in (Retry.SAME, Retry.WAIT):
        return True
    return alone and failure.retry is Retry.NEXT and _may_pass(failure)


def _may_pass(failure: Failure) -> bool:
    """Whether the last route is tried again although another one would be better: the plain SDK does so too.

    It tries again after a timeout, any 5xx (an overload among them), a connection that was not made in time, and one
    that ended in mid-answer; we also do where a stream ended before its first content.
    """
    if failure.trouble is not None:
        return True
    if failure.kind in (FailureKind.BAD_RESPONSE, FailureKind.STREAM_BROKEN):
        return failure.outcome_unknown and failure.breaker is BreakerEffect.FAILURE
    return failure.kind in (FailureKind.TIMEOUT, FailureKind.OUTAGE, FailureKind.UNREACHABLE)


def wait_before(failure: Failure, tries: int, jitter: float, *, alone: bool = False) -> float:
    """Seconds to wait before the same route: never less than its Retry-After.

    ``tries`` is how often the route was tried, ``jitter`` is in [0, 1). ``alone``: no other route is left, so that
    nothing is lost by waiting as long as the plain SDK does, and a short outage is outlasted as often.

    Example::

        wait_before(failures.SERVER_ERROR.failure(), tries=1, jitter=0.5)  # 0.375
    """
    asked = failure.retry_after or 0.0  # to be asked for 0 s is not to be asked: tries at once would help nobody
    if asked and failure.retry is Retry.WAIT:
        return asked
    if failure.kind is FailureKind.UNREACHABLE and tries == 1:
        return asked  # the likeliest cause is a stale connection: a fresh one works at once
    backoff = 2 * FIRST_BACKOFF * (1 - jitter / 4) if alone else FIRST_BACKOFF * (1 + jitter)
    return max(min(backoff * 2.0 ** (tries - 1), MOST_BACKOFF), asked)
