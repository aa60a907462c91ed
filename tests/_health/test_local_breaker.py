"""What one worker knows of its routes: who may pass, what outcomes do, and how its word meets the others'."""

from __future__ import annotations

from _routing.planning import AUTH, CONTRACT, OUTAGE, RATE_LIMIT, TOO_LONG, UNREACHABLE, limited
from lanewise._failures import failure_table as failures
from lanewise._health.breakers.circuit import BreakerSettings, Circuit, Failed, LeaseAsked, LeaseRenewed, Succeeded
from lanewise._health.breakers.local_breaker import LocalBreaker
from lanewise._health.breakers.route_health import RouteHealth
from lanewise.types import Failure

NUMBERS = BreakerSettings()
EYELESS = failures.ATTACHMENT_ERROR.failure(http_status=500)
REFUSED = (
    failures.KEY_UNAVAILABLE.failure(),
    failures.AUTH_UNRECOGNISED.failure(http_status=403),
    failures.QUOTA_UNSURE.failure(http_status=412),
    failures.NOT_ABOUT_CONTENT.failure(http_status=431),
    failures.ADDITION_REFUSED.failure(http_status=500),
    failures.SERVER_ERROR_DOUBTED.failure(http_status=500),
)


def route_of(account: LocalBreaker) -> RouteHealth:
    """A route of an account, whose calls could go to another that nobody knows anything of."""
    health = RouteHealth(LocalBreaker("me", NUMBERS), account)
    health.others = (RouteHealth(LocalBreaker("me", NUMBERS), LocalBreaker("me", NUMBERS)),)
    return health


class Watch:
    """A route's health with a clock that stands where it is told."""

    def __init__(self, *, shared: bool = False) -> None:
        self.account = LocalBreaker("me", NUMBERS)
        self.health = route_of(self.account)
        self.shared = shared
        self.now = 0.0

    def asks(self) -> Failure | None:
        closed = self.health.closed_to(self.now, shared=self.shared)
        return None if closed is None else closed.failure

    def passes(self, failure: Failure | None) -> None:
        """An attempt goes through at once, and ends so."""
        permit = self.health.enter(self.now, shared=self.shared)
        assert permit is not None
        self.health.leave(permit, failure, self.now, jitter=0.5)

    def opens(self) -> None:
        """Five failures in a row."""
        for _ in range(5):
            self.passes(OUTAGE)


def test_an_open_route_lets_nothing_pass_and_says_for_how_long() -> None:
    """With the failure that opened it."""
    watch = Watch()
    watch.opens()
    watch.now = 4.0
    closed = watch.asks()
    assert closed is not None
    assert (closed.kind, closed.retry_after) == (OUTAGE.kind, 6.0)
    assert watch.health.enter(4.0, shared=False) is None


def test_half_open_lets_one_probe_through_at_a_time() -> None:
    """Every outcome releases it: a success closes, a failure opens, all else lets the next one try."""
    watch = Watch()
    watch.opens()
    watch.now = 10.0
    assert watch.asks() is None
    probe = watch.health.enter(10.0, shared=False)
    assert probe is not None
    assert probe.probes_route
    assert watch.asks() is not None
    assert watch.health.enter(10.0, shared=False) is None
    for neutral in (failures.CANCELLED.failure(), CONTRACT, TOO_LONG):
        watch.health.leave(probe, neutral, 10.0, jitter=0.5)
        probe = watch.health.enter(10.0, shared=False)
        assert probe is not None
    watch.health.leave(probe, OUTAGE, 10.0, jitter=0.5)
    assert watch.health.route.circuit.is_open(29.9)
    watch.now = 30.0
    watch.passes(None)
    assert watch.health.pristine
    assert watch.asks() is None


def test_a_late_success_closes_nothing() -> None:
    """It began before the opening."""
    watch = Watch()
    late = watch.health.enter(0.0, shared=False)
    assert late is not None
    watch.opens()
    watch.health.leave(late, None, 1.0, jitter=0.5)
    watch.health.leave(late, None, 11.0, jitter=0.5)
    assert watch.health.route.circuit.is_half_open(11.0)


