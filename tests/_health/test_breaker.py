"""Circuits: what opens one, who may probe it, what closes it, and what workers come to after a time of silence."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from _routing.planning import AUTH, OUTAGE, RATE_LIMIT, limited
from lanewise._failures import failure_table as failures
from lanewise._health.breakers.circuit import (
    BreakerSettings,
    ByHand,
    Circuit,
    CircuitOpened,
    Event,
    Failed,
    LeaseAsked,
    LeaseRenewed,
    Limited,
    Released,
    SlotAsked,
    Succeeded,
)
from lanewise._health.breakers.transitions import BY_HAND, after, merged

NUMBERS = BreakerSettings()
MIDDLE = 0.5
"""The jitter that changes nothing."""


def played(*events: tuple[float, Event], circuit: Circuit | None = None) -> Circuit:
    """A circuit after events, each with its time."""
    circuit = circuit or Circuit()
    for now, event in events:
        circuit = after(circuit, event, now, NUMBERS)
    return circuit


def failed(generation: int = 0, probe: str = "", jitter: float = MIDDLE, failure: Any = OUTAGE) -> Failed:
    return Failed(generation, failure, jitter, probe)


def opened(now: float = 0.0, jitter: float = MIDDLE) -> Circuit:
    """A circuit that opened once."""
    return played(*[(now, failed(jitter=jitter))] * 5)


def test_five_failures_in_a_row_open_for_ten_seconds() -> None:
    """Not four; and the fifth says why."""
    assert played(*[(0.0, failed())] * 4).open_until is None
    circuit = opened()
    assert (circuit.opened_at, circuit.open_until, circuit.why) == (0.0, 10.0, OUTAGE)
    assert circuit.is_open(9.9)
    assert not circuit.is_open(10.0)
    assert circuit.is_half_open(10.0)


def test_a_success_breaks_the_row() -> None:
    """And what says nothing does not."""
    row = [(0.0, failed())] * 4
    assert played(*row, (0.0, Succeeded(0)), *row).open_until is None
    assert played(*row, (0.0, Released("w")), (0.0, failed())).open_until == 10.0


def test_each_opening_in_a_row_takes_twice_as_long_up_to_thirty_seconds() -> None:
    """The jitter of 20 % included, so that the provider is used again at most half a minute after it is well."""
    circuit, now, lengths = opened(), 0.0, [10.0]
    for _ in range(4):
        now = circuit.open_until or 0.0
        circuit = after(circuit, failed(circuit.generation, "w"), now, NUMBERS)
        lengths.append((circuit.open_until or 0.0) - now)
    assert lengths == [10.0, 20.0, 30.0, 30.0, 30.0]
    assert circuit.opened_at == 0.0, "a probe that fails does not make the outage a new one"
    closed = after(circuit, Succeeded(circuit.generation, "w"), 200.0, NUMBERS)
    assert played(*[(300.0, failed(closed.generation))] * 5, circuit=closed).opened_at == 300.0
    assert opened(jitter=0.0).open_until == 8.0
    assert opened(jitter=1.0).open_until == pytest.approx(12.0)
    assert after(circuit, failed(circuit.generation, "w", jitter=1.0), 1000.0, NUMBERS).open_until == 1030.0


def test_after_a_success_the_openings_are_counted_anew() -> None:
    """A provider that was well gets ten seconds again."""
    circuit = played((10.0, Succeeded(1, "w")), circuit=opened())
    assert circuit == Circuit(generation=2)
    assert played(*[(50.0, failed(2))] * 5, circuit=circuit).open_until == 60.0


def test_a_retry_after_is_a_floor_of_five_minutes_at_the_most() -> None:
    """A provider that names its time is believed."""
    asked = failures.UNAVAILABLE_LATER.failure(http_status=503, retry_after=120.0)
    assert played((0.0, CircuitOpened(0, asked, MIDDLE))).open_until == 120.0
    forever = failures.UNAVAILABLE_LATER.failure(http_status=503, retry_after=9999.0)
    assert played((0.0, CircuitOpened(0, forever, MIDDLE))).open_until == 300.0
    short = failures.UNAVAILABLE_LATER.failure(http_status=503, retry_after=1.0)
    assert played((0.0, CircuitOpened(0, short, MIDDLE))).open_until == 10.0


def test_what_settles_it_opens_at_once() -> None:
    """A key that is refused."""
    assert played((0.0, CircuitOpened(0, AUTH, MIDDLE))).why is AUTH


def test_outcomes_of_attempts_from_before_the_opening_change_nothing() -> None:
    """Neither a late success nor a late failure, also when it is half-open."""
    circuit = opened()
    for event in (Succeeded(0), failed(0), CircuitOpened(0, AUTH, MIDDLE), Limited(0, RATE_LIMIT, None)):
        assert after(circuit, event, 11.0, NUMBERS) is circuit


def test_a_success_closes_once_the_time_is_over() -> None:
    """Of the probe, or of a call that had no other route. Before that it only shows life."""
    circuit = opened()
    early = after(circuit, Succeeded(1), 9.0, NUMBERS)
    assert (early.open_until, early.unanswered) == (10.0, 0)
    for success in (Succeeded(1), Succeeded(1, "w")):
        assert after(circuit, success, 11.0, NUMBERS) == Circuit(generation=2)


def test_a_success_that_was_no_probe_does_not_say_that_a_key_is_good_again() -> None:
    """What settled it at once was no matter of counting, and nothing is sent there but the probe."""
    circuit = played((0.0, CircuitOpened(0, AUTH, MIDDLE)))
    assert after(circuit, Succeeded(1), 11.0, NUMBERS) is circuit
    assert after(circuit, Succeeded(1, "w"), 11.0, NUMBERS).open_until is None


def test_a_row_opens_only_where_others_are_better() -> None:
    """A breaker is for having somewhere better to go; it opens at the next failure after there is one."""
    alone = Failed(0, OUTAGE, MIDDLE, others_better=False)
    circuit = played(*[(0.0, alone)] * 30)
    assert circuit.open_until is None
    assert played((0.0, failed()), circuit=circuit).open_until == 10.0
    refusing = BreakerSettings(throttle=False)
    circuit = Circuit()
    for _ in range(5):
        circuit = after(circuit, alone, 0.0, refusing)
    assert circuit.is_open(9.0)


def throttled(event: Event | None = None) -> Circuit:
    """A circuit that has had no answer for 41 attempts over two seconds, the last of them at 3 s."""
    event = event or Failed(0, OUTAGE, MIDDLE, others_better=False)
    return played(*[(1.0 + step / 20, event) for step in range(41)])


@pytest.mark.parametrize("event", [Failed(0, OUTAGE, MIDDLE, others_better=False), Limited(0, RATE_LIMIT, None)])
def test_forty_failures_in_a_row_over_two_seconds_throttle(event: Event) -> None:
    """Rate limits among them; not in less than two seconds, and not if anything was answered in between."""
    circuit = throttled(event)
    assert (circuit.throttled_at, circuit.slot_at, circuit.unanswered) == (3.0, 4.0, 41)
    assert circuit.fails_in_part
    assert played(*[(1.0, event)] * 90).throttled_at is None
    events: list[tuple[float, Event]] = [(1.0 + step / 20, event) for step in range(60)]
    assert played(*events[:30], (2.4, Succeeded(0)), *events[30:]).throttled_at is None


def test_a_success_that_began_in_a_throttle_ends_it_and_an_earlier_one_does_not() -> None:
    """At once, whatever else was remembered."""
    circuit = throttled()
    assert after(circuit, Succeeded(0), 3.5, NUMBERS) is circuit
    assert after(circuit, Succeeded(circuit.generation), 3.5, NUMBERS) == Circuit(generation=circuit.generation + 1)


def test_a_probe_that_fails_in_a_throttle_leaves_the_attempts_under_way_their_word() -> None:
    """One of them may just be the answer that ends it."""
    circuit = throttled()
    assert circuit.open_until is not None
    again = played((circuit.open_until, failed(circuit.generation, "w")), circuit=circuit)
    assert again.is_open(circuit.open_until + 1)
    assert after(again, Succeeded(circuit.generation), circuit.open_until + 1, NUMBERS).open_until is None


def test_a_slot_a_second_is_one_worker_s() -> None:
    """Who asks first has it, and whether it is used or not the next is a second later."""
    circuit = throttled()
    assert after(circuit, SlotAsked("a", 1.0), 3.9, NUMBERS) is circuit
    circuit = played((4.2, SlotAsked("a", 1.0)), (4.3, SlotAsked("b", 1.0)), circuit=circuit)
    assert (circuit.slot_of, circuit.slot_at) == ("a", 5.2)
    assert played((5.2, SlotAsked("b", 1.0)), circuit=circuit).slot_of == "b"
    assert after(Circuit(), SlotAsked("a", 1.0), 4.2, NUMBERS) == Circuit()


def test_a_long_rate_limit_gets_an_attempt_after_a_second_and_then_every_ten() -> None:
    """The first tells whether the provider refuses everybody; a 429 to it makes the next no sooner."""
    circuit = played((0.0, Limited(0, limited(300), 300.0)))
    assert after(circuit, SlotAsked("a", 10.0), 0.9, NUMBERS) is circuit
    circuit = played((1.0, SlotAsked("a", 10.0)), (1.3, Limited(0, limited(300), 300.0)), circuit=circuit)
    assert (circuit.slot_of, circuit.slot_at) == ("a", 11.0)


def test_an_answer_that_began_after_a_rate_limit_lifts_it_and_disproves_the_next_for_a_minute() -> None:
    """Unless no limit was in force, or the provider named no time: then there is nothing to disprove."""
    circuit = played((0.0, Limited(0, limited(300), 300.0)))
    lifted = after(circuit, Succeeded(0, limits=1, despite_limit=True), 11.0, NUMBERS)
    assert lifted == Circuit(disproved_until=71.0)
    assert lifted.pristine
    again = played(
        (20.0, Limited(0, limited(300), 300.0)), (21.0, Succeeded(0, limits=1, despite_limit=True)), circuit=lifted
    )
    assert (again.limited_until, again.disproved_until) == (None, 81.0)
    assert played((0.0, Limited(0, RATE_LIMIT, None)), (0.5, Succeeded(0, limits=1))) == Circuit()
    under_way = played((0.0, Limited(0, limited(300), 300.0)), (0.5, Succeeded(0, limits=0)))
    assert (under_way.limited_until, under_way.disproved_until) == (300.0, None)
    later = played((0.0, Limited(0, limited(300), 300.0)), (0.2, Limited(0, limited(300), 300.0)))
    despite_one = after(later, Succeeded(0, limits=1, despite_limit=True), 0.5, NUMBERS)
    assert (despite_one.limited_until, despite_one.disproved_until) == (300.2, 60.5)


def test_one_worker_holds_the_probe() -> None:
    """The first that asks once the time is over; the next is noted."""
    circuit = opened()
    assert after(circuit, LeaseAsked("a"), 9.0, NUMBERS) is circuit
    circuit = played((10.0, LeaseAsked("a")), (10.1, LeaseAsked("b")), (10.2, LeaseAsked("c")), circuit=circuit)
    assert (circuit.holder, circuit.wanted_by, circuit.lease_until) == ("a", "b", 15.0)


def test_a_holder_without_a_call_hands_the_probe_on() -> None:
    """At its next word; one whose probe runs keeps it."""
    circuit = played((10.0, LeaseAsked("a")), (10.1, LeaseAsked("b")), circuit=opened())
    assert played((11.0, LeaseRenewed("a", in_use=True)), circuit=circuit).holder == "a"
    handed = played((11.0, LeaseRenewed("a", in_use=False)), circuit=circuit)
    assert (handed.holder, handed.wanted_by, handed.lease_until) == ("b", "", 16.0)
    assert after(handed, LeaseRenewed("a", in_use=True), 12.0, NUMBERS) is handed


def test_a_holder_that_is_not_heard_of_loses_the_probe() -> None:
    """Five seconds after its last word."""
    circuit = played((10.0, LeaseAsked("a")), (14.0, LeaseRenewed("a", in_use=True)), circuit=opened())
    assert played((18.9, LeaseAsked("b")), circuit=circuit).holder == "a"
    assert played((19.0, LeaseAsked("b")), circuit=circuit).holder == "b"


@pytest.mark.parametrize(
    "event",
    [Released("a"), Limited(1, limited(1), 1.0, "a")],
    ids=["neutral", "limited"],
)
def test_an_outcome_that_says_nothing_gives_the_probe_back(event: Event) -> None:
    """To whoever wants it, or to the next that asks."""
    circuit = played((10.0, LeaseAsked("a")), circuit=opened())
    assert played((11.0, event), circuit=circuit).holder == ""
    wanted = played((10.5, LeaseAsked("b")), (11.0, event), circuit=circuit)
    assert wanted.holder == "b"


def test_a_rate_limit_closes_for_what_the_provider_says() -> None:
    """At most five minutes; a shorter one does not shorten it."""
    circuit = played((0.0, Limited(0, limited(20), 20.0)), (1.0, Limited(0, limited(2), 2.0)))
    assert circuit.limited_until == 20.0
    assert played((0.0, Limited(0, limited(999), 999.0))).limited_until == 300.0


def test_a_rate_limit_without_a_time_closes_for_one_second_doubling_to_ten() -> None:
    """Those that come while it is closed are of calls that were under way: the same limit."""
    circuit, now, lengths = Circuit(), 0.0, []
    for _ in range(6):
        circuit = played((now, Limited(0, RATE_LIMIT, None)), (now, Limited(0, RATE_LIMIT, None)), circuit=circuit)
        lengths.append((circuit.limited_until or 0.0) - now)
        now = circuit.limited_until or 0.0
    assert lengths == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_a_success_after_a_rate_limit_counts_them_anew() -> None:
    """Of one that was sent before the limit nothing follows while it is closed; of one that was sent after it, all."""
    circuit = played((0.0, Limited(0, RATE_LIMIT, None)))
    assert after(circuit, Succeeded(0), 0.5, NUMBERS).is_limited(0.9)
    assert after(circuit, Succeeded(0, limits=1), 0.5, NUMBERS) == Circuit()
    assert after(circuit, Succeeded(0), 1.0, NUMBERS) == Circuit()


def test_a_person_opens_and_closes_whatever_happens() -> None:
    """Nothing but a person's word ends it, and no probe is let through."""
    circuit = played((0.0, ByHand(open=True)))
    assert circuit.why is BY_HAND
    for event in (Succeeded(1, "w"), failed(1), LeaseAsked("w"), CircuitOpened(1, AUTH, MIDDLE)):
        assert after(circuit, event, 1e9, NUMBERS) is circuit
    assert played((1.0, ByHand(open=False)), circuit=circuit) == Circuit(generation=2)
    assert played((1.0, ByHand(open=False)), circuit=opened()).open_until is None


