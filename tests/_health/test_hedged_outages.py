"""Hedges while providers are down, slow in part or short of room: the real plan, breakers and hedges, simulated."""

from __future__ import annotations

from dataclasses import replace

import pytest

from _health.brownout import Cell, Provider, Result, routed
from lanewise.config import HedgeSettings

WELL = Provider()


def down(now: float) -> bool:
    """For a minute."""
    return 100 <= now < 160


OUTAGES = {
    "hangs": (Provider("slow", down=down), WELL),
    "answers 503": (Provider("503", down=down), WELL),
    "hangs, and the next one fails half": (Provider("slow", down=down), Provider("503", share=0.5)),
    "hangs, and the next one has no room": (Provider("slow", down=down), Provider(capacity=12.5)),
    "both hang": (Provider("slow", down=down), Provider("slow", down=down)),
    "hangs at times": (Provider("slow", share=0.3), WELL),
}
HEDGES = (HedgeSettings(), HedgeSettings(after=0.5, share=1.0))


def waited(result: Result) -> float:
    """Seconds of a call, on average."""
    return sum(end - start for start, end, _ in result.ended) / len(result.ended)


def compare(routes: tuple[Provider, ...], hedge: HedgeSettings, seeds: range, calls: int) -> None:
    cell = Cell(routes, calls=calls)
    plain = [routed(cell, seed) for seed in seeds]
    hedged = [routed(replace(cell, hedge=hedge), seed) for seed in seeds]

    def mean(figures: list[float]) -> float:
        return sum(figures) / len(figures)

    assert mean([each.answered for each in hedged]) >= mean([each.answered for each in plain]) - 0.3
    assert mean([waited(each) for each in hedged]) <= 1.1 * mean([waited(each) for each in plain])
    for one, other in zip(hedged, plain, strict=True):
        assert one.hedges <= hedge.share * calls
        assert len(one.attempts) <= len(other.attempts) + one.hedges + 0.03 * calls


@pytest.mark.parametrize("hedge", HEDGES, ids=["default", "every call"])
@pytest.mark.parametrize("name", ["hangs", "hangs, and the next one has no room"])
def test_hedges_make_nothing_worse_in_an_outage(name: str, hedge: HedgeSettings) -> None:
    """As many calls are answered, in the same time: the breaker sees what hangs, whatever share may be hedged."""
    compare(OUTAGES[name], hedge, range(1), 2500)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("hedge", HEDGES, ids=["default", "every call"])
@pytest.mark.parametrize("name", OUTAGES)
def test_hedges_make_nothing_worse_in_any_outage(name: str, hedge: HedgeSettings) -> None:
    """Eight seeds each, 10,000 calls; also where both are down, or a route hangs at times."""
    compare(OUTAGES[name], hedge, range(8), 10_000)


def test_a_route_that_loses_every_race_is_left_to_its_breaker() -> None:
    """What hangs for all is not hedged for all: three calls, and then its time-outs open it."""
    result = routed(Cell(OUTAGES["hangs"], calls=2500, hedge=HedgeSettings(after=0.5, share=1.0)), 1)
    assert result.hedges <= 6
    assert result.openings
