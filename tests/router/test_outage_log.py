"""An outage in the log and the metrics: told when it begins and ends, and once a minute, whatever number calls have."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import anyio
import pytest
from prometheus_client import REGISTRY

from begun_threads import begun_threads
from busy_machine import LONG_ENOUGH
from lanewise import FailureKind, HealthState, LaneName, Router
from lanewise._telemetry import lane_reports
from lanewise._telemetry.log import Log
from lanewise.testing import Answer, Status
from real_valkey import Valkey
from router.driving import FORMS, REQUEST_ID, Form, Stage, ask, config
from shared_store import valkey, valkey_server

__all__ = ["valkey", "valkey_server"]

pytestmark = pytest.mark.anyio

each_form = pytest.mark.parametrize("form", FORMS, ids=str)
MISSING = Status(404, error={"code": "model_not_found"})
"""Opens a route at once."""


@pytest.fixture(autouse=True)
def quick(hurried: None) -> None:
    """Back-offs are short."""


def breaks(seconds: str, **router: Any) -> dict[str, Any]:
    """The config's part with breaks of one length."""
    health = {"break_duration": seconds, "max_break_duration": seconds, "retry_tokens": 1000.0}
    return {"router": {"health": health, **router}}


def said(caplog: pytest.LogCaptureFixture, level: int, words: str = "") -> list[logging.LogRecord]:
    """The lines of a level that have these words."""
    ours = (record for record in caplog.records if record.name == "lanewise" and record.levelno == level)
    return [record for record in ours if words in record.getMessage()]


