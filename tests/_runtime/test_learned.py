"""What a router remembers of what its routes refuse: for an hour, and of a suspicion only that it was one."""

from __future__ import annotations

from lanewise._runtime.router_runtime import LEARNED_FOR, Learned

USAGE = "stream_options"


def test_what_is_learned_is_left_out_for_an_hour_on_that_route() -> None:
    """Then it is tried again: servers are brought up to date."""
    learned = Learned()
    assert learned.add("first", USAGE, 10.0)
    assert learned.of("first", 10.0 + LEARNED_FOR - 1) == {USAGE}
    assert learned.of("second", 10.0) == frozenset()
    assert learned.of("first", 10.0 + LEARNED_FOR) == frozenset()
    assert not learned.add("first", USAGE, 10.0 + LEARNED_FOR), "it is told once a process"


def test_a_suspicion_is_borne_out_by_the_next_within_the_hour() -> None:
    """Of the same route and the same addition; and once it is learned it begins anew."""
    learned = Learned()
    assert not learned.suspect("first", USAGE, 10.0)
    assert not learned.suspect("second", USAGE, 11.0)
    assert not learned.suspect("first", "response_format", 11.0)
    assert not learned.suspect("first", USAGE, 10.0 + LEARNED_FOR)
    assert learned.suspect("first", USAGE, 11.0 + LEARNED_FOR)
    learned.add("first", USAGE, 11.0 + LEARNED_FOR)
    assert not learned.suspect("first", USAGE, 12.0 + LEARNED_FOR)
