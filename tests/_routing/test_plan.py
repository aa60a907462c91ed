"""When a plan tries the same route again, and how often; and what its moves tell."""

from __future__ import annotations

import pytest

from _routing.planning import (
    AUTH,
    BAD_REQUEST,
    CONFLICT,
    CONTRACT,
    DEFAULT,
    DEGRADED,
    EQUIVALENT,
    ONE,
    OUTAGE,
    OVERLOADED,
    POLICY,
    PRIMARY,
    QUOTA,
    RATE_LIMIT,
    SAME_LANE,
    THREE,
    TIMEOUT,
    TWO,
    UNAVAILABLE,
    UNREACHABLE,
    UNSUPPORTED,
    Staged,
    candidate,
    kinds,
    layout,
    limited,
    send,
    skipped,
    stop,
)
from lanewise._failures import failure_table as failures
from lanewise.types import Failure, FailureKind, LaneName, LocalTrouble, Retry, Send, Switch, Wait


@pytest.mark.parametrize("failure", [OUTAGE, UNAVAILABLE, CONFLICT, RATE_LIMIT], ids=lambda f: str(f.kind))
def test_the_same_route_is_tried_once_more_after_a_short_wait(failure: Failure) -> None:
    """S and W: 0.25 s to 0.5 s by jitter, once, then the next."""
    for jitter, seconds in ((0.0, 0.25), (0.5, 0.375), (0.999, 0.49975)):
        staged = Staged(TWO)
        staged.begin()
        move = staged.fails(failure, jitter=jitter)
        assert isinstance(move, Wait)
        assert (move.route, move.lane, move.seconds) == ("a", PRIMARY, pytest.approx(seconds))
    assert Staged(TWO).plays(failure, failure) == "a.ab"


def test_an_unreachable_route_is_tried_again_at_once() -> None:
    """Its likeliest cause is a stale connection; once, then the next."""
    staged = Staged(TWO)
    staged.begin()
    again = send(staged.fails(UNREACHABLE))
    assert (again.route, again.cause, again.attempt_number) == ("a", "retry", 2)
    assert send(staged.fails(UNREACHABLE)).route == "b"


def test_an_unreachable_last_route_is_waited_for_the_second_time() -> None:
    """At once only helps a stale connection."""
    assert Staged(ONE).plays(UNREACHABLE, UNREACHABLE, UNREACHABLE) == "aa.a.a"


@pytest.mark.parametrize(
    "failure", [AUTH, QUOTA, OVERLOADED, CONTRACT, UNSUPPORTED, failures.NOT_JSON.failure()], ids=lambda f: str(f.kind)
)
def test_what_the_same_route_would_repeat_goes_on_at_once(failure: Failure) -> None:
    """N: switching waits for nothing."""
    assert Staged(TWO).plays(failure) == "ab"


@pytest.mark.parametrize("failure", [BAD_REQUEST, POLICY], ids=lambda f: str(f.kind))
def test_what_the_app_must_be_told_stops_the_call(failure: Failure) -> None:
    """X: no other route is asked, unless a lane lists it."""
    staged = Staged(THREE)
    staged.begin()
    assert stop(staged.fails(failure)).failure is failure
    listed = (*ONE, candidate("b", EQUIVALENT, on=[*DEFAULT, failure.kind]))
    assert Staged(listed).plays(failure) == "ab"


@pytest.mark.parametrize("row", [failures.LOCAL, failures.CANCELLED, failures.DEADLINE], ids=lambda row: row.id)
def test_what_ends_a_call_moves_nowhere_even_if_it_is_listed(row: failures.Row) -> None:
    """Nobody waits for the answer, or no route could send it."""
    lanes = (*ONE, candidate("b", EQUIVALENT, on=FailureKind))
    assert Staged(lanes, retries={row.kind: 3}).plays(row.failure()) == "a!"


