"""``router.health``: how routes and accounts stand, to whoever asks, at any time and at no cost."""

from __future__ import annotations

import pickle
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from _health.workers import until
from _routing.planning import AUTH, CONFLICT, OUTAGE, RATE_LIMIT, TIMEOUT, limited
from begun_threads import begun_threads
from busy_machine import LONG_ENOUGH
from lanewise import HealthReport, HealthState, NotInScope, Router, RoutingError
from lanewise._health.breakers.circuit import (
    BreakerSettings,
    ByHand,
    CircuitOpened,
    Event,
    Failed,
    Limited,
    Released,
    Succeeded,
)
from lanewise._health.breakers.local_breaker import LocalBreaker
from lanewise._health.health_report import breaker_status
from lanewise.testing import Answer, SlowHeaders, Status
from lanewise.types import Api, FailureKind
from real_valkey import Valkey
from router.driving import FIRST_MODEL, SECOND_MODEL, Form, Stage, ask, config

pytestmark = pytest.mark.anyio

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
FAILURES = st.sampled_from([OUTAGE, TIMEOUT, RATE_LIMIT, limited(5.0), CONFLICT, AUTH])
GENERATIONS = st.integers(0, 6)
EVENTS = st.one_of(
    st.builds(Failed, GENERATIONS, FAILURES, st.just(0.5), st.sampled_from(["", "me"]), st.booleans()),
    st.builds(CircuitOpened, GENERATIONS, FAILURES, st.just(0.5)),
    st.builds(Limited, GENERATIONS, st.just(limited(4.0)), st.sampled_from([None, 4.0]), met=st.booleans()),
    st.builds(Succeeded, GENERATIONS),
    st.builds(Released, st.just("me")),
    st.builds(ByHand, st.booleans()),
)


@given(st.lists(st.tuples(st.floats(0.0, 12.0), EVENTS), max_size=60), st.floats(0.0, 40.0))
def test_a_report_says_what_calls_meet(history: list[tuple[float, Event]], later: float) -> None:
    """Whatever has happened: well is what they are sent to; and what is not well has a reason, and a time or a person
    that ends it."""
    breaker, now = LocalBreaker("me", BreakerSettings()), 1000.0
    for passed, event in history:
        now += passed
        breaker.note(event, now)
    now += later
    status = breaker_status(breaker.circuit, now, AT)
    closed = breaker.closed_to(now, shared=False)
    if status.state.takes_calls:
        assert closed is None
        assert status.next_probe is None
    if status.state in (HealthState.OPEN, HealthState.LIMITED):
        assert closed is not None
    if status.state is HealthState.CLOSED:
        assert status == msgspec.structs.replace(status, since=None, why="", failure=None, by_hand=False)
        return
    assert status.why
    assert status.since is not None
    assert AT - timedelta(seconds=now - 999.0) <= status.since <= AT
    if status.by_hand:
        assert (status.why, status.failure, status.next_probe) == ("by hand", None, None)
        return
    assert isinstance(status.failure, FailureKind)
    if not status.state.takes_calls:
        assert status.next_probe is not None
        assert AT <= status.next_probe <= AT + timedelta(seconds=330)


def long_breaks(**router: Any) -> dict[str, Any]:
    """The config's part with breaks that outlast a test."""
    return {"router": {"health": {"break_duration": "30s", "max_break_duration": "30s"}, **router}}