def test_a_bad_key_opens_all_routes_of_the_account_at_once() -> None:
    """And one call probes for all of them."""
    watch = Watch()
    other = route_of(watch.account)
    watch.passes(AUTH)
    for health in (watch.health, other):
        closed = health.closed_to(1.0, shared=False)
        assert closed is not None
        assert (closed.failure.kind, closed.last_resort) == (AUTH.kind, False)
    probe = other.enter(10.0, shared=False)
    assert probe is not None
    assert watch.health.enter(10.0, shared=False) is None
    other.leave(probe, None, 10.0, jitter=0.5)
    assert watch.health.closed_to(10.0, shared=False) is None


def test_a_share_of_failures_that_the_outcomes_of_a_minute_bear_out_opens_a_route() -> None:
    """Also where no five fail in a row: seven of ten, not five, which may be chance; what is older does not count."""
    half = Watch()
    for _ in range(5):
        half.passes(None)
        half.passes(OUTAGE)
    assert half.asks() is None
    watch, old = Watch(), Watch()
    for each in (watch, old):
        for outcome in (None, OUTAGE, OUTAGE, None, OUTAGE, OUTAGE, OUTAGE, None, OUTAGE):
            each.passes(outcome)
        assert each.asks() is None
    watch.passes(OUTAGE)
    assert watch.asks() is not None
    old.now = 80.0
    old.passes(OUTAGE)
    assert old.asks() is None


def test_what_one_caller_can_cause_opens_nothing() -> None:
    """However often: prompts that are too long, broken contracts, a key function of the app's that fails, a 403."""
    watch = Watch()
    for _ in range(50):
        for failure in (TOO_LONG, CONTRACT, failures.BAD_REQUEST.failure(), failures.TIMEOUT_SHORT.failure(), *REFUSED):
            watch.passes(failure)
    assert watch.asks() is None


def test_a_failure_at_pictures_counts_until_the_route_answers_a_call_without() -> None:
    """A server without eyes is not down for others; one that nobody gets an answer of is."""
    watch = Watch()
    for _ in range(30):
        watch.passes(EYELESS)
        watch.passes(EYELESS)
        watch.passes(None)
        watch.health.answered_plain()
    assert watch.asks() is None
    for _ in range(5):
        watch.passes(EYELESS)
    assert watch.asks() is not None


def test_failures_at_pictures_are_a_share_where_only_pictures_are_answered() -> None:
    """Nobody shows that the route is well: seven of ten outcomes open it, as any failures do."""
    watch = Watch()
    for outcome in (None, EYELESS, EYELESS, None, EYELESS, EYELESS, EYELESS, None, EYELESS, EYELESS):
        watch.passes(outcome)
    assert watch.asks() is not None


def test_a_429_closes_to_new_calls_and_is_no_failure() -> None:
    """For as long as it says; without a time it says none either, so that a call that waited may go."""
    watch = Watch()
    for _ in range(9):
        watch.passes(limited(3))
    closed = watch.asks()
    assert closed is not None
    assert (closed.kind, closed.retry_after) == (RATE_LIMIT.kind, 3.0)
    watch.now = 3.0
    assert watch.asks() is None
    watch.passes(RATE_LIMIT)
    closed = watch.asks()
    assert closed is not None
    assert closed.retry_after is None
    assert watch.health.enter(3.0, shared=False) is not None


# -- others, and the last resort ---------------------------------------------------------------------------------------


def test_nobody_is_moved_to_a_route_that_fails_more() -> None:
    """Opening asks whether the others are any better, by what is known of them of late."""
    watch = Watch()
    worse = watch.health.others[0]
    for _ in range(10):
        permit = worse.enter(0.0, shared=False)
        assert permit is not None
        worse.leave(permit, OUTAGE if _ % 5 else None, 0.0, jitter=0.5)
    assert worse.route.circuit.open_until is None, "it has no better one to go to itself"
    for _ in range(10):
        watch.passes(None)
    for _ in range(6):
        watch.passes(OUTAGE)
    assert watch.asks() is None
    while watch.asks() is None:
        watch.passes(OUTAGE)
    assert watch.health.route.circuit.unanswered > 30, "by then it fails more than the other"


