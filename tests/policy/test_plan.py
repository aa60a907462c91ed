"""What a plan does next: deadline, retry and switch, edges."""

from __future__ import annotations

import pytest

from policy.planning import DEFAULT, DEGRADED, EQUIVALENT, PRIMARY, Staged, candidate, kinds, layout, skipped
from understudy.policy import failures
from understudy.policy.plan import DEADLINE, NO_ROUTE
from understudy.policy.selection import Candidate
from understudy.words import Failure, FailureKind, LaneName, Retry, Send, Stop, Switch, Wait

OUTAGE = failures.SERVER_ERROR.failure(http_status=500)
OVERLOADED = failures.OVERLOADED.failure(http_status=529)
UNAVAILABLE = failures.UNAVAILABLE.failure(http_status=503)
RATE_LIMIT = failures.RATE_LIMIT.failure(http_status=429)
CONFLICT = failures.CONFLICT.failure(http_status=409)
UNREACHABLE = failures.UNREACHABLE.failure()
TIMEOUT = failures.TIMEOUT.failure()
AUTH = failures.AUTH.failure(http_status=401)
QUOTA = failures.PAYMENT.failure(http_status=402)
TOO_LONG = failures.CONTEXT_LENGTH.failure(http_status=400)
BAD_REQUEST = failures.BAD_REQUEST.failure(http_status=400)
POLICY = failures.CONTENT_POLICY.failure(http_status=400)
UNSUPPORTED = failures.UNSUPPORTED_PARAMETER.failure(http_status=400, param="seed")
CONTRACT = failures.CONTRACT.failure(http_status=200)
SUBSTITUTED = failures.SUBSTITUTED.failure(http_status=200)

ONE = layout(primary="a")
TWO = layout(primary="a", equivalent="b")
THREE = layout(primary="a", equivalent="b", degraded="c")
SAME_LANE = layout(primary="ab")


def limited(seconds: float) -> Failure:
    return failures.RATE_LIMIT.failure(http_status=429, retry_after=seconds)


def send(move: object) -> Send:
    assert isinstance(move, Send), move
    return move


def stop(move: object) -> Stop:
    assert isinstance(move, Stop), move
    return move


# -- deadline ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lanes", "seconds"),
    [
        (ONE, 100.0),
        (SAME_LANE, 100.0),
        (TWO, 80.0),
        (layout(primary="a", equivalent="bc"), 80.0),
        (THREE, 60.0),
    ],
)
def test_a_share_of_the_deadline_is_kept_for_each_later_lane(lanes: tuple[Candidate, ...], seconds: float) -> None:
    """20 % for each, 40 % in all; other routes of the same lane keep nothing."""
    lanes = tuple(candidate(c.route, c.lane, timeout=1000) for c in lanes)
    assert send(Staged(lanes, budget=100).begin()).timeout == pytest.approx(seconds)


def test_a_lane_that_could_not_be_used_now_keeps_nothing() -> None:
    """Neither one that is open, nor one that can't do the call."""
    lanes = (candidate("a", timeout=1000), candidate("b", EQUIVALENT, incapable="no"), candidate("c", DEGRADED))
    assert send(Staged(lanes, budget=100, opened={"c": OUTAGE}).begin()).timeout == 100
    assert send(Staged(lanes, budget=100).begin()).timeout == 80


def test_nothing_is_kept_for_lanes_that_no_attempt_is_left_for() -> None:
    """The fourth attempt may use all that is left."""
    lanes = tuple(candidate(c.route, c.lane, timeout=1000) for c in layout(primary="abcd", equivalent="e"))
    staged = Staged((*lanes[:4], candidate("e", EQUIVALENT, on=kinds("auth"))), budget=100)
    staged.begin()
    for _ in "bcd":
        move = staged.fails(CONTRACT)
    assert (send(move).route, send(move).attempt_number, send(move).timeout) == ("d", 4, 100)


def test_an_attempt_has_the_routes_own_timeout_where_that_is_shorter() -> None:
    """The reserve binds only where it is tighter."""
    assert send(Staged((candidate("a", timeout=7), *TWO[1:]), budget=100).begin()).timeout == 7