@pytest.mark.parametrize("trouble", [each for each in LocalTrouble if each is not LocalTrouble.LOOP])
def test_what_this_process_lacks_is_tried_again_and_elsewhere(trouble: LocalTrouble) -> None:
    """As an unreachable provider is: it may be there a moment later, or another route have a connection open."""
    lacking = failures.LOCAL_TROUBLE.failure(trouble=trouble)
    assert Staged(TWO).plays(lacking, lacking) == "a.ab"
    listed = (*ONE, candidate("b", EQUIVALENT, on=[FailureKind.UNREACHABLE]))
    assert Staged(listed).plays(lacking, lacking) == "a.ab"
    unlisted = (*ONE, candidate("b", EQUIVALENT, on=[FailureKind.RATE_LIMIT, FailureKind.LOCAL]))
    assert "b" not in Staged(unlisted).plays(*[lacking] * 4)
    written = failures.LOCAL_TROUBLE_AFTER_WRITE.failure(trouble=trouble)
    assert Staged(TWO).plays(written) == "ab"
    staged = Staged(TWO)
    staged.begin()
    assert isinstance(staged.fails(lacking), Wait)
    assert not staged.plan.charged


def test_after_a_late_loop_nothing_is_sent_again() -> None:
    """The provider may have answered long ago."""
    lanes = (*ONE, candidate("b", EQUIVALENT, on=FailureKind))
    assert Staged(lanes).plays(failures.LOOP_LATE.failure(trouble=LocalTrouble.LOOP)) == "a!"


def test_a_408_is_a_definite_answer_and_tried_again() -> None:
    """Other than a silent attempt it can't be billed twice."""
    assert Staged(TWO).plays(failures.REQUEST_TIMEOUT.failure(http_status=408)) == "a.a"


def test_a_timeout_is_not_tried_again_while_another_route_is_left() -> None:
    """The silent attempt may still be billed, and has eaten the time."""
    assert Staged(TWO).plays(TIMEOUT) == "ab"


def test_a_timeout_of_the_only_route_is_tried_again() -> None:
    """Of the last one as well."""
    assert Staged(ONE).plays(TIMEOUT, TIMEOUT, TIMEOUT) == "a.a.a.a"
    assert Staged(TWO).plays(TIMEOUT, TIMEOUT, TIMEOUT) == "ab.b.b"


def test_declared_retries_restore_one_after_a_timeout() -> None:
    """``retries = { timeout = 1 }``."""
    assert Staged(TWO, retries={FailureKind.TIMEOUT: 1}).plays(TIMEOUT, TIMEOUT) == "a.ab"


@pytest.mark.parametrize("failure", [OUTAGE, UNREACHABLE, RATE_LIMIT, TIMEOUT], ids=lambda f: str(f.kind))
def test_declared_retries_are_counted_for_each_kind_and_route(failure: Failure) -> None:
    """0 is never, also for the only route; 2 is twice, where no other route is left."""
    assert Staged(TWO, retries={failure.kind: 0}).plays(failure) == "ab"
    assert Staged(ONE, retries={failure.kind: 0}).plays(failure) == "a!"
    assert Staged(ONE, retries={failure.kind: 2}).plays(*[failure] * 3).replace(".", "") == "aaa!"
    assert Staged(TWO, retries={failure.kind: 3}).plays(*[failure] * 2).replace(".", "") == "aab"


def test_declared_retries_say_nothing_of_other_failures() -> None:
    """Only the kind that is named."""
    assert Staged(TWO, retries={FailureKind.TIMEOUT: 0}).plays(OUTAGE) == "a.a"
    assert Staged(ONE, retries={FailureKind.OUTAGE: 0}).plays(AUTH) == "a!"


@pytest.mark.parametrize(
    "failure",
    [OVERLOADED, failures.CUT.failure(), failures.STREAM_CUT.failure(), failures.MALFORMED_EVENT.failure()],
    ids=lambda f: str(f.kind),
)
def test_the_only_route_is_tried_again_where_the_plain_sdk_would(failure: Failure) -> None:
    """An overload, an answer that was cut, a stream before its first content: others come first, if there are any."""
    assert Staged(ONE).plays(failure, failure, failure) == "a.a.a.a"
    assert Staged(TWO).plays(failure) == "ab"


def test_a_connection_that_was_not_made_in_time_is_tried_again_where_there_is_no_other_route() -> None:
    """At once the first time, as any that could not be made."""
    hung = failures.CONNECT_TIMEOUT.failure()
    assert Staged(TWO).plays(hung) == "ab"
    assert Staged(ONE).plays(hung, hung) == "aa.a"


