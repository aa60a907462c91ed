"""How a task is said to stand: by its routes' health, and by its calls where those tell what health does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from lanewise import Config
from lanewise._health.health_report import untried
from lanewise.types import HealthReport, HealthState, LaneName
from lanewise.types.past_calls import AttemptsOfMinute, CallsOfMinute, RecentFacts
from lanewise.web.dashboard import figures
from lanewise.web.dashboard.views.task_status import MINUTES, Level, TaskStatus, task_statuses

NOW = datetime(2026, 11, 30, 14, 5, 30, tzinfo=UTC)
MINUTE = int(NOW.timestamp()) // 60
NOTHING = RecentFacts(calls=(), attempts=(), cost_today={})


def config(**task: Any) -> Config:
    """A task with a lane of each kind."""
    return Config.from_mapping(
        {
            "providers": {"one": {"base_url": "http://127.0.0.1:9/v1"}},
            "routes": {name: {"provider": "one", "model": name} for name in ("flagship", "sonnet", "mini", "other")},
            "tasks": {"chat": {"primary": "flagship", "equivalent": "sonnet", "degraded": "mini", **task}},
            "sensitive": {"payment": {"routes": ["flagship"]}},
        }
    )


def health(of: Config, **states: HealthState) -> HealthReport:
    """All are well but those; each is what it is since five minutes, less one for each that comes before it."""
    report = untried(of)
    routes = {
        name: status
        if name not in states
        else msgspec.structs.replace(
            status,
            state=states[name],
            since=NOW - timedelta(minutes=5 - list(states).index(name)),
            why="outage, HTTP 503",
            next_probe=NOW + timedelta(seconds=8),
        )
        for name, status in report.routes.items()
    }
    return msgspec.structs.replace(report, routes=routes)


def status_of(of: Config, report: HealthReport, facts_of: RecentFacts = NOTHING) -> TaskStatus:
    """How the task stands."""
    (found,) = task_statuses(of, report, facts_of, NOW)
    return found


def calls(minute: int, number: int, lane: str | None = "primary", outcome: str = "answered") -> CallsOfMinute:
    """Calls of the task, so many minutes ago."""
    return CallsOfMinute(task="chat", minute=MINUTE - minute, lane=lane, outcome=outcome, bucket=100, calls=number)


def failures(minute: int, route: str, lane: str, failure: str, number: int = 3) -> AttemptsOfMinute:
    """Attempts that failed."""
    return AttemptsOfMinute(
        task="chat",
        minute=MINUTE - minute,
        lane=lane,
        route=route,
        failure=failure,
        attempts=number,
        absorbed=number,
        cost=None,
    )


def facts_of(*rows: CallsOfMinute | AttemptsOfMinute) -> RecentFacts:
    """What happened lately."""
    return RecentFacts(
        calls=tuple(row for row in rows if isinstance(row, CallsOfMinute)),
        attempts=tuple(row for row in rows if isinstance(row, AttemptsOfMinute)),
        cost_today={"chat": 1.25},
    )


def test_a_task_that_is_well_is_on_its_primary() -> None:
    """Also one that nobody has called yet."""
    of = config()
    found = status_of(of, health(of))
    assert (found.level, found.answering, found.lane, found.reason) == (Level.PRIMARY, ("flagship",), "primary", "")


def test_a_fallback_says_since_when_and_why() -> None:
    """Since the last of the routes before it went."""
    of = config()
    found = status_of(of, health(of, flagship=HealthState.OPEN, sonnet=HealthState.LIMITED))
    assert (found.level, found.answering, found.lane) == (Level.FALLBACK, ("mini",), LaneName.DEGRADED)
    assert found.since == NOW - timedelta(minutes=4)
    assert found.reason == "flagship is open: outage, HTTP 503; sonnet is limited: outage, HTTP 503"
    assert found.probe == NOW + timedelta(seconds=8)


@pytest.mark.parametrize("state", [state for state in HealthState if not state.takes_calls])
def test_whatever_takes_no_calls_is_not_on_stage(state: HealthState) -> None:
    """In any of its states."""
    of = config()
    assert status_of(of, health(of, flagship=state)).answering == ("sonnet",)


def test_a_task_without_a_route_is_failing() -> None:
    """Unless its last calls were answered all the same: then it answers in part."""
    of = config()
    down = health(of, flagship=HealthState.OPEN, sonnet=HealthState.THROTTLED, mini=HealthState.HALF_OPEN)
    assert status_of(of, down).level is Level.FAILING
    assert status_of(of, down, facts_of(calls(30, 9))).level is Level.FAILING
    assert status_of(of, down, facts_of(calls(0, 1))).level is Level.SHAKY


def test_a_sensitive_task_has_its_approved_routes_alone() -> None:
    """A route that may not answer is no fallback."""
    of = config(sensitive="payment", equivalent="sonnet")
    found = status_of(of, health(of, flagship=HealthState.OPEN))
    assert found.level is Level.FAILING
    assert [route.approved for lane in found.lanes for route in lane.routes] == [True, False, False]


def test_calls_tell_what_health_does_not() -> None:
    """Health that each worker keeps to itself: where all the last calls went elsewhere, that is how the task stands."""
    of = config()
    facts = facts_of(
        calls(20, 50),
        calls(4, 2, "equivalent"),
        calls(1, 3, "equivalent"),
        failures(1, "flagship", "primary", "rate_limit"),
    )
    found = status_of(of, health(of), facts)
    assert (found.level, found.lane, found.by_its_calls) == (Level.FALLBACK, "equivalent", True)
    assert found.since == datetime(2026, 11, 30, 14, 1, tzinfo=UTC)
    assert found.reason == "flagship: rate_limit"
    assert not [route for lane in found.lanes for route in lane.routes if route.answers]


def test_calls_that_all_failed_are_a_task_that_fails() -> None:
    """Those that were left to a person too: nobody answered them."""
    of = config()
    facts = facts_of(
        calls(2, 2, None, "failed"), calls(1, 1, None, "pending_review"), failures(1, "flagship", "primary", "x")
    )
    assert status_of(of, health(of), facts).level is Level.FAILING


@pytest.mark.parametrize(
    "facts",
    [
        facts_of(calls(1, 2, "equivalent")),
        facts_of(calls(1, 9, "equivalent"), calls(2, 1)),
        facts_of(calls(9, 9, "equivalent")),
        facts_of(calls(1, 9, None, "cancelled"), calls(1, 9, None, "refused")),
    ],
    ids=["too few", "the primary answers too", "long ago", "ended by their callers"],
)
def test_less_tells_nothing(facts: RecentFacts) -> None:
    """A task stays on its primary lane until that is sure."""
    of = config()
    assert status_of(of, health(of), facts).level is Level.PRIMARY


def test_the_hour_adds_up() -> None:
    """Each minute has its place, and what is older has none."""
    of = config()
    facts = facts_of(
        calls(0, 5), calls(0, 2, "degraded"), calls(0, 1, None, "failed"), calls(59, 4), calls(60, 100),
        failures(0, "flagship", "primary", "outage", 2),
    )  # fmt: skip
    hour = status_of(of, health(of), facts).hour
    assert len(hour.calls) == MINUTES
    assert (hour.calls[-1], hour.calls[0], sum(hour.calls)) == (8, 4, 12)
    assert (hour.answered[-1], hour.fallback[-1], hour.failed[-1], hour.absorbed[-1]) == (7, 2, 1, 2)
    assert hour.answered_share == 11 / 12
    assert hour.cost_today == 1.25
    assert hour.p50_ms == hour.p95_ms
    assert hour.p50_ms is not None


def test_what_needs_a_look_comes_first() -> None:
    """The worst of all tasks."""
    of = Config.from_mapping(
        {
            "providers": {"one": {"base_url": "http://127.0.0.1:9/v1"}},
            "routes": {name: {"provider": "one", "model": name} for name in ("a", "b")},
            "tasks": {
                "well": {"primary": "b"},
                "fallback": {"primary": "a", "equivalent": "b"},
                "down": {"primary": "a"},
            },
        }
    )
    found = task_statuses(of, health(of, a=HealthState.OPEN), NOTHING, NOW)
    assert [each.name for each in found] == ["down", "fallback", "well"]


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (figures.milliseconds(None), "–"),
        (figures.milliseconds(0.5), "0.5 ms"),
        (figures.milliseconds(85), "85 ms"),
        (figures.milliseconds(999.7), "1.00 s"),
        (figures.milliseconds(12_345), "12.3 s"),
        (figures.milliseconds(125_000), "2 min 5 s"),
        (figures.span(12_000), "3 h 20 min"),
        (figures.span(187_200), "2 d 4 h"),
        (figures.dollars(0.00421), "$0.0042"),
        (figures.dollars(1234.5), "$1,234.50"),
        (figures.dollars(0.00001), "< $0.0001"),
        (figures.dollars(None), "–"),
        (figures.share(0.99999), "99.9 %"),
        (figures.share(1.0), "100 %"),
        (figures.share(0.0001), "< 0.1 %"),
    ],
)
def test_figures_are_rounded_with_their_units(shown: str, expected: str) -> None:
    """No share is rounded up to all, and no cost down to nothing."""
    assert shown.replace("\N{NO-BREAK SPACE}", " ") == expected