def test_the_timeout_is_what_is_left_less_the_reserve() -> None:
    """A later attempt gets less; the deadline is one for all."""
    staged = Staged(tuple(candidate(c.route, c.lane, timeout=1000) for c in THREE), budget=100)
    staged.begin()
    assert send(staged.fails(CONTRACT, after=30)).timeout == pytest.approx(100 - 30 - 20)
    assert send(staged.fails(CONTRACT, after=30)).timeout == pytest.approx(100 - 30 - 30)


def test_a_further_attempt_has_the_least_time_even_where_the_reserve_has_eaten_it() -> None:
    """An attempt without any time would be a lie."""
    staged = Staged(tuple(candidate(c.route, c.lane, timeout=1000) for c in THREE), budget=100)
    staged.begin()
    assert send(staged.fails(CONTRACT, after=85)).timeout == pytest.approx(1)


@pytest.mark.parametrize("late", [0.0, 59.5, 59.999])
def test_the_first_attempt_is_always_made(late: float) -> None:
    """However little is left when the plan begins: it is given that."""
    staged = Staged(THREE, budget=60)
    staged.now += late
    assert send(staged.begin()).timeout == pytest.approx(min(30.0, 60 - late))


def test_nothing_is_sent_once_the_deadline_has_passed() -> None:
    """Neither a first attempt nor a further one."""
    staged = Staged(THREE, budget=60)
    staged.now += 60
    assert stop(staged.begin()).failure is DEADLINE
    staged = Staged(THREE, budget=60)
    staged.begin()
    assert stop(staged.fails(AUTH, after=60)).failure is DEADLINE


@pytest.mark.parametrize(
    ("budget", "left", "moves"),
    [(60, 1.0, True), (60, 0.99, False), (5, 0.5, True), (5, 0.49, False), (100, 1.0, True), (100, 0.99, False)],
)
def test_a_further_attempt_is_made_only_if_a_second_or_a_tenth_is_left(budget: float, left: float, moves: bool) -> None:
    """A tenth where the deadline is short; else the app is told the failure that it has."""
    staged = Staged(TWO, budget=budget)
    staged.begin()
    move = staged.fails(AUTH, after=budget - left)
    assert isinstance(move, Switch) if moves else stop(move).failure is AUTH


def test_the_first_token_is_waited_for_only_while_a_timeout_could_move_the_call() -> None:
    """Else to give up early would help nobody."""
    assert send(Staged(TWO).begin()).first_token == 20
    assert send(Staged(SAME_LANE).begin()).first_token == 20
    assert send(Staged(ONE).begin()).first_token is None
    assert send(Staged(TWO, opened={"b": OUTAGE}).begin()).first_token is None
    assert send(Staged((*ONE, candidate("b", EQUIVALENT, incapable="no"))).begin()).first_token is None
    assert send(Staged((*ONE, candidate("b", EQUIVALENT, on=kinds("rate_limit")))).begin()).first_token is None


def test_the_fourth_attempt_waits_for_its_first_token_as_long_as_it_has() -> None:
    """There is nowhere left to move."""
    staged = Staged(layout(primary="abcde"))
    moves = [staged.begin(), *(staged.fails(CONTRACT) for _ in "bcd")]
    assert [send(move).first_token for move in moves] == [20, 20, 20, None]


# -- the same route again ----------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("failure", [OVERLOADED, failures.CUT.failure()], ids=lambda f: str(f.kind))
def test_the_only_route_is_tried_again_where_the_plain_sdk_would(failure: Failure) -> None:
    """An overload, and an answer that was cut: others would be tried first, and there are none."""
    assert Staged(ONE).plays(failure, failure, failure) == "a.a.a.a"


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


# -- waiting -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "route"), [(1.5, "a"), (2.0, "a"), (2.01, "b"), (300.0, "b")])
def test_a_preferred_route_is_waited_for_as_long_as_patience_allows(asked: float, route: str) -> None:
    """Longer waits are for those who have nowhere else to go."""
    staged = Staged(TWO, patience=2)
    staged.begin()
    move = staged.fails(limited(asked))
    assert isinstance(move, Wait) is (route == "a")
    assert send(staged.waits(move) if isinstance(move, Wait) else move).route == route