@pytest.mark.parametrize(
    ("behaviour", "calls", "state", "why", "failure"),
    [
        (Answer(), 1, "closed", "", None),
        (Status(500), 1, "failing", "2 failures in a row: outage, HTTP 500", "outage"),
        (Status(500), 3, "open", "outage, HTTP 500", "outage"),
        (Status(404, error={"code": "model_not_found"}), 1, "open", "model_missing, HTTP 404, model_not_found", None),
        (Status(401), 1, "open", "auth, HTTP 401", "auth"),
        (Status(402), 1, "open", "quota, HTTP 402", "quota"),
        (Status(429, retry_after=30), 1, "limited", "rate_limit, HTTP 429", "rate_limit"),
        (Status(400), 1, "closed", "", None),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_a_route_says_how_it_stands_since_when_and_why(
    behaviour: Any, calls: int, state: str, why: str, failure: str | None, stage: Stage, keys: None
) -> None:
    """For the kind of API that was asked, and as a whole; the other route is well, and so are its other kinds."""
    stage.first.script_all(behaviour)
    began = datetime.now(UTC)
    async with Router.from_mapping(config(stage, more=long_breaks())) as router:
        for _ in range(calls):
            await ask(router, Form("async"))
        report = router.health
    first = report.routes["first"]
    assert first.state == state
    assert first.why.startswith(why)
    assert failure is None or first.failure == failure
    assert (first.route, first.provider, first.account) == ("first", "first-provider", "first-provider")
    assert report.routes["second"].state is HealthState.CLOSED
    assert first.apis[Api.EMBEDDINGS].state is HealthState.CLOSED
    is_the_accounts = failure in ("auth", "quota")
    assert report.accounts["first-provider"].state == (state if is_the_accounts else "closed")
    assert first.apis[Api.CHAT].state == ("closed" if is_the_accounts else state)
    if state != "closed":
        assert first.since is not None
        assert began - timedelta(seconds=1) <= first.since <= report.at
    if state in ("open", "limited"):
        assert first.next_probe is not None
        assert timedelta(seconds=5) < first.next_probe - report.at <= timedelta(seconds=37)
    assert not report.shared


async def test_a_half_open_route_says_whether_a_call_tries_it(stage: Stage, keys: None) -> None:
    """Now, if none does; no time while one does; and when that has answered, the route is well."""
    short = {"router": {"health": {"break_duration": "1s", "max_break_duration": "1s"}}}
    stage.first.script_all(Status(404, error={"code": "model_not_found"}))
    async with Router.from_mapping(config(stage, more=short)) as router:
        await ask(router, Form("async"))
        await anyio.sleep(1.25)
        waiting = router.health
        assert waiting.routes["first"].state is HealthState.HALF_OPEN
        assert waiting.routes["first"].next_probe == waiting.at
        stage.first.script_all(SlowHeaders(0.5))
        async with anyio.create_task_group() as group:
            group.start_soon(ask, router, Form("async"))
            with anyio.fail_after(LONG_ENOUGH):
                while router.health.routes["first"].next_probe is not None:
                    await anyio.sleep(0.01)
            tried = router.health.routes["first"].state
        assert tried in (HealthState.HALF_OPEN, HealthState.CLOSED)
        assert router.health.routes["first"].state is HealthState.CLOSED


async def test_health_can_be_asked_at_any_time(stage: Stage, keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the router is opened, and with keys that are missing; and after it was closed, as it stood then. No thread
    is started for it where there is no store."""
    monkeypatch.delenv("FIRST_KEY")
    begun = begun_threads()
    router = Router.from_mapping(config(stage))
    before = router.health
    assert {route.state for route in before.routes.values()} == {HealthState.CLOSED}
    assert set(before.accounts) == {"first-provider", "second-provider"}
    monkeypatch.setenv("FIRST_KEY", "a-key")
    async with router:
        _ = router.health
        assert not [name for name in begun() if name.startswith("lanewise")]
        stage.first.script_all(Status(401))
        await ask(router, Form("async"))
    after = router.health
    assert after.routes["first"].state is HealthState.OPEN


async def test_a_route_whose_key_is_not_set_is_off(stage: Stage, keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its provider is optional."""
    monkeypatch.delenv("FIRST_KEY")
    mapping: dict[str, Any] = config(stage, first_provider={"optional": True})
    del mapping["tasks"]["alone"]
    async with Router.from_mapping(mapping) as router:
        report = router.health
    assert (report.routes["first"].state, report.routes["first"].why) == ("off", "its key is not set")
    assert report.routes["second"].state is HealthState.CLOSED


def test_a_report_is_plain_data(stage: Stage, keys: None) -> None:
    """It can be pickled, compared, and written as JSON; and nothing of it can be set."""
    stage.first.script_all(Status(401))
    with Router.from_mapping(config(stage)) as router, router.scope() as scope:
        scope.openai.chat.completions.create(model="both", messages=[{"role": "user", "content": "Hello"}])
        report = router.health
    assert pickle.loads(pickle.dumps(report)) == report
    assert msgspec.json.decode(msgspec.json.encode(report), type=HealthReport) == report
    with pytest.raises(AttributeError):
        report.routes["first"].state = HealthState.CLOSED  # type: ignore[misc]


def test_asking_costs_no_more_than_looking(stage: Stage, keys: None) -> None:
    """A page may ask with each request: far below a millisecond, though nobody's machine is quiet."""
    with Router.from_mapping(config(stage)) as router:
        took = []
        for _ in range(200):
            began = time.perf_counter()
            _ = router.health
            took.append(time.perf_counter() - began)
    assert min(took) < 0.001


def test_a_worker_tells_what_another_one_found(stage: Stage, valkey: Valkey, keys: None) -> None:
    """It has made no call: asking has it listen, and a moment later it knows; and when a person closes the route by
    hand, too. After it was closed it still says what it knew."""
    shared = long_breaks(state=valkey.url)
    with Router.from_mapping(config(stage, more=shared)) as caller:
        stage.first.script(FIRST_MODEL, Status(404, error={"code": "model_not_found"}))
        stage.second.script(SECOND_MODEL, Answer())
        with caller.scope() as scope:
            scope.openai.chat.completions.create(model="both", messages=[{"role": "user", "content": "Hello"}])
        with Router.from_mapping(config(stage, more=shared)) as asker:
            until(lambda: asker.health.shared and asker.health.routes["first"].state is HealthState.OPEN, 20)
            found = asker.health.routes["first"]
            mine = caller.health.routes["first"]
            assert found.why == mine.why == "model_missing, HTTP 404, model_not_found"
            assert found.since is not None
            assert mine.since is not None
            assert abs(found.since - mine.since) < timedelta(seconds=2)
        assert asker.health.routes["first"].state is HealthState.OPEN
        assert not asker.health.shared


def test_a_closed_router_starts_nothing(stage: Stage, valkey: Valkey, keys: None) -> None:
    """Whoever asks it hears what was known; no thread listens anew."""
    router = Router.from_mapping(config(stage, more=long_breaks(state=valkey.url)))
    with router:
        until(lambda: router.health.shared, 20)
    begun = begun_threads()
    assert not router.health.shared
    assert begun() == []
    with pytest.raises((RoutingError, NotInScope)):
        router.scope().openai.chat.completions.create(model="both", messages=[{"role": "user", "content": "Hello"}])