def test_a_provider_that_refuses_retries_is_obeyed() -> None:
    """``x-should-retry: false``, also by the only route, and whatever the task declares."""
    refused = failures.SERVER_ERROR.failure(http_status=500, retry=Retry.NEXT, retry_refused=True)
    silent = failures.REQUEST_TIMEOUT.failure(http_status=408, retry=Retry.NEXT, retry_refused=True)
    assert Staged(TWO).plays(refused) == "ab"
    assert Staged(ONE).plays(refused) == Staged(ONE).plays(silent) == "a!"
    assert Staged(ONE, retries={FailureKind.OUTAGE: 1}).plays(refused) == "a!"


def test_a_provider_that_asks_for_a_retry_gets_one() -> None:
    """``x-should-retry: true`` has turned N into S, within the caps."""
    asked = failures.OVERLOADED.failure(http_status=529, retry=Retry.SAME)
    assert Staged(TWO).plays(asked, asked) == "a.ab"


def test_a_call_has_as_many_attempts_as_routes() -> None:
    """Four at least and eight at most; ``max_attempts`` of its task says another most."""
    assert Staged(layout(primary="abcdef")).plays(*[AUTH] * 6) == "abcdef!"
    assert Staged(layout(primary="abcdefghij")).plays(*[AUTH] * 8) == "abcdefgh!"
    assert Staged(layout(primary="abcdefghij"), max_attempts=10).plays(*[AUTH] * 10) == "abcdefghij!"
    assert Staged(layout(primary="abcdef"), max_attempts=2).plays(*[AUTH] * 2) == "ab!"
    assert Staged(TWO).plays(*[OUTAGE] * 4) == "a.ab.b!"
    assert Staged(ONE, max_attempts=1).plays(OUTAGE) == "a!"


def test_routes_that_can_not_take_the_call_give_it_no_attempts() -> None:
    """What counts is where it could go."""
    lanes = (*layout(primary="abcd"), *(candidate(route, EQUIVALENT, incapable="no") for route in "efg"))
    assert Staged(lanes).plays(*[AUTH] * 4) == "abcd!"


def test_the_last_route_has_three_attempts_and_a_fourth_while_it_mostly_answers() -> None:
    """More would only load a provider at its limit."""
    staged = Staged(ONE)
    assert staged.plays(*[OUTAGE] * 4) == "a.a.a.a!"
    staged = Staged(ONE)
    staged.health.answers = False
    assert staged.plays(*[OUTAGE] * 3) == "a.a.a!"


def test_every_route_is_asked_before_any_uses_up_the_attempts() -> None:
    """A retry on the same route is made only while an attempt remains for each further one."""
    lanes = layout(primary="a", equivalent="bc")
    assert Staged(lanes).plays(*[limited(1)] * 4) == "a.abc!"
    assert Staged(layout(primary="abc")).plays(*[OUTAGE] * 4) == "a.abc!"
    assert Staged(layout(primary="abcd")).plays(*[OUTAGE] * 4) == "abcd!"
    assert Staged(layout(primary="abcdefgh")).plays(*[OUTAGE] * 8) == "abcdefgh!"
    assert Staged(lanes, opened={"b": AUTH}).plays(*[OUTAGE] * 4) == "a.ac.c!"


def test_a_route_has_two_attempts_while_another_is_left() -> None:
    """The last one may use what is left."""
    assert Staged(TWO).plays(*[OUTAGE] * 4) == "a.ab.b!"
    assert Staged(SAME_LANE).plays(*[OUTAGE] * 3) == "a.ab.b"
    assert Staged(TWO).plays(AUTH, OUTAGE, OUTAGE) == "ab.b.b"


def test_each_route_has_attempts_of_its_own() -> None:
    """What failed on the one before does not count, nor make its wait longer."""
    staged = Staged(THREE)
    staged.begin()
    staged.fails(AUTH)
    move = staged.fails(OUTAGE)
    assert isinstance(move, Wait)
    assert (move.route, move.seconds) == ("b", 0.25)


def test_one_attempt_is_kept_for_each_later_lane() -> None:
    """A retry is made only if they still have theirs."""
    assert Staged(THREE).plays(*[OUTAGE] * 4) == "a.abc!"
    assert Staged(layout(primary="ab", equivalent="c", degraded="d")).plays(*[OUTAGE] * 4) == "abcd!"


