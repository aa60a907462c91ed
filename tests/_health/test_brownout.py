"""In a brown-out routed calls are answered as often as by the plain SDK, whoever fails how: over virtual time.

A seed is a cell of the table below; one that is worse is named, and ``compare(17, calls=20_000)`` plays it alone.
"""

from __future__ import annotations

import itertools
import math
import random
from collections import defaultdict
from collections.abc import Iterable

import pytest

from _health.brownout import KINDS, Cell, Provider, Result, plain, routed
from lanewise._health.breakers.circuit import BreakerSettings

WORSE_BY = 1.0
"""Percent of the calls."""
SIGMAS = 2.6
WELL = Provider()


def down(seconds: float, every: float) -> Provider:
    """A provider that is down for some seconds of each so many."""
    return Provider(down=lambda now: now % every < seconds)


def families() -> dict[str, tuple[Cell, ...]]:
    """The cells, by what they have in common."""
    grid = list(itertools.product((2.0, 12.0, 50.0), (1, 4, 200)))
    found: dict[str, list[Cell]] = defaultdict(list)
    for rate, workers in grid:
        for share in (0.1, 0.3, 0.5, 0.7, 0.8):
            for kind in KINDS:
                found[kind].append(Cell((Provider(kind, share),), rate, workers))
            alike = Provider("503", share)
            found["two alike"].append(Cell((alike, alike), rate, workers))
            found["three lanes alike"].append(Cell((alike, alike, alike), rate, workers))
            for kind in ("503", "429", "slow"):
                found["sensitive"].append(Cell((Provider(kind, share), WELL), rate, workers, approved=(0,)))
        for kind, share in (("503", 0.5), ("429", 0.3), ("slow", 0.5)):
            for other in (1.0, 200.0):
                found["few and many calls"].append(Cell((Provider(kind, share),), other, workers))
            for second in (Provider("503", 0.7), Provider("429", 0.7), Provider("slow", 0.7)):
                found["two unlike"].append(Cell((Provider(kind, 0.3), second), rate, workers))
        for share, after in itertools.product((0.3, 0.6), (0.5, 1.0, 3.0)):
            found["429 with Retry-After"].append(Cell((Provider("429", share, retry_after=after),), rate, workers))
        found["slow, 10 s of 40"].append(Cell((Provider("slow", down=down(10, 40).down),), rate, workers))
        found["down 3 s of 10"].append(Cell((down(3, 10),), rate, workers))
        found["down 10 s of 40"].append(Cell((down(10, 40),), rate, workers))
    return {name: tuple(cells) for name, cells in found.items()}


FAMILIES = families()
CELLS = tuple((name, cell) for name, cells in FAMILIES.items() for cell in cells)


def compare(seed: int, *, calls: int) -> tuple[str, float, float, float]:
    """The family of a seed's cell, what was answered of it and what of the plain SDK's, and the standard error."""
    rng = random.Random(seed)
    name = rng.choice(list(FAMILIES))
    cell = rng.choice(FAMILIES[name])
    cell = Cell(cell.routes, cell.rate, cell.workers, calls, cell.approved)
    ours, theirs = routed(cell, seed), plain(cell, seed)
    answered = ours.answered if cell.approved is None else ours.answered_sensitive
    counted = calls if cell.approved is None else calls // 2
    return name, answered, theirs.answered, error_of(theirs.answered, counted, calls)


def error_of(percent: float, *counts: int) -> float:
    """The standard error of a difference of two such shares, in percent."""
    share = min(max(percent / 100, 0.01), 0.99)
    return 100 * math.sqrt(share * (1 - share) * sum(1 / count for count in counts))


def check(results: Iterable[tuple[str, float, float, float]]) -> None:
    """No family is worse than the plain SDK, by more than one percent and chance."""
    by_family: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for name, ours, theirs, error in results:
        by_family[name].append((ours - theirs, error))
    for name, found in by_family.items():
        mean = sum(difference for difference, _ in found) / len(found)
        error = math.sqrt(sum(error**2 for _, error in found)) / len(found)
        assert mean >= -WORSE_BY - SIGMAS * error, (name, mean, error, len(found))


@pytest.mark.timeout(300)
def test_a_hundred_brown_outs_are_answered_as_by_the_plain_sdk() -> None:
    """By kind of failure, share, calls a second, workers and the calls' form."""
    check(compare(seed, calls=400) for seed in range(100))


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("first", range(0, 10_000, 500))
def test_ten_thousand_brown_outs_are_answered_as_by_the_plain_sdk(first: int) -> None:
    """The same, for a night."""
    check(compare(seed, calls=600) for seed in range(first, first + 500))


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", FAMILIES)
def test_every_cell_is_answered_as_by_the_plain_sdk(name: str) -> None:
    """Twenty thousand calls each: none is worse by more than one percent and chance."""
    worse = []
    for number, cell in enumerate(FAMILIES[name]):
        ours, theirs = routed(cell, number), plain(cell, number)
        answered = ours.answered if cell.approved is None else ours.answered_sensitive
        error = error_of(theirs.answered, 10_000 if cell.approved else 20_000, 20_000)
        if answered < theirs.answered - WORSE_BY - SIGMAS * error:
            worse.append((cell, answered, theirs.answered))
    assert not worse


