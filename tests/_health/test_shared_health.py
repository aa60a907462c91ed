"""What holds for two hundred workers over virtual time, whatever the provider, the store and the clocks do.

A seed that fails is named, and ``play(range(17, 18))`` plays it alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from itertools import pairwise

import pytest

from _health.shared_health import ASKED, Fleet

SLACK = 0.1
"""Seconds for messages under way."""


@pytest.mark.parametrize("first", range(0, 100, 10))
def test_the_rules_of_health_hold_for_a_fleet(first: int) -> None:
    """One probe at a time while the store is heard, no avalanche, back within half a minute, one opening for all."""
    play(range(first, first + 10))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("first", range(100, 10_000, 1100))
def test_the_rules_of_health_hold_for_ten_thousand_seeds(first: int) -> None:
    """The same, for a night."""
    play(range(first, first + 1100))


def play(numbers: range) -> None:
    """Play the seeds, and name the one that breaks a rule."""
    for seed in numbers:
        fleet = Fleet(seed, workers=200, rate=40.0, seconds=75.0)
        fleet.run()
        for rule in RULES:
            try:
                rule(fleet)
            except AssertionError as error:
                raise AssertionError(f"play(range({seed}, {seed + 1})): {rule.__name__}: {error}") from error


def one_probe_at_a_time(fleet: Fleet) -> None:
    """Over all workers, while the store answers, except that a dead worker's lease runs out."""
    heard = sorted((p for p in fleet.probes if p.heard), key=lambda probe: probe.start)
    for before, probe in pairwise(heard):
        silent = any(start < probe.start + SLACK and end > before.start - 1.2 for start, end in fleet.store.down)
        assert silent or probe.start >= before.end - 1e-9, (before, probe)


def opened_together(fleet: Fleet) -> None:
    """Within a second of the first, for those that hear the store."""
    for worker in fleet.workers:
        for opened in fleet.openings[worker.number]:
            if any(start - 2.0 <= opened <= end + 2.0 for start, end in fleet.store.down):
                continue
            others = [other for other in fleet.workers if other.connected and not other.dead and other is not worker]
            late = [other for other in others if not _opened_near(fleet.openings[other.number], opened)]
            late = [other for other in late if fleet.seconds - opened > 1.0]
            assert not late, (worker.number, opened, [other.number for other in late][:5])
            return


def _opened_near(openings: list[float], when: float) -> bool:
    index = bisect_left(openings, when - 1.0)
    return index < len(openings) and openings[index] <= when + 1.0


def attempts_are_few(fleet: Fleet) -> None:
    """In an outage: those that were under way when it began, five or so, and the probes."""
    for start, end in fleet.dead_for:
        if any(down_start < end and down_end > start - 2 for down_start, down_end in fleet.store.down):
            continue
        during = sorted(at for at, probe in fleet.attempts if start <= at < end and not probe)
        # 2 s is the longest that an attempt takes here: a call that began before the opening says so only then.
        late = [at for at in during if at >= during[0] + 3.0]  # the first may come late: a 429 of before is kept
        assert len(late) <= 5, (start, end, late[:9])


def back_in_time(fleet: Fleet) -> None:
    """Used again within 35 s of its recovery, also when the store is down.

    Unless no call came to the worker whose turn it was to probe, of which each has one in five seconds here: then the
    turn has gone round meanwhile.
    """
    for (_, end), (next_start, _) in pairwise([*fleet.outages, (fleet.seconds, fleet.seconds)]):
        if next_start - end > 37.0 and end + 37.0 < fleet.seconds:
            index = bisect_left(fleet.successes, end)
            if index == len(fleet.successes) or fleet.successes[index] > end + 37.0:
                assert not any(end <= probe.start <= end + 35.0 for probe in fleet.probes), end
                assert sum(end <= at <= end + 37.0 for at in fleet.leases) >= 10, end


def retries_are_few(fleet: Fleet) -> None:
    """Each worker has its allowance."""
    for worker in fleet.workers:
        assert worker.retries <= 6 + 0.1 * worker.successes + 0.1 * fleet.seconds


def limits_are_kept(fleet: Fleet) -> None:
    """Where a 429 has said when to come again, no worker that hears the others sends anything sooner."""
    started = sorted(at for at, _ in fleet.attempts)
    for told in fleet.limits:
        if told < 1.0:
            continue  # not all have begun to listen
        if any(start < told + ASKED and end > told - 2 for start, end in fleet.store.down):
            continue
        index = bisect_left(started, told + SLACK)
        assert index == len(started) or started[index] >= told + ASKED - SLACK, (told, started[index])


RULES = (one_probe_at_a_time, opened_together, attempts_are_few, back_in_time, retries_are_few, limits_are_kept)


def test_the_simulation_shows_what_it_is_there_for() -> None:
    """Outages, probes that are refused and probes that succeed, silent stores, dead workers: all of them happen."""
    seen: Counter[str] = Counter()
    for seed in range(20):
        fleet = Fleet(seed, workers=50, rate=50.0, seconds=90.0)
        fleet.run()
        seen["outages"] += len(fleet.outages)
        seen["silences"] += len(fleet.store.down)
        seen["dead"] += sum(worker.dead for worker in fleet.workers)
        seen["probes"] += len(fleet.probes)
        seen["alone"] += sum(not probe.heard for probe in fleet.probes)
        seen["openings"] += sum(map(len, fleet.openings))
    assert all(seen[name] for name in ("outages", "silences", "dead", "probes", "alone", "openings")), seen


def test_one_seed_gives_one_history() -> None:
    """So that a seed that fails is a test."""
    fleets = [Fleet(7, workers=30, seconds=60.0) for _ in range(2)]
    for fleet in fleets:
        fleet.run()
    assert fleets[0].attempts == fleets[1].attempts
