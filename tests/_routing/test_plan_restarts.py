"""The plan of a stream that starts over after the app had got a part of its answer."""

from __future__ import annotations

from _routing.planning import OUTAGE, Staged, layout
from lanewise._failures import failure_table as failures
from lanewise.types import Failure, FailureKind, Move, Retry, Stop, Switch

BROKEN = failures.STREAM_CUT.failure(http_status=200, retry=Retry.STOP)


def broke(staged: Staged, *, left: float = 60.0, failure: Failure = BROKEN) -> Move:
    """What the plan does after a committed stream broke, with so many seconds for the new beginning."""
    return staged.plan.broke(failure, staged.now, 0.5, deadline=staged.now + left, budget=left)


def test_a_stream_starts_over_on_the_next_route() -> None:
    """Also long after the first deadline: the new beginning has its own."""
    staged = Staged(layout(primary="a", equivalent="b"), budget=10)
    staged.plan.begin(staged.now)
    staged.now += 100
    move = broke(staged, left=10)
    assert isinstance(move, Switch)
    assert (move.route, move.cause, move.timeout) == ("b", "restart", 10)


def test_a_stream_never_starts_over_on_its_own_route() -> None:
    """Whatever the task says of repeats: half an answer there says that it would break again."""
    staged = Staged(layout(primary="a"), retries={FailureKind.STREAM_BROKEN: 3})
    staged.plan.begin(staged.now)
    assert isinstance(broke(staged), Stop)


def test_a_restart_counts_as_an_attempt() -> None:
    """A call has no more attempts than it may, restarts included."""
    staged = Staged(layout(primary="abcde"), max_attempts=4)
    staged.plan.begin(staged.now)
    moves = [broke(staged) for _ in range(4)]
    assert [getattr(move, "route", None) for move in moves] == ["b", "c", "d", None]


def test_a_restart_passes_over_what_is_open() -> None:
    """As every switch does."""
    staged = Staged(layout(primary="a", equivalent="bc"), opened={"b": OUTAGE})
    staged.plan.begin(staged.now)
    move = broke(staged)
    assert isinstance(move, Switch)
    assert (move.route, [skip.route for skip in move.skipped]) == ("c", ["b"])


def test_a_restart_needs_time() -> None:
    """What is left of stream.max must do for a further attempt, as a deadline must."""
    staged = Staged(layout(primary="a", equivalent="b"))
    staged.plan.begin(staged.now)
    assert isinstance(broke(staged, left=0.9), Stop)
