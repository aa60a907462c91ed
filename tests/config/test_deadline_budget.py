"""How long each route of a task effectively gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from lanewise.config import Config
from lanewise.config.deadline_budget import reserve, route_times


def test_a_part_of_the_deadline_is_kept_for_later_lanes() -> None:
    """A fifth for each, two fifths at most."""
    assert [reserve(50.0, later) for later in range(4)] == [0.0, 10.0, 20.0, 20.0]


def test_each_route_gets_its_timeout_or_what_is_left(complete: Path) -> None:
    """At worst, the routes before it have used up theirs."""
    config = Config.from_file(complete)
    times = route_times(config.tasks["ticket-summary"], config.routes)
    assert [(time.route, time.at_best) for time in times] == [("flagship", 20.0), ("sonnet", 25.0), ("mini", 45.0)]
    assert [time.at_worst for time in times] == pytest.approx([20.0, 16.0, 9.0])