def test_what_counted_failures_opened_is_a_last_resort_and_other_openings_are_none() -> None:
    """A key that is refused, a model that is missing, a person's word: none of them fails in part."""
    watch = Watch()
    watch.opens()
    closed = watch.health.closed_to(1.0, shared=False)
    assert closed is not None
    assert closed.last_resort
    assert watch.health.enter(1.0, shared=False) is None
    assert watch.health.enter(1.0, shared=False, last_resort=True) is not None
    for failure in (AUTH, failures.MODEL_MISSING.failure(), failures.TLS.failure()):
        other = Watch()
        other.passes(failure)
        closed = other.health.closed_to(1.0, shared=False)
        assert closed is not None
        assert not closed.last_resort
        assert other.health.enter(1.0, shared=False, last_resort=True) is None


def test_a_throttled_route_lets_one_attempt_a_second_through() -> None:
    """And says what it is waiting for."""
    watch = Watch()
    for _ in range(50):
        watch.now += 0.06
        permit = watch.health.enter(watch.now, shared=False, last_resort=True)
        if permit is not None:
            watch.health.leave(permit, OUTAGE, watch.now, jitter=0.5)
    closed = watch.health.closed_to(watch.now, shared=False)
    assert closed is not None
    assert closed.throttle is not None
    assert str(closed.throttle).startswith("throttled: 40 failures in a row; the next probe in ")
    assert watch.health.enter(watch.now, shared=False, last_resort=True) is None
    sent = 0
    for _ in range(300):
        watch.now += 0.01
        if watch.health.route.next_slot(watch.now, shared=False, asks=True) <= 0:
            sent += watch.health.enter(watch.now, shared=False, last_resort=True, slot=True) is not None
    assert sent == 3


# -- what is under way -------------------------------------------------------------------------------------------------


def test_after_two_failures_in_a_row_attempts_under_way_count_as_failures_until_they_answer() -> None:
    """An outage is found by five attempts, however many calls there are at a time."""
    watch = Watch()
    first = [watch.health.enter(0.0, shared=False) for _ in range(4)]
    for permit in first[:2]:
        assert permit is not None
        assert watch.asks() is None
        watch.health.leave(permit, OUTAGE, 0.1, jitter=0.5)
    third = watch.health.enter(0.1, shared=False)
    closed = watch.health.closed_to(0.1, shared=False)
    assert closed is not None
    assert closed.last_resort
    assert closed.reason == "2 failures in a row, and 3 attempts under way that may make it open"
    assert watch.health.enter(0.1, shared=False, last_resort=True) is not None, "where there is no other"
    assert third is not None
    watch.health.leave(third, None, 0.2, jitter=0.5)
    assert watch.asks() is None, "an answer says that the route is well"


def test_what_is_under_way_keeps_nobody_from_a_route_that_has_no_better() -> None:
    watch = Watch()
    watch.health.others = ()
    permits = [watch.health.enter(0.0, shared=False) for _ in range(20)]
    for permit in permits[:4]:
        assert permit is not None
        watch.health.leave(permit, OUTAGE, 0.1, jitter=0.5)
    assert watch.asks() is None


def test_a_conflict_is_no_answer_and_opens_nothing() -> None:
    """So a route that gives nothing else gets no fourth attempt of a call."""
    watch = Watch()
    for _ in range(40):
        watch.passes(failures.CONFLICT.failure(http_status=409))
    assert watch.health.answered_share == 0.0
    assert watch.asks() is None


def test_a_limit_that_answers_all_the_same_is_one_in_part_until_forty_in_a_row() -> None:
    """Then the provider is taken at its word again."""
    watch = Watch()
    watch.passes(limited(20))
    closed = watch.health.closed_to(1.0, shared=False)
    assert closed is not None
    assert not closed.in_part
    watch.now = 1.0
    watch.passes(None)
    for number in range(41):
        permit = watch.health.enter(1.0, shared=False, last_resort=True)
        assert permit is not None
        watch.health.leave(permit, limited(20), 1.0, jitter=0.5)
        closed = watch.health.closed_to(1.0, shared=False)
        assert closed is not None
        assert closed.in_part == (number < 39)