@each_form
async def test_an_outage_is_two_warnings_however_many_calls_there_are(
    form: Form, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """One when the route opens, and one that counts the calls that then went elsewhere: it comes at a minute's end, or
    when the router closes. No call that was answered is one."""
    caplog.set_level(logging.INFO)
    stage.first.script_all(Status(500))
    async with Router.from_mapping(config(stage, more=breaks("30s"))) as router:
        for _ in range(3):
            await ask(router, form)
        for _ in range(25):
            got = await ask(router, form)
            assert got.routes == ["second"]
    opened, passed = said(caplog, logging.WARNING)
    assert opened.getMessage().startswith("route first (chat) is open after outage, HTTP 500")
    facts = vars(opened)
    assert (facts["breaker"], facts["route"], facts["api"]) == (HealthState.OPEN, "first", "chat")
    assert (facts["account"], facts["failure"], facts["by_hand"]) == ("first-provider", FailureKind.OUTAGE, False)
    assert 20 < facts["seconds"] <= 36
    assert passed.getMessage().startswith("the backup is on: 25 calls of both in ")
    assert passed.getMessage().endswith(" s went to second (equivalent), past first (primary), after outage")
    facts = vars(passed)
    assert (facts["calls"], facts["task"]) == (25, "both")
    assert (facts["left_lane"], facts["lane"], facts["route"]) == (LaneName.PRIMARY, LaneName.EQUIVALENT, "second")
    assert (
        len(said(caplog, logging.INFO, "answered by second (equivalent), past first (outage), after 1 attempt ")) == 25
    )


@pytest.mark.parametrize("form", [Form("async"), Form("sync")], ids=str)
async def test_each_minute_and_lane_is_one_line(
    form: Form, stage: Stage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told when it is over, without another call; a minute without such a call is none."""
    monkeypatch.setattr(lane_reports, "EVERY", 0.5)
    stage.first.script_all(Status(401))
    mapping: Any = config(stage, more=breaks("30s"))
    mapping["tasks"]["other"] = dict(mapping["tasks"]["both"])
    async with Router.from_mapping(mapping) as router:
        await ask(router, form)
        for _ in range(2):
            before = len(said(caplog, logging.WARNING, "the backup is on"))
            await asyncio.gather(*(ask(router, form) for _ in range(4)), ask(router, form, "other"))
            with anyio.fail_after(LONG_ENOUGH):
                while len(said(caplog, logging.WARNING, "the backup is on")) < before + 2:
                    await anyio.sleep(0.02)
        await anyio.sleep(0.7)
        lines = said(caplog, logging.WARNING, "the backup is on")
    assert sum(vars(line)["calls"] for line in lines if vars(line)["task"] == "both") == 8
    assert sum(vars(line)["calls"] for line in lines if vars(line)["task"] == "other") == 2
    assert said(caplog, logging.WARNING, "the backup is on") == lines


async def test_a_breaker_that_closes_is_told(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """With how long it was open, all its probes together."""
    caplog.set_level(logging.INFO)
    stage.first.script_all(MISSING)
    async with Router.from_mapping(config(stage, more=breaks("1s"))) as router:
        await ask(router, Form("async"))
        await anyio.sleep(1.25)
        await ask(router, Form("async"))  # the probe fails: it was open and is open, which is no news
        await anyio.sleep(1.25)
        stage.first.script_all(Answer())
        await ask(router, Form("async"))
    assert len(said(caplog, logging.WARNING, "is open after model_missing, HTTP 404")) == 1
    (closed,) = said(caplog, logging.INFO, "route first (chat) is closed again after ")
    facts = vars(closed)
    assert (facts["breaker"], facts["route"]) == (HealthState.CLOSED, "first")
    assert 2 < facts["seconds"] < 60


async def test_an_account_that_is_refused_is_told_as_one(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Beside the line that says who has to mend it."""
    stage.first.script_all(Status(401))
    async with Router.from_mapping(config(stage, more=breaks("30s"))) as router:
        await ask(router, Form("async"))
    (opened,) = said(caplog, logging.WARNING)
    assert opened.getMessage().startswith("account first-provider is open after auth, HTTP 401")
    assert (vars(opened)["route"], vars(opened)["account"]) == (None, "first-provider")
    (mend,) = said(caplog, logging.ERROR)
    assert f"[request {REQUEST_ID}, call " in mend.getMessage()


async def test_the_last_route_that_answers_nothing_is_told_as_throttled(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls go on to it, one a second: nothing else is left."""
    stage.first.script_all(Status(500))
    async with Router.from_mapping(config(stage, more=breaks("30s"))) as router:
        with anyio.fail_after(LONG_ENOUGH):
            while not said(caplog, logging.WARNING, "answers nothing"):
                await asyncio.gather(*(ask(router, Form("async"), "alone") for _ in range(8)))
    (throttled,) = said(caplog, logging.WARNING, "route first (chat) answers nothing and is throttled (")
    assert vars(throttled)["breaker"] is HealthState.THROTTLED
    assert "failures in a row: outage, HTTP 500" in throttled.getMessage()


async def test_a_rate_limit_is_counted_too(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """The calls that it sends elsewhere are told, and no breaker has opened."""
    stage.first.script_all(Status(429, retry_after=30))
    async with Router.from_mapping(config(stage, more=breaks("30s"))) as router:
        for _ in range(5):
            await ask(router, Form("async"))
    (line,) = said(caplog, logging.WARNING)
    assert line.getMessage().startswith("the backup is on: 4 calls of both in ")
    assert line.getMessage().endswith("past first (primary), after rate_limit")


async def test_what_another_worker_found_is_told_as_that(
    stage: Stage, valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    """Each process has a log of its own, and its calls go elsewhere from then on as well."""
    shared = config(stage, more=breaks("30s", state=valkey.url))
    stage.first.script_all(MISSING)
    async with Router.from_mapping(shared) as router, Router.from_mapping(shared) as other:
        await ask(router, Form("async"))
        with anyio.fail_after(LONG_ENOUGH):
            while other.health.routes["first"].state is not HealthState.OPEN:
                await anyio.sleep(0.02)
            while len(said(caplog, logging.WARNING, "is open after")) < 2:
                await anyio.sleep(0.02)
        mine, heard = said(caplog, logging.WARNING, "is open after")
    assert "as another worker found" not in mine.getMessage()
    assert "model_not_found, as another worker found: calls go elsewhere" in heard.getMessage()


async def test_no_timer_and_no_thread_before_a_call_goes_elsewhere(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A good call costs neither."""
    monkeypatch.setattr(Log, "trouble", lambda *_, **__: None)  # a late loop is told, which takes a thread
    loop = asyncio.get_running_loop()
    begun = begun_threads()
    async with Router.from_mapping(config(stage, more=breaks("30s"))) as router:
        log = router._engine.recording.log
        await ask(router, Form("async"))
        assert log._lane_reports is None
        assert not [name for name in begun() if "the log" in name]
    assert loop.is_running()


def metric(name: str, **labels: str) -> float | None:
    """A sample of the default registry."""
    return REGISTRY.get_sample_value(name, labels)


async def test_breakers_are_metrics(stage: Stage) -> None:
    """A gauge of each that is there, from the start; and the changes, counted. An account's has no route."""
    mapping: Any = config(stage, more=breaks("1s", prometheus=True))
    mapping["routes"]["gauged"] = {"provider": "gauged-account", "model": "model-one", "api": ["chat"]}
    mapping["providers"]["gauged-account"] = {"base_url": stage.first.base_url}
    mapping["tasks"] = {"both": {"primary": "gauged", "equivalent": "second"}}
    mine = {"route": "gauged", "api": "chat", "account": "gauged-account"}
    stage.first.script_all(MISSING)
    async with Router.from_mapping(mapping) as router:
        assert metric("lanewise_breaker_open", **mine) == 0
        assert metric("lanewise_breaker_open", route="", api="", account="gauged-account") == 0
        await ask(router, Form("async"))
        assert metric("lanewise_breaker_open", **mine) == 1
        assert metric("lanewise_breaker_changes_total", **mine, state="open") == 1
        await anyio.sleep(1.25)
        stage.first.script_all(Answer())
        await ask(router, Form("async"))
        assert metric("lanewise_breaker_open", **mine) == 0
        assert metric("lanewise_breaker_changes_total", **mine, state="closed") == 1
