"""What one worker knows of its routes: who may pass a guard, what outcomes do, and how its word meets the others'."""

from __future__ import annotations

from _routing.planning import AUTH, CONTRACT, OUTAGE, RATE_LIMIT, TOO_LONG, UNREACHABLE, limited
from lanewise._failures import failure_table as failures
from lanewise._health.circuit import BreakerSettings, Circuit, Failed, LeaseAsked, LeaseRenewed, Succeeded
from lanewise._health.local_breaker import Guard, Replica
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


class Watch:
    """A guard with a clock that stands where it is told."""

    def __init__(self, *, shared: bool = False) -> None:
        self.account = Replica("me", NUMBERS)
        self.guard = Guard(Replica("me", NUMBERS), self.account)
        self.shared = shared
        self.now = 0.0

    def asks(self) -> Failure | None:
        return self.guard.closed_by(self.now, shared=self.shared)

    def passes(self, failure: Failure | None) -> None:
        """An attempt goes through at once, and ends so."""
        entry = self.guard.enter(self.now, shared=self.shared)
        assert entry is not None
        self.guard.leave(entry, failure, self.now, jitter=0.5)

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
    assert watch.guard.enter(4.0, shared=False) is None


def test_half_open_lets_one_probe_through_at_a_time() -> None:
    """Every outcome releases it: a success closes, a failure opens, all else lets the next one try."""
    watch = Watch()
    watch.opens()
    watch.now = 10.0
    assert watch.asks() is None
    probe = watch.guard.enter(10.0, shared=False)
    assert probe is not None
    assert probe.probes_route
    assert watch.asks() is not None
    assert watch.guard.enter(10.0, shared=False) is None
    for neutral in (failures.CANCELLED.failure(), CONTRACT, TOO_LONG):
        watch.guard.leave(probe, neutral, 10.0, jitter=0.5)
        probe = watch.guard.enter(10.0, shared=False)
        assert probe is not None
    watch.guard.leave(probe, OUTAGE, 10.0, jitter=0.5)
    assert watch.guard.route.circuit.is_open(29.9)
    watch.now = 30.0
    watch.passes(None)
    assert watch.guard.calm
    assert watch.asks() is None


def test_a_late_success_closes_nothing() -> None:
    """It began before the opening."""
    watch = Watch()
    late = watch.guard.enter(0.0, shared=False)
    assert late is not None
    watch.opens()
    watch.guard.leave(late, None, 1.0, jitter=0.5)
    watch.guard.leave(late, None, 11.0, jitter=0.5)
    assert watch.guard.route.circuit.is_half_open(11.0)


def test_a_bad_key_opens_all_routes_of_the_account_at_once() -> None:
    """And one call probes for all of them."""
    watch = Watch()
    other = Guard(Replica("me", NUMBERS), watch.account)
    watch.passes(AUTH)
    for guard in (watch.guard, other):
        closed = guard.closed_by(1.0, shared=False)
        assert closed is not None
        assert closed.kind is AUTH.kind
    probe = other.enter(10.0, shared=False)
    assert probe is not None
    assert watch.guard.enter(10.0, shared=False) is None
    other.leave(probe, None, 10.0, jitter=0.5)
    assert watch.guard.closed_by(10.0, shared=False) is None


def test_half_of_ten_outcomes_in_a_minute_open_a_route() -> None:
    """Also where no five fail in a row; what is older does not count."""
    watch = Watch()
    for _ in range(4):
        watch.passes(None)
        watch.passes(OUTAGE)
    assert watch.asks() is None
    watch.passes(None)
    watch.passes(OUTAGE)
    assert watch.asks() is not None
    old = Watch()
    for _ in range(4):
        old.passes(None)
        old.passes(OUTAGE)
    old.now = 80.0
    old.passes(None)
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
        watch.guard.answered_plain()
    assert watch.asks() is None
    for _ in range(5):
        watch.passes(EYELESS)
    assert watch.asks() is not None


def test_failures_at_pictures_are_a_share_where_only_pictures_are_answered() -> None:
    """Nobody shows that the route is well: half of ten outcomes opens it, as any failures do."""
    watch = Watch()
    for _ in range(5):
        watch.passes(None)
        watch.passes(EYELESS)
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
    assert watch.guard.enter(3.0, shared=False) is not None


# -- with other workers ------------------------------------------------------------------------------------------------


def test_with_a_store_only_the_holder_of_the_lease_probes() -> None:
    """Whoever does not hold it says that a probe is wanted; while the store is not heard each worker probes alone."""
    watch = Watch(shared=True)
    watch.opens()
    watch.now = 10.0
    route = watch.guard.route
    assert watch.asks() is not None
    assert route.wanted
    assert watch.guard.closed_by(10.0, shared=False) is None
    held = Circuit(turn=1, open_until=10.0, why=OUTAGE, holder="me", lease_until=15.0)
    route.adopt(held, version=9, said=len(route.unsaid))
    assert watch.asks() is None
    watch.now = 14.5
    assert watch.asks() is not None, "the lease may be over by the store's clock"