def test_of_two_states_the_later_generation_counts_and_else_the_more_cautious() -> None:
    """In either order, and to merge again changes nothing."""
    closed, open_again = Circuit(generation=2), opened()
    assert merged(closed, open_again) is closed
    one = Circuit(consecutive_failures=3, limits=1, limited_until=4.0, limited_by=RATE_LIMIT)
    both = merged(one, Circuit(consecutive_failures=1, limits=2, limited_until=9.0, limited_by=RATE_LIMIT))
    assert (both.consecutive_failures, both.limits, both.limited_until) == (3, 2, 9.0)


def test_a_clock_may_show_anything() -> None:
    """A machine's monotonic clock begins where it likes: to be open until -5 is to be open, and not to be closed."""
    assert merged(Circuit(generation=1), opened(now=-15.0)).open_until == -5.0
    assert merged(opened(now=-15.0), Circuit(generation=1)).open_until == -5.0


def test_a_clock_that_shows_more_shows_all_times_later() -> None:
    """And nothing else."""
    circuit = played((10.0, LeaseAsked("a")), (10.0, Limited(1, limited(5), 5.0)), circuit=opened())
    moved = circuit.shifted(100.0)
    assert (moved.opened_at, moved.open_until, moved.lease_until, moved.limited_until) == (100.0, 110.0, 115.0, 115.0)
    assert moved.shifted(-100.0) == circuit