def test_the_wait_is_what_the_provider_asked_for() -> None:
    """Never sooner, and no jitter on top."""
    staged = Staged(TWO)
    staged.begin()
    move = staged.fails(limited(1.25), jitter=0.9)
    assert isinstance(move, Wait)
    assert move.seconds == 1.25


def test_a_retry_after_of_a_failure_that_is_tried_again_is_kept_too() -> None:
    """A 500 with Retry-After waits that long, or goes on."""
    asks = failures.SERVER_ERROR.failure(http_status=500, retry_after=1.0)
    staged = Staged(TWO)
    staged.begin()
    move = staged.fails(asks)
    assert isinstance(move, Wait)
    assert move.seconds == 1
    assert Staged(TWO, patience=0.5).plays(asks) == "ab"


def test_an_unreachable_route_that_asked_to_wait_is_not_tried_at_once() -> None:
    """Whatever the failure is called."""
    staged = Staged(TWO)
    staged.begin()
    move = staged.fails(failures.UNREACHABLE.failure(retry_after=1.0))
    assert isinstance(move, Wait)
    assert move.seconds == 1


def test_to_be_asked_for_no_wait_is_not_to_be_asked() -> None:
    """Four tries at once would help nobody."""
    staged = Staged(ONE)
    staged.begin()
    move = staged.fails(limited(0))
    assert isinstance(move, Wait)
    assert move.seconds == 0.25


def test_a_503_with_retry_after_waits_like_a_rate_limit() -> None:
    """Within patience, else the next; the failure stays an outage."""
    patient = failures.UNAVAILABLE_LATER.failure(http_status=503, retry_after=1)
    long = failures.UNAVAILABLE_LATER.failure(http_status=503, retry_after=30)
    assert Staged(TWO).plays(patient) == "a.a"
    assert Staged(TWO).plays(long) == "ab"
    assert Staged(ONE).plays(long) == "a.a"
    assert Staged((*ONE, candidate("b", EQUIVALENT, on=kinds("rate_limit")))).plays(long, long, long) == "a.a!"


def test_patience_is_about_what_a_provider_limits() -> None:
    """The short wait after an outage is no waiting for a route."""
    assert Staged(TWO, patience=0).plays(OUTAGE) == "a.a"
    assert Staged(TWO, patience=0).plays(RATE_LIMIT) == Staged(TWO, patience=0).plays(CONFLICT) == "ab"


def test_waits_for_the_last_route_double() -> None:
    """0.25 s to 0.5 s, then twice that, and twice again."""
    staged = Staged(ONE)
    staged.begin()
    waits = []
    for _ in range(3):
        move = staged.fails(RATE_LIMIT, jitter=0.5)
        assert isinstance(move, Wait)
        waits.append(move.seconds)
        staged.waits(move)
    assert waits == [0.375, 0.75, 1.5]


def test_the_last_route_is_waited_for_beyond_patience() -> None:
    """So that one route under us is never worse than the plain SDK."""
    assert Staged(ONE, patience=2).plays(limited(20)) == "a.a"
    assert Staged(TWO, patience=2).plays(limited(20), limited(20)) == "ab.b"


def test_nobody_waits_for_what_would_come_too_late() -> None:
    """A wait into the deadline is no wait: the app is told at once, or another route is asked."""
    assert Staged(ONE, budget=60).plays(limited(59)) == "a.a"
    assert Staged(ONE, budget=60).plays(limited(59.5)) == "a!"
    assert Staged(TWO, budget=1, patience=2).plays(limited(0.95)) == "ab"


def test_nothing_is_slept_after_the_last_try() -> None:
    """The fourth failure stops at once."""
    staged = Staged(ONE)
    move = staged.begin()
    for _ in range(3):
        move = staged.waits(staged.fails(RATE_LIMIT))
    assert send(move).attempt_number == 4
    assert stop(staged.fails(limited(1.5))).failure == limited(1.5)