def test_a_holder_that_offers_the_probe_does_not_begin_one_before_it_has_the_answer() -> None:
    """Its word that it has no call may have handed the lease on by then."""
    watch = Watch(shared=True)
    watch.opens()
    watch.now = 10.0
    route = watch.guard.route
    held = Circuit(turn=1, open_until=10.0, why=OUTAGE, holder="me", lease_until=15.0)
    route.adopt(held, version=1, said=len(route.unsaid))
    route.note(LeaseRenewed("me", in_use=False), 10.0)
    assert watch.guard.enter(10.0, shared=True) is None
    route.adopt(held, version=2, said=1)
    assert watch.guard.enter(10.0, shared=True) is not None


def test_a_holder_that_offered_the_probe_as_the_store_fell_silent_probes_by_itself() -> None:
    """The answer that it waits for won't come, and while nobody is heard each worker goes on by itself."""
    watch = Watch(shared=True)
    watch.opens()
    watch.now = 10.0
    route = watch.guard.route
    held = Circuit(turn=1, open_until=10.0, why=OUTAGE, holder="me", lease_until=15.0)
    route.adopt(held, version=1, said=len(route.unsaid))
    route.note(LeaseRenewed("me", in_use=False), 10.0)
    watch.shared = False
    assert watch.asks() is None
    assert watch.guard.enter(10.0, shared=False) is not None


def test_nothing_is_kept_for_others_who_hear_nothing() -> None:
    """An outage of the store may last for days. What happened is in the circuit, and told with it."""
    replica = Replica("me", NUMBERS)
    replica.note(Failed(0, OUTAGE, 0.5), 0.0)
    replica.go_alone()
    for _ in range(1000):
        assert replica.note(Failed(0, OUTAGE, 0.5), 0.0)
        replica.note(Succeeded(0), 0.0)
        replica.note(LeaseAsked("me"), 0.0)
    replica.note(Failed(0, OUTAGE, 0.5), 0.0)
    assert replica.unsaid == []
    assert replica.converge(Circuit(), version=1).row == 1
    replica.note(Failed(0, OUTAGE, 0.5), 0.0)
    assert len(replica.unsaid) == 1


def test_what_a_worker_knows_itself_is_not_overwritten_by_what_the_others_know() -> None:
    """As long as they have not heard of it."""
    replica = Replica("me", NUMBERS)
    for _ in range(5):
        replica.note(Failed(0, OUTAGE, 0.5), 0.0)
    replica.adopt(Circuit(row=2), version=1, said=2)
    assert replica.circuit.is_open(5.0)
    replica.adopt(Circuit(turn=1, open_until=10.0, why=OUTAGE), version=2, said=3)
    assert replica.unsaid == []
    replica.adopt(Circuit(turn=2), version=3, said=0)
    assert replica.calm


def test_what_could_not_be_taken_over_at_once_is_taken_over_when_it_comes_again() -> None:
    """The word of the others came while this worker had something to say, which then changed nothing."""
    replica = Replica("me", NUMBERS)
    replica.note(Failed(0, OUTAGE, 0.5), 0.0)
    opened = Circuit(turn=1, open_until=10.0, why=OUTAGE)
    replica.adopt(opened, version=8, said=0)
    replica.adopt(opened, version=8, said=1)
    assert replica.circuit.is_open(5.0)


def test_old_news_changes_nothing() -> None:
    """Messages may overtake each other."""
    replica = Replica("me", NUMBERS)
    replica.adopt(Circuit(turn=2), version=7, said=0)
    replica.adopt(Circuit(turn=1, open_until=10.0, why=OUTAGE), version=6, said=0)
    assert replica.calm


def test_only_what_changes_something_is_told() -> None:
    """A success of a route that is well is no news, and neither is a failure of one that is open."""
    replica = Replica("me", NUMBERS)
    assert not replica.note(Succeeded(0), 0.0)
    assert replica.note(Failed(0, UNREACHABLE, 0.5), 0.0)
    assert replica.note(Succeeded(0), 0.0)
    for _ in range(5):
        assert replica.note(Failed(0, OUTAGE, 0.5), 0.0)
    assert not replica.note(Failed(0, OUTAGE, 0.5), 0.0)
    assert replica.note(LeaseAsked("me"), 10.0)
    assert replica.circuit.holder == "", "who holds it is for the store to say"


def test_after_a_time_of_silence_both_sides_come_to_the_same() -> None:
    """What this worker met meanwhile is in its state, and not told again."""
    replica = Replica("me", NUMBERS)
    for _ in range(5):
        replica.note(Failed(0, OUTAGE, 0.5), 0.0)
    assert replica.converge(Circuit(row=1), version=4).is_open(5.0)
    assert replica.unsaid == []
    assert replica.converge(Circuit(turn=5), version=5).turn == 5