@pytest.mark.parametrize(("below", "kind"), [(0.5, "503"), (0.8, "429"), (0.9, "503"), (0.95, "503")])
def test_a_provider_below_the_load_gets_hardly_more_attempts_than_by_the_plain_sdk(below: float, kind: str) -> None:
    """A fourth attempt is only made while most are answered: more would be load for nothing."""
    cell = Cell((Provider(kind, capacity=12 * below),), calls=4000)
    ours, theirs = routed(cell, 1), plain(cell, 1)
    assert ours.attempts_a_call <= 1.07 * theirs.attempts_a_call
    assert ours.answered >= theirs.answered - WORSE_BY


def blacked_out(rate: float, workers: int, kind: str) -> Result:
    """A healthy minute, a minute without any answer, and half a minute after it."""
    provider = Provider(kind, down=lambda now: 60 <= now < 120)
    return routed(Cell((provider,), rate, workers, calls=int(150 * rate)), seed=3)


@pytest.mark.parametrize("workers", [1, 4, 200])
@pytest.mark.parametrize("kind", ["503", "429", "slow"])
def test_in_a_black_out_the_last_route_gets_an_attempt_a_second(kind: str, workers: int) -> None:
    """Over all workers; those whose turn it is not are refused at once, and the first answer comes soon."""
    found = blacked_out(12, workers, kind)
    calls = [start for start, _, _ in found.ended if 65 <= start < 120]
    late = [when for when, _, _ in found.attempts if 65 <= when < 120]
    assert len(late) <= 0.1 * len(calls)
    minute = [start for start, _, _ in found.ended if 60 <= start < 120]
    assert len([when for when, _, _ in found.attempts if 60 <= when < 120]) <= 1.1 * len(minute)
    refused = sorted(end - start for start, end, answered in found.ended if 85 <= start < 115 and not answered)
    assert refused[len(refused) // 2] == 0.0
    assert min(end for _, end, answered in found.ended if answered and end > 120) <= 122


@pytest.mark.parametrize("workers", [1, 4, 200])
def test_after_a_black_out_few_calls_bring_the_first_answer_too(workers: int) -> None:
    """Within two seconds, or by the next call that comes, where they are few."""
    found = blacked_out(2, workers, "503")
    arrivals = sorted(start for start, _, _ in found.ended if start > 120)
    first = min(end for _, end, answered in found.ended if answered and end > 120)
    assert first <= max(122.0, arrivals[0] + 0.5)


def test_a_hanging_provider_is_found_by_few() -> None:
    """Those who came in the first five seconds; after them everybody goes elsewhere first."""
    hangs = Provider("slow", down=lambda now: 30 <= now < 60)
    found = routed(Cell((hangs, WELL), 12, calls=12 * 80, timeout=12.0, deadline=40.0), seed=5)
    waited = [start for start, end, _ in found.ended if end - start >= 7.0]
    assert 40 <= len(waited) <= 80, "five seconds of calls; it would be twelve, 144, without"
    assert found.answered == 100.0


def test_where_everybody_is_limited_for_long_one_attempt_in_ten_seconds_goes_on() -> None:
    """And an answer of one that began after the 429 lifts it for all."""
    silent = Provider("429", down=lambda now: 20 <= now < 80, retry_after=90.0)
    for workers in (1, 4):
        found = routed(Cell((silent, silent), 12, workers, calls=12 * 110, deadline=20.0), seed=7)
        during = [when for when, _, _ in found.attempts if 25 <= when < 80]
        assert len(during) <= 8
        after = [answered for start, _, answered in found.ended if start > 95]
        assert all(after)
        told = sorted(end - start for start, end, answered in found.ended if 30 <= start < 75 and not answered)
        assert told[len(told) // 2] == 0.0


def test_how_often_a_route_opens_falsely() -> None:
    """At 10, 20 and 30 % failures, beside a route that nobody knows anything of: openings in a thousand outcomes."""
    openings = {}
    for share in (0.1, 0.2, 0.3):
        cell = Cell((Provider("503", share), WELL), 12, calls=12_000)
        found = routed(cell, seed=11)
        outcomes = sum(route == 0 for _, route, _ in found.attempts)
        openings[share] = 1000 * found.openings / outcomes
    assert openings[0.1] < 0.2
    assert openings[0.2] < 1.0
    assert openings[0.3] < 5.0


def test_throttle_false_restores_refusal() -> None:
    """As it was: an open route is refused, also the last one."""
    refusing = BreakerSettings(throttle=False)
    cell = Cell((Provider("503", 0.5),), 12, calls=2000)
    open_too = Cell(cell.routes, 12, calls=2000, settings=refusing)
    assert routed(open_too, 1).answered < 20
    assert routed(cell, 1).answered > 85