def test_routes_of_the_same_lane_leave_the_later_lanes_theirs() -> None:
    """They are passed over, and that is told."""
    staged = Staged(layout(primary="abcde", equivalent="f"), max_attempts=4)
    staged.begin()
    staged.fails(AUTH)
    staged.fails(AUTH)
    move = staged.fails(AUTH)
    assert send(move).route == "f"
    assert skipped(move) == dict.fromkeys("de", "the attempts left are kept for later lanes")


def test_nothing_is_kept_for_a_lane_that_the_failure_does_not_move_into() -> None:
    """Else a route that could help would be passed over for nobody."""
    lanes = (*layout(primary="abcd"), candidate("e", EQUIVALENT, on=kinds("rate_limit")))
    assert Staged(lanes, max_attempts=4).plays(AUTH, AUTH, AUTH) == "abcd"
    assert Staged(lanes, max_attempts=4).plays(AUTH, AUTH, limited(30)) == "abce"


def test_nothing_is_kept_for_a_lane_behind_a_route_whose_opening_leads_elsewhere() -> None:
    """What would be passed on on the way counts."""
    lanes = (*layout(primary="abcd", equivalent="e"), candidate("f", DEGRADED, on=kinds("outage")))
    assert Staged(lanes, opened={"e": AUTH}, max_attempts=4).plays(*[OVERLOADED] * 3) == "abcd"
    assert Staged(lanes, opened={"e": OUTAGE}, max_attempts=4).plays(*[OVERLOADED] * 3) == "abcf"


def test_nothing_is_kept_for_a_lane_that_can_not_be_used() -> None:
    """Open, or not able to do the call."""
    lanes = (*layout(primary="a", equivalent="b"), candidate("c", DEGRADED, incapable="no"))
    assert Staged(lanes).plays(*[OUTAGE] * 3) == "a.ab.b"
    assert Staged(THREE, opened={"c": AUTH}).plays(*[OUTAGE] * 3) == "a.ab.b"


def test_a_refused_parameter_is_left_out_on_the_same_route() -> None:
    """At once, and as the cause says."""
    staged = Staged(TWO)
    staged.begin()
    move = send(staged.fails(UNSUPPORTED, droppable=True))
    assert (move.route, move.cause, move.attempt_number) == ("a", "drop", 2)
    assert not isinstance(move, Switch)


def test_a_second_drop_needs_a_route_that_is_alone() -> None:
    """It is an attempt as others are: two a route, four a call."""
    for lanes, expected in ((TWO, "b"), (ONE, "a")):
        staged = Staged(lanes)
        staged.begin()
        staged.fails(UNSUPPORTED, droppable=True)
        assert send(staged.fails(UNSUPPORTED, droppable=True)).route == expected
    staged.fails(UNSUPPORTED, droppable=True)
    assert stop(staged.fails(UNSUPPORTED, droppable=True)).failure is UNSUPPORTED


def test_a_drop_keeps_to_retry_after_as_well() -> None:
    """Never sooner, whatever is left out."""
    staged = Staged(TWO)
    staged.begin()
    move = staged.fails(failures.UNSUPPORTED_PARAMETER.failure(retry_after=1.0), droppable=True)
    assert isinstance(move, Wait)
    assert move.seconds == 1


def test_what_can_not_be_left_out_moves_on() -> None:
    """The next route may take it."""
    assert Staged(TWO).plays(UNSUPPORTED) == "ab"


def test_attempts_are_numbered_and_say_why_they_are_made() -> None:
    """First, again, and switched; a switch is a move of its own kind."""
    staged = Staged(TWO)
    first = send(staged.begin())
    again = send(staged.waits(staged.fails(OUTAGE)))
    other = send(staged.fails(OUTAGE))
    assert [(m.attempt_number, m.cause, type(m)) for m in (first, again, other)] == [
        (1, "first", Send),
        (2, "retry", Send),
        (3, "switch", Switch),
    ]
    assert (other.route, other.lane) == ("b", LaneName.EQUIVALENT)


def test_a_stop_tells_the_last_failure_and_what_was_not_tried() -> None:
    """The failure decides what the app is told."""
    staged = Staged((*ONE, candidate("b", EQUIVALENT, incapable="takes no tools")))
    staged.begin()
    move = stop(staged.fails(AUTH))
    assert (move.failure, move.reason) == (AUTH, "no other route may be used")
    assert skipped(move) == {"b": "takes no tools"}
    staged = Staged(ONE)
    staged.begin()
    assert stop(staged.fails(AUTH)).reason == "no other route is left"
