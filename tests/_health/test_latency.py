"""What is known of the routes' speed: recent times, and which failed last."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lanewise._failures import failure_table as failures
from lanewise._health.route_latencies import FAILING, KEPT, LEAST, RECENT, RouteLatencies
from lanewise.types import Api, Attempt, LaneName


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def speeds(clock: Clock) -> RouteLatencies:
    return RouteLatencies(clock)


def took(total_ms: float, first_content_ms: float | None = None, route: str = "a") -> Attempt:
    return Attempt(
        call_id="c",
        attempt_number=1,
        route=route,
        lane=LaneName.PRIMARY,
        model_asked="m",
        provider_host="h",
        idempotency_key="k",
        started_at=datetime.now(UTC),
        total_ms=total_ms,
        first_content_ms=first_content_ms,
    )


def test_a_route_is_known_from_its_third_time_on(speeds: RouteLatencies) -> None:
    """By the median: one slow answer makes no slow route."""
    for total in (100, 9000):
        speeds.note(took(total), Api.CHAT, None, stream=False)
        assert speeds.seconds("a", Api.CHAT, stream=False) is None
    speeds.note(took(200), Api.CHAT, None, stream=False)
    assert speeds.seconds("a", Api.CHAT, stream=False) == 0.2


def test_streams_count_to_their_first_content_and_apart(speeds: RouteLatencies) -> None:
    """Each kind of API too: an embedding is no chat."""
    for _ in range(LEAST):
        speeds.note(took(5000, 300), Api.CHAT, None, stream=True)
        speeds.note(took(20), Api.EMBEDDINGS, None, stream=False)
    assert speeds.seconds("a", Api.CHAT, stream=True) == 0.3
    assert speeds.seconds("a", Api.EMBEDDINGS, stream=False) == 0.02
    assert speeds.seconds("a", Api.CHAT, stream=False) is None


def test_old_times_are_forgotten(speeds: RouteLatencies, clock: Clock) -> None:
    """By age, and by how many came after them."""
    for _ in range(KEPT):
        speeds.note(took(1000), Api.CHAT, None, stream=False)
    for _ in range(KEPT):
        speeds.note(took(10), Api.CHAT, None, stream=False)
    assert speeds.seconds("a", Api.CHAT, stream=False) == 0.01
    clock.now += RECENT + 1
    assert speeds.seconds("a", Api.CHAT, stream=False) is None


def test_a_route_fails_until_it_answers_or_time_has_passed(speeds: RouteLatencies, clock: Clock) -> None:
    """Then it gets another chance."""
    speeds.note(took(1), Api.CHAT, failures.SERVER_ERROR.failure(), stream=False)
    assert speeds.fails("a", Api.CHAT)
    assert not speeds.fails("a", Api.EMBEDDINGS)
    speeds.note(took(1), Api.CHAT, None, stream=False)
    assert not speeds.fails("a", Api.CHAT)
    speeds.note(took(1), Api.CHAT, failures.RATE_LIMIT.failure(), stream=False)
    assert speeds.fails("a", Api.CHAT)
    clock.now += FAILING
    assert not speeds.fails("a", Api.CHAT)


@pytest.mark.parametrize("row", [failures.CONTRACT, failures.CONTEXT_LENGTH, failures.CANCELLED])
def test_what_says_nothing_of_the_route_is_no_failure_of_it(speeds: RouteLatencies, row: failures.Row) -> None:
    """A caller that hangs up, or asks for the impossible, slows nobody."""
    speeds.note(took(1), Api.CHAT, row.failure(), stream=False)
    assert not speeds.fails("a", Api.CHAT)
    assert speeds.seconds("a", Api.CHAT, stream=False) is None