# -- silence -----------------------------------------------------------------------------------------------------------


def hangs(watch: Watch, *, usual: float = 0.2, attempts: int = 5) -> None:
    """Thirty answers that begin after the usual time, and then attempts that get none."""
    for _ in range(30):
        permit = watch.health.enter(watch.now, shared=False)
        assert permit is not None
        watch.now += usual
        watch.health.heard(permit, watch.now)
        watch.health.leave(permit, None, watch.now, jitter=0.5)
    for _ in range(attempts):
        assert watch.health.enter(watch.now, shared=False) is not None


def test_five_attempts_that_are_silent_for_long_open_a_route() -> None:
    """Long is three times the usual first byte, and five seconds at least; four are too few."""
    for usual, long in ((0.2, 5.0), (4.0, 12.0)):
        watch = Watch()
        hangs(watch, usual=usual)
        assert not watch.health.open_if_silent(watch.now + long - 0.1, jitter=0.5)
        watch.health.open_if_silent(watch.now + long, jitter=0.5)
        watch.now += long
        closed = watch.health.closed_to(watch.now, shared=False)
        assert closed is not None
        assert closed.last_resort
        assert closed.failure.cause == f"5 attempts without a byte for {long:.3g} s"
        assert watch.health.first_byte == long, "its probe waits no longer for a sign"
    few = Watch()
    hangs(few, attempts=4)
    few.health.open_if_silent(few.now + 60.0, jitter=0.5)
    assert few.asks() is None


def test_a_byte_to_anybody_says_that_a_route_does_not_hang() -> None:
    """A long answer that is still coming, say."""
    watch = Watch()
    streaming = watch.health.enter(watch.now, shared=False)
    assert streaming is not None
    watch.health.heard(streaming, watch.now)
    hangs(watch)
    watch.health.heard(streaming, watch.now + 4.0)
    watch.health.open_if_silent(watch.now + 8.0, jitter=0.5)
    assert watch.asks() is None


def test_a_route_that_hangs_stays_where_there_is_no_other() -> None:
    """A breaker is for having somewhere better to go."""
    watch = Watch()
    watch.health.others = ()
    hangs(watch)
    watch.health.open_if_silent(watch.now + 60.0, jitter=0.5)
    assert watch.asks() is None


# -- with other workers ------------------------------------------------------------------------------------------------


def test_with_a_store_only_the_holder_of_the_lease_probes() -> None:
    """Whoever does not hold it says that a probe is wanted; while the store is not heard each worker probes alone."""
    watch = Watch(shared=True)
    watch.opens()
    watch.now = 10.0
    route = watch.health.route
    assert watch.asks() is not None
    assert route.wanted
    assert watch.health.closed_to(10.0, shared=False) is None
    held = Circuit(generation=1, open_until=10.0, why=OUTAGE, holder="me", lease_until=15.0)
    route.replace(held, version=9, sent=len(route.pending_events))
    assert watch.asks() is None
    watch.now = 14.5
    assert watch.asks() is not None, "the lease may be over by the store's clock"


def test_a_holder_that_offers_the_probe_does_not_begin_one_before_it_has_the_answer() -> None:
    """Its word that it has no call may have handed the lease on by then."""
    watch = Watch(shared=True)
    watch.opens()
    watch.now = 10.0
    route = watch.health.route
    held = Circuit(generation=1, open_until=10.0, why=OUTAGE, holder="me", lease_until=15.0)
    route.replace(held, version=1, sent=len(route.pending_events))
    route.note(LeaseRenewed("me", in_use=False), 10.0)
    assert watch.health.enter(10.0, shared=True) is None
    route.replace(held, version=2, sent=1)
    assert watch.health.enter(10.0, shared=True) is not None


def test_a_holder_that_offered_the_probe_as_the_store_fell_silent_probes_by_itself() -> None:
    """The answer that it waits for won't come, and while nobody is heard each worker goes on by itself."""
    watch = Watch(shared=True)
    watch.opens()
    watch.now = 10.0
    route = watch.health.route
    held = Circuit(generation=1, open_until=10.0, why=OUTAGE, holder="me", lease_until=15.0)
    route.replace(held, version=1, sent=len(route.pending_events))
    route.note(LeaseRenewed("me", in_use=False), 10.0)
    watch.shared = False
    assert watch.asks() is None
    assert watch.health.enter(10.0, shared=False) is not None