def test_a_sleep_that_took_too_long_is_followed_by_nothing() -> None:
    """A further attempt needs its least time, also after a wait."""
    for longer, failure in ((58.5, OUTAGE), (59.0, OUTAGE), (59.75, DEADLINE), (100.0, DEADLINE)):
        staged = Staged(ONE, budget=60)
        staged.begin()
        move = staged.waits(staged.fails(OUTAGE), longer=longer)
        assert isinstance(move, Send) if longer == 58.5 else stop(move).failure is failure


# -- caps --------------------------------------------------------------------------------------------------------------


def test_a_call_has_four_attempts() -> None:
    """Over all routes, or all on one."""
    assert Staged(layout(primary="abcdef")).plays(*[AUTH] * 4) == "abcd!"
    assert Staged(ONE).plays(*[OUTAGE] * 4) == "a.a.a.a!"


def test_a_route_has_two_attempts_while_another_is_left() -> None:
    """The last one may use what is left."""
    assert Staged(TWO).plays(*[OUTAGE] * 4) == "a.ab.b!"
    assert Staged(SAME_LANE).plays(*[OUTAGE] * 3) == "a.ab.b"
    assert Staged(TWO).plays(AUTH, OUTAGE, OUTAGE) == "ab.b.b"


def test_one_attempt_is_kept_for_each_later_lane() -> None:
    """A retry is made only if they still have theirs."""
    assert Staged(THREE).plays(*[OUTAGE] * 4) == "a.abc!"
    assert Staged(layout(primary="ab", equivalent="c", degraded="d")).plays(*[OUTAGE] * 4) == "a.acd!"


def test_routes_of_the_same_lane_leave_the_later_lanes_theirs() -> None:
    """They are passed over, and that is told."""
    staged = Staged(layout(primary="abcde", equivalent="f"))
    staged.begin()
    staged.fails(AUTH)
    staged.fails(AUTH)
    move = staged.fails(AUTH)
    assert send(move).route == "f"
    assert skipped(move) == dict.fromkeys("de", "the attempts left are kept for later lanes")


def test_nothing_is_kept_for_a_lane_that_the_failure_does_not_move_into() -> None:
    """Else a route that could help would be passed over for nobody."""
    lanes = (*layout(primary="abcd"), candidate("e", EQUIVALENT, on=kinds("rate_limit")))
    assert Staged(lanes).plays(AUTH, AUTH, AUTH) == "abcd"
    assert Staged(lanes).plays(AUTH, AUTH, limited(30)) == "abce"


def test_nothing_is_kept_for_a_lane_behind_a_route_whose_opening_leads_elsewhere() -> None:
    """What would be passed on on the way counts."""
    lanes = (*layout(primary="abcd", equivalent="e"), candidate("f", DEGRADED, on=kinds("outage")))
    assert Staged(lanes, opened={"e": AUTH}).plays(OVERLOADED, OVERLOADED, OVERLOADED) == "abcd"
    assert Staged(lanes, opened={"e": OUTAGE}).plays(OVERLOADED, OVERLOADED, OVERLOADED) == "abcf"


def test_nothing_is_kept_for_a_lane_that_can_not_be_used() -> None:
    """Open, or not able to do the call."""
    lanes = (*layout(primary="a", equivalent="b"), candidate("c", DEGRADED, incapable="no"))
    assert Staged(lanes).plays(*[OUTAGE] * 3) == "a.ab.b"
    assert Staged(THREE, opened={"c": AUTH}).plays(*[OUTAGE] * 3) == "a.ab.b"


# -- dropping a parameter ----------------------------------------------------------------------------------------------


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


def test_what_can_not_be_left_out_moves_on() -> None:
    """The next route may take it."""
    assert Staged(TWO).plays(UNSUPPORTED) == "ab"


# -- edges -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(FailureKind))
def test_the_default_edges_leave_out_what_no_other_route_cures(kind: FailureKind) -> None:
    """All but seven failures move a call on."""
    stays = kinds(*("bad_request", "content_policy", "local", "cancelled", "deadline", "context_length", "substituted"))
    failure = Failure(kind=kind, retry=Retry.NEXT, breaker=OUTAGE.breaker)
    staged = Staged(TWO)
    staged.begin()
    assert isinstance(staged.fails(failure), Stop if kind in stays else Switch)