# -- whatever happens --------------------------------------------------------------------------------------------------

WORKERS = st.sampled_from(["a", "b", "c"])
GENERATIONS = st.integers(0, 6)
FAILURES = st.sampled_from([OUTAGE, AUTH, RATE_LIMIT, limited(3)])
JITTERS = st.sampled_from([0.0, 0.5, 0.999])
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(Succeeded, GENERATIONS, st.just("") | WORKERS),
    st.builds(Failed, GENERATIONS, FAILURES, JITTERS, st.just("") | WORKERS),
    st.builds(Failed, GENERATIONS, FAILURES, JITTERS, others_better=st.booleans()),
    st.builds(CircuitOpened, GENERATIONS, FAILURES, JITTERS),
    st.builds(Limited, GENERATIONS, FAILURES, st.none() | st.floats(0, 400), st.just("") | WORKERS),
    st.builds(Released, WORKERS),
    st.builds(LeaseAsked, WORKERS),
    st.builds(LeaseRenewed, WORKERS, st.booleans()),
    st.builds(SlotAsked, WORKERS, st.sampled_from([1.0, 10.0])),
    st.builds(ByHand, st.booleans()),
)
HISTORIES = st.lists(st.tuples(st.floats(0, 20), EVENTS), max_size=40)


@settings(max_examples=200)
@given(HISTORIES)
def test_in_every_history_the_rules_hold(history: list[tuple[float, Event]]) -> None:
    """No opening over 300 s, nor over 30 s unless it was asked for; generations grow; nobody probes too soon."""
    circuit, now = Circuit(), 0.0
    for step, event in history:
        now += step
        before, circuit = circuit, after(circuit, event, now, NUMBERS)
        assert circuit.generation - before.generation in (0, 1)
        if circuit.generation > before.generation and circuit.open_until is not None and not circuit.by_hand:
            length = circuit.open_until - now
            assert circuit.why is not None
            asked = circuit.why.retry_after or 0.0
            assert 8.0 - 1e-9 <= length <= max(30.0, min(asked, 300.0)) + 1e-9
        if circuit.holder != before.holder and circuit.holder:
            assert circuit.is_half_open(now)
            assert not before.holder or before.lease_until <= now or before.wanted_by == circuit.holder
        assert (circuit.open_until is None) == (circuit.why is None)


@settings(max_examples=200)
@given(HISTORIES, HISTORIES)
def test_what_two_workers_come_to_is_the_same_for_both(
    mine: list[tuple[float, Event]], theirs: list[tuple[float, Event]]
) -> None:
    """So that a state that is told twice, or in another order, does no harm."""
    circuits = []
    for history in (mine, theirs):
        circuit, now = Circuit(), 0.0
        for step, event in history:
            now += step
            circuit = after(circuit, event, now, NUMBERS)
        circuits.append(circuit)
    one, other = circuits
    both = merged(one, other)
    assert both.generation == merged(other, one).generation
    assert both.open_until == merged(other, one).open_until
    assert merged(both, other) == both