def test_nothing_is_kept_for_others_who_hear_nothing() -> None:
    """An outage of the store may last for days. What happened is in the circuit, and told with it."""
    breaker = LocalBreaker("me", NUMBERS)
    breaker.note(Failed(0, OUTAGE, 0.5), 0.0)
    breaker.detach()
    for _ in range(1000):
        assert breaker.note(Failed(0, OUTAGE, 0.5), 0.0)
        breaker.note(Succeeded(0), 0.0)
        breaker.note(LeaseAsked("me"), 0.0)
    breaker.note(Failed(0, OUTAGE, 0.5), 0.0)
    assert breaker.pending_events == []
    assert breaker.reconcile(Circuit(), version=1).consecutive_failures == 1
    breaker.note(Failed(0, OUTAGE, 0.5), 0.0)
    assert len(breaker.pending_events) == 1


def test_what_a_worker_knows_itself_is_not_overwritten_by_what_the_others_know() -> None:
    """As long as they have not heard of it."""
    breaker = LocalBreaker("me", NUMBERS)
    for _ in range(5):
        breaker.note(Failed(0, OUTAGE, 0.5), 0.0)
    breaker.replace(Circuit(consecutive_failures=2), version=1, sent=2)
    assert breaker.circuit.is_open(5.0)
    breaker.replace(Circuit(generation=1, open_until=10.0, why=OUTAGE), version=2, sent=3)
    assert breaker.pending_events == []
    breaker.replace(Circuit(generation=2), version=3, sent=0)
    assert breaker.pristine


def test_what_could_not_be_taken_over_at_once_is_taken_over_when_it_comes_again() -> None:
    """The word of the others came while this worker had something to say, which then changed nothing."""
    breaker = LocalBreaker("me", NUMBERS)
    breaker.note(Failed(0, OUTAGE, 0.5), 0.0)
    opened = Circuit(generation=1, open_until=10.0, why=OUTAGE)
    breaker.replace(opened, version=8, sent=0)
    breaker.replace(opened, version=8, sent=1)
    assert breaker.circuit.is_open(5.0)


def test_old_news_changes_nothing() -> None:
    """Messages may overtake each other."""
    breaker = LocalBreaker("me", NUMBERS)
    breaker.replace(Circuit(generation=2), version=7, sent=0)
    breaker.replace(Circuit(generation=1, open_until=10.0, why=OUTAGE), version=6, sent=0)
    assert breaker.pristine


def test_only_what_changes_something_is_told() -> None:
    """A success of a route that is well is no news. A failure of one that is open is: it may come to a throttle."""
    breaker = LocalBreaker("me", NUMBERS)
    assert not breaker.note(Succeeded(0), 0.0)
    assert breaker.note(Failed(0, UNREACHABLE, 0.5), 0.0)
    assert breaker.note(Succeeded(0), 0.0)
    for _ in range(5):
        assert breaker.note(Failed(0, OUTAGE, 0.5), 0.0)
    assert not breaker.note(Failed(0, OUTAGE, 0.5), 0.0), "it began before the opening"
    assert breaker.note(Failed(1, OUTAGE, 0.5), 0.0)
    assert breaker.note(LeaseAsked("me"), 10.0)
    assert breaker.circuit.holder == "", "who holds it is for the store to say"


def test_after_a_time_of_silence_both_sides_come_to_the_same() -> None:
    """What this worker met meanwhile is in its state, and not told again."""
    breaker = LocalBreaker("me", NUMBERS)
    for _ in range(5):
        breaker.note(Failed(0, OUTAGE, 0.5), 0.0)
    assert breaker.reconcile(Circuit(consecutive_failures=1), version=4).is_open(5.0)
    assert breaker.pending_events == []
    assert breaker.reconcile(Circuit(generation=5), version=5).generation == 5