def test_a_lane_is_entered_only_by_a_failure_that_it_lists() -> None:
    """Others pass it over, and go on to the lane after it."""
    lanes = (*ONE, candidate("b", EQUIVALENT, on=kinds("rate_limit")), candidate("c", DEGRADED))
    staged = Staged(lanes)
    staged.begin()
    move = staged.fails(AUTH)
    assert send(move).route == "c"
    assert skipped(move) == {"b": "is not used after auth"}
    assert Staged(lanes).plays(limited(30)) == "ab"


def test_the_latest_failure_decides() -> None:
    """Not the one that the call began with."""
    lanes = (*layout(primary="a", equivalent="b"), candidate("c", DEGRADED, on=kinds("rate_limit")))
    assert Staged(lanes).plays(limited(30), AUTH) == "ab!"
    assert Staged(lanes).plays(AUTH, limited(30)) == "abc"


def test_routes_of_a_lane_have_lists_of_their_own() -> None:
    """The entry's, where it has one."""
    lanes = (*ONE, candidate("b", EQUIVALENT, on=kinds("rate_limit")), candidate("c", EQUIVALENT))
    assert Staged(lanes).plays(AUTH) == "ac"
    assert Staged(lanes).plays(limited(30), AUTH) == "abc"


def test_a_list_counts_within_a_lane_as_well() -> None:
    """From one of its routes to the next."""
    lanes = (candidate("a", on=kinds("timeout")), candidate("b", on=kinds("timeout")))
    assert Staged(lanes).plays(TIMEOUT) == "ab"
    assert Staged(lanes).plays(AUTH) == "a!"


def test_the_first_routes_own_list_keeps_no_call_out() -> None:
    """A call begins somewhere."""
    assert Staged((candidate("a", on=()),)).plays() == "a"


def test_a_route_that_is_open_passes_on_what_opened_it() -> None:
    """The lane after it lists that, or is passed over."""
    lanes = (*layout(primary="a", equivalent="b"), candidate("c", DEGRADED, on=kinds("quota")))
    assert Staged(lanes, opened={"b": QUOTA}).plays(AUTH) == "ac"
    assert Staged(lanes, opened={"b": OUTAGE}).plays(AUTH) == "a!"
    assert Staged(lanes, opened={"a": QUOTA, "b": QUOTA}).plays() == "c"
    assert Staged(lanes, opened={"a": OUTAGE, "b": OUTAGE}).plays() == "!"


def test_a_route_that_is_open_and_not_listed_passes_on_nothing_new() -> None:
    """It was not asked."""
    lanes = (*ONE, candidate("b", EQUIVALENT, on=kinds("rate_limit")), candidate("c", DEGRADED, on=kinds("auth")))
    assert Staged(lanes, opened={"b": OUTAGE}).plays(AUTH) == "ac"


def test_a_route_that_can_not_do_the_call_passes_it_on_freely() -> None:
    """Whatever the next lane lists; the failure before it still decides."""
    lanes = (candidate("a", incapable="takes no tools"), candidate("b", EQUIVALENT, on=kinds("rate_limit")))
    move = Staged(lanes).begin()
    assert (send(move).route, send(move).cause, skipped(move)) == ("b", "first", {"a": "takes no tools"})
    lanes = (*ONE, candidate("b", EQUIVALENT, incapable="no"), candidate("c", DEGRADED, on=kinds("auth")))
    assert Staged(lanes).plays(AUTH) == "ac"
    assert Staged(lanes).plays(TIMEOUT) == "a.a"


def test_a_call_that_no_route_can_take_is_told_so() -> None:
    """Nothing is sent."""
    move = Staged((candidate("a", incapable="x"), candidate("b", EQUIVALENT, incapable="y"))).begin()
    assert stop(move).failure is NO_ROUTE
    assert skipped(move) == {"a": "x", "b": "y"}


