"""A hedge, the second attempt beside the one that is out: where it may go, and what its end changes in the plan."""

from __future__ import annotations

import msgspec

from lanewise._failures import failure_table as failures
from lanewise._routing.call_progress import CallProgress
from lanewise.types import Failure, Send

__all__ = ["hedge", "hedge_failed", "hedge_unsent", "hedge_won", "leaves_to_hedge"]


def hedge(progress: CallProgress, now: float) -> tuple[int, Send] | None:
    """The attempt on the next route that is well and lists time-outs, with its position; ``None`` without one.

    It counts as an attempt of the call, and the call stays where it is.

    Example::

        found = hedge(plan, now)
    """
    if progress.attempts >= progress.most:
        return None
    following = progress.chain.next_candidate(progress.frontier, progress.attempts, failures.TIMEOUT.failure())
    if following.position is None or following.position in progress.tried:
        return None
    before = progress.position, progress.frontier, progress.cause
    send = progress.send(following.position, now, "first", ())
    progress.position, progress.frontier, progress.cause = before
    return following.position, msgspec.structs.replace(send, cause="hedge")


def hedge_unsent(progress: CallProgress, position: int) -> None:
    """Take back a hedge that could not go out."""
    progress.attempts -= 1
    progress.tried.pop(position, None)


def leaves_to_hedge(progress: CallProgress, position: int, failure: Failure) -> bool:
    """Whether a call that failed so would have moved to the hedge's route: else it ends as it would have without one.

    A request that the first route refused is not given to the second because that was asked already.
    """
    return failure.kind in progress.candidates[position].on


def hedge_won(progress: CallProgress, position: int) -> None:
    """Move the call to the hedge's route, which answered."""
    progress.position = position
    progress.frontier = max(progress.frontier, position)


def hedge_failed(progress: CallProgress, position: int, failure: Failure, now: float, jitter: float) -> None:
    """Note that the hedge failed while the first route is still out: the next move does not go to the hedge's first."""
    progress.tried[position].add(failure, now, jitter)
    progress.frontier = max(progress.frontier, position)