def test_a_call_whose_routes_are_all_open_is_told_what_opened_them() -> None:
    """Nothing is sent."""
    move = Staged(TWO, opened={"a": OUTAGE, "b": AUTH}).begin()
    assert stop(move).failure is AUTH
    assert skipped(move) == {"a": "is open after outage", "b": "is open after auth"}


@pytest.mark.parametrize(
    ("here", "there", "moves"),
    [(8000, 32000, True), (8000, 8000, False), (8000, 4000, False), (8000, None, False), (None, 32000, False)],
)
def test_a_request_too_long_moves_only_to_a_window_known_to_be_larger(
    here: int | None, there: int | None, moves: bool
) -> None:
    """Where the lane lists it at all."""
    listed = [*DEFAULT, FailureKind.CONTEXT_LENGTH]
    lanes = (candidate("a", window=here), candidate("b", EQUIVALENT, on=listed, window=there))
    assert Staged(lanes).plays(TOO_LONG) == ("ab" if moves else "a!")
    lanes = (candidate("a", window=here), candidate("b", EQUIVALENT, window=there))
    assert Staged(lanes).plays(TOO_LONG) == "a!"


def test_a_request_refused_in_the_form_of_one_lane_moves_on() -> None:
    """If only that lane transformed it, and an earlier one had accepted it: what led there goes on deciding."""
    lanes = (*layout(primary="a", equivalent="b"), candidate("c", DEGRADED, on=kinds("timeout")))
    staged = Staged(lanes)
    staged.begin()
    staged.fails(TIMEOUT)
    assert send(staged.fails(BAD_REQUEST, transformed=True)).route == "c"


@pytest.mark.parametrize(
    ("first", "first_transformed", "second_transformed"),
    [(TIMEOUT, False, False), (TIMEOUT, True, True), (AUTH, False, True), (limited(30), False, True)],
)
def test_a_request_that_may_be_wrong_itself_stops(
    first: Failure, first_transformed: bool, second_transformed: bool
) -> None:
    """Not transformed, or transformed before as well, or never accepted: the app must be told."""
    staged = Staged(THREE)
    staged.begin()
    staged.fails(first, transformed=first_transformed)
    assert stop(staged.fails(BAD_REQUEST, transformed=second_transformed)).failure is BAD_REQUEST


def test_a_request_refused_in_a_transformed_form_by_the_first_lane_stops() -> None:
    """Nobody had accepted it; another route of the same lane is no earlier lane."""
    staged = Staged(layout(primary="ab", equivalent="c"))
    staged.begin()
    staged.fails(TIMEOUT)
    assert isinstance(staged.fails(BAD_REQUEST, transformed=True), Stop)


def test_an_answer_of_another_model_moves_a_sensitive_call_only() -> None:
    """To the next approved route, whatever its lane lists; there are no others among its candidates."""
    lanes = (*ONE, candidate("b", EQUIVALENT, on=kinds("rate_limit")))
    assert Staged(lanes, sensitive=True).plays(SUBSTITUTED) == "ab"
    assert Staged(lanes, sensitive=True).plays(SUBSTITUTED, SUBSTITUTED) == "ab!"
    listed = (*ONE, candidate("b", EQUIVALENT, on=FailureKind))
    assert Staged(listed).plays(SUBSTITUTED) == "a!"


def test_a_drill_goes_on_to_the_lanes_before_its_start() -> None:
    """The candidates come turned: the lanes before the start are the last, and count as later ones."""
    turned = tuple(
        candidate(route, lane, timeout=1000) for route, lane in (("c", DEGRADED), ("a", PRIMARY), ("b", EQUIVALENT))
    )
    staged = Staged(turned, budget=100)
    assert send(staged.begin()).timeout == 60
    moves = [staged.fails(AUTH), staged.fails(AUTH)]
    assert [(send(move).route, send(move).lane) for move in moves] == [("a", PRIMARY), ("b", EQUIVALENT)]
    assert isinstance(staged.fails(AUTH), Stop)


# -- health ------------------------------------------------------------------------------------------------------------


def test_a_retry_that_waited_asks_for_health_again() -> None:
    """A route that was opened meanwhile gets nothing; what opened it leads on."""
    staged = Staged((*ONE, candidate("b", EQUIVALENT, on=kinds("outage")), candidate("c", DEGRADED, on=kinds("auth"))))
    staged.begin()
    wait = staged.fails(OUTAGE)
    staged.opened["a"] = AUTH
    move = staged.waits(wait)
    assert (send(move).route, send(move).cause) == ("c", "switch")
    assert skipped(move) == {"a": "is open after auth", "b": "is not used after auth"}


def test_a_retry_whose_route_was_opened_and_that_has_nowhere_to_go_tells_what_it_met_itself() -> None:
    """The last attempt's failure, not what other calls met."""
    staged = Staged(ONE)
    staged.begin()
    wait = staged.fails(OUTAGE)
    staged.opened["a"] = AUTH
    assert stop(staged.waits(wait)).failure is OUTAGE


@pytest.mark.parametrize(
    ("failure", "said"), [(UNREACHABLE, {}), (UNSUPPORTED, {"droppable": True}), (OUTAGE, {}), (limited(1), {})]
)
def test_a_route_that_its_last_failure_opened_is_not_tried_again(failure: Failure, said: dict[str, bool]) -> None:
    """Neither at once nor after a wait, which would be for nothing."""
    for lanes, moves in ((TWO, Switch), (ONE, Stop)):
        staged = Staged(lanes)
        staged.begin()
        staged.opened["a"] = AUTH
        assert isinstance(staged.fails(failure, **said), moves)


def test_a_route_closed_by_a_429_is_left_alone_while_another_may_be_used() -> None:
    """It is passed over at the start, after a wait, and before a retry at once."""
    assert Staged(TWO, opened={"a": RATE_LIMIT}).plays() == "b"
    staged = Staged(TWO)
    staged.begin()
    wait = staged.fails(OUTAGE)
    staged.opened["a"] = RATE_LIMIT
    assert send(staged.waits(wait)).route == "b"
    staged = Staged(TWO)
    staged.begin()
    staged.opened["a"] = RATE_LIMIT
    assert send(staged.fails(UNREACHABLE)).route == "b"


def test_the_last_route_is_used_although_a_429_closed_it() -> None:
    """One route under us is never worse than the plain SDK: at the start, after a wait, and at once."""
    assert Staged(ONE, opened={"a": RATE_LIMIT}).plays(RATE_LIMIT, RATE_LIMIT) == "a.a.a"
    assert Staged(ONE, opened={"a": RATE_LIMIT}).plays(UNREACHABLE) == "aa"
    assert Staged(TWO, opened={"b": RATE_LIMIT}).plays(AUTH) == "ab"


def test_of_routes_that_429s_closed_the_preferred_is_used() -> None:
    """Only those whose lane lists the failure, and only where none is better."""
    assert Staged(THREE, opened=dict.fromkeys("abc", RATE_LIMIT)).plays() == "a"
    assert Staged(THREE, opened={"a": AUTH, "b": RATE_LIMIT, "c": RATE_LIMIT}).plays() == "b"
    assert Staged(THREE, opened={"a": RATE_LIMIT, "b": RATE_LIMIT}).plays() == "c"
    lanes = (*ONE, candidate("b", EQUIVALENT, on=kinds("rate_limit")))
    assert Staged(lanes, opened={"a": AUTH, "b": RATE_LIMIT}).plays() == "!"


def test_a_route_in_use_is_preferred_to_one_that_a_429_closed() -> None:
    """It is alone then: it may wait, and has what is left of the attempts."""
    assert Staged(TWO, opened={"b": RATE_LIMIT}).plays(*[OUTAGE] * 3) == "a.a.a.a"
    assert Staged(TWO, opened={"b": RATE_LIMIT}).plays(limited(20)) == "a.a"


def test_what_is_used_last_of_all_is_not_among_the_skipped() -> None:
    """The trace says of each route one thing."""
    move = Staged(TWO, opened={"a": AUTH, "b": RATE_LIMIT}).begin()
    assert skipped(move) == {"a": "is open after auth"}


# -- what a move tells -------------------------------------------------------------------------------------------------


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
