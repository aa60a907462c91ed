"""An event loop that stood still or had no time: answers that have come count, and nobody is blamed or asked again."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest

from _runtime.setting import MESSAGES, config, output, script
from busy_machine import LAG
from lanewise import DeadlineExceeded, FailureKind, Router, RoutingError
from lanewise.testing import Answer, Cycle, FakeProvider, Silence

pytestmark = pytest.mark.anyio

PROGRAM = """
    import json, logging, subprocess
    from concurrent.futures import ThreadPoolExecutor
    logging.disable(logging.CRITICAL)
    from lanewise import RoutingError

    HOW, FORM = os.environ["HOW"], os.environ["FORM"]
    COUNT, SECONDS = int(os.environ["COUNT"]), float(os.environ["SECONDS"])
    ANSWERED = os.environ.get("ANSWERED", "")  # a file that is there once the provider has sent all answers

    async def call(router):
        with router.scope() as scope:
            try:
                completions = scope.async_openai.chat.completions
                reply = await completions.create(model="t", messages=MESSAGES, stream=FORM == "stream")
                if FORM == "stream":
                    async for _ in reply:
                        pass
            except RoutingError:
                pass
        found = scope.calls[-1]
        return [found.outcome, *(attempt.failure for attempt in found.attempts)]

    def sync_call(router):
        with router.scope() as scope:
            try:
                scope.openai.chat.completions.create(model="t", messages=MESSAGES)
            except RoutingError:
                pass
        found = scope.calls[-1]
        return [found.outcome, *(attempt.failure for attempt in found.attempts)]

    def stand_still():
        if HOW == "stopped":
            waits = f"sleep {SECONDS}; until [ -e '{ANSWERED}' ]; do sleep 0.05; done"
            stops = f"kill -STOP {os.getpid()}; {waits}; kill -CONT {os.getpid()}"
            subprocess.run(["sh", "-c", stops], check=True)
            return
        until = time.monotonic() + SECONDS
        while time.monotonic() < until or not os.path.exists(ANSWERED):
            if HOW == "busy":
                sum(range(100_000))
            else:
                time.sleep(0.05)

    async def main():
        async with Router.from_mapping(CONFIG) as router:
            if HOW != "backlog":
                await call(router)
                sys.stdin.readline()
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(COUNT))
            run = (lambda: asyncio.to_thread(sync_call, router)) if FORM == "sync" else (lambda: call(router))
            tasks = [asyncio.create_task(run()) for _ in range(COUNT)]
            if HOW == "backlog":
                for _ in range(12):
                    time.sleep(0.3)
                    await asyncio.sleep(0)
            else:
                while not await sent():
                    await asyncio.sleep(0.01)
                stand_still()
            print(json.dumps(await asyncio.gather(*tasks)), flush=True)

    async def sent():
        # The test says when all requests have been written.
        import select
        return bool(select.select([sys.stdin], [], [], 0)[0])

    asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("how", "form", "seconds"),
    [
        ("blocked", "whole", 2.5),
        ("blocked", "stream", 1.5),
        ("stopped", "sync", 1.5),
        pytest.param("busy", "whole", 1.5, marks=pytest.mark.slow),
        pytest.param("stopped", "whole", 1.5, marks=pytest.mark.slow),
        pytest.param("blocked", "whole", 7.0, marks=pytest.mark.slow),
        pytest.param("stopped", "stream", 7.0, marks=pytest.mark.slow),
    ],
)
def test_answers_in_the_sockets_of_a_loop_that_stood_still_count(
    how: str, form: str, seconds: float, provider: FakeProvider, tmp_path: Path
) -> None:
    """Twelve calls, twelve answers, twelve requests: past the attempts' timeouts, and past the calls' own deadline."""
    answered = tmp_path / "answered"
    environ = {"HOW": how, "FORM": form, "COUNT": "12", "SECONDS": str(seconds), "ANSWERED": str(answered)}
    mapping = json.dumps({"timeout": "1s", "deadline": "2s" if seconds < 5 else "4s"})
    running = script(_configured(mapping) + PROGRAM, provider, environ=environ)
    provider.wait_until(lambda: provider.request_count == 1)
    provider.script_all(Cycle((Answer(delay=0.4),)))
    assert running.stdin is not None
    running.stdin.write("begin\n")
    running.stdin.flush()
    provider.wait_until(lambda: provider.request_count == 13)
    running.stdin.write("now\n")
    running.stdin.flush()
    provider.wait_until(lambda: all(each.finished_at is not None for each in provider.journal))
    answered.touch()
    assert json.loads(output(running)) == [["answered", None]] * 12
    assert provider.request_count == 13


def test_a_backlog_at_the_start_reaches_the_provider(provider: FakeProvider) -> None:
    """A hundred calls at once in a process that has just begun, whose loop has a turn for them each 0.3 s."""
    environ = {"HOW": "backlog", "FORM": "whole", "COUNT": "100", "SECONDS": "0"}
    settings = json.dumps({"timeout": "1s", "deadline": "20s"})
    running = script(_configured(settings) + PROGRAM, provider, environ=environ)
    assert json.loads(output(running)) == [["answered", None]] * 100
    assert provider.request_count == 100


def _configured(settings: str) -> str:
    return f"""
    import json
    SETTINGS = json.loads({settings!r})
    for route in CONFIG["routes"].values():
        route["timeout"] = SETTINGS["timeout"]
    CONFIG["tasks"]["t"]["deadline"] = SETTINGS["deadline"]
    """


async def test_a_late_loop_blames_no_provider(
    provider: FakeProvider, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing had come when the deadline was long past: the call says whose fault it was, and nothing is sent again."""
    monkeypatch.setattr(LAG, "filter", lambda record: True)
    mapping: dict[str, Any] = config(provider, deadline="2s")
    mapping["router"] = {"health": {"consecutive_failures": 1}}
    mapping["routes"]["first"]["timeout"] = "1800ms"
    provider.script_all(Silence())

    async def ask() -> RoutingError:
        with router.scope() as scope, pytest.raises(RoutingError) as caught:
            await scope.async_openai.chat.completions.create(model="t", messages=MESSAGES)
        return caught.value

    with caplog.at_level(logging.WARNING, "lanewise"):
        async with Router.from_mapping(mapping) as router:
            asking = [asyncio.ensure_future(ask()) for _ in range(3)]
            while provider.request_count < 3:
                await asyncio.sleep(0.01)
            time.sleep(3.0)
            began = time.monotonic()
            errors = await asyncio.gather(*asking)
            assert time.monotonic() - began < 5.0
            health = router._engine.ready().health
            assert all(breaker.pristine for breaker in health.breakers.values())
    for error in errors:
        assert isinstance(error, DeadlineExceeded)
        assert error.call is not None
        assert [attempt.failure for attempt in error.call.attempts] == [FailureKind.LOCAL]
        assert "event loop" in str(error)
    assert provider.request_count == 3
    told = [record for record in caplog.records if "event loop of this process" in record.getMessage()]
    assert len(told) == 1
    assert vars(told[0])["loop_lag_ms"] >= 1000


async def test_the_lag_of_the_loop_is_a_metric(provider: FakeProvider) -> None:
    """A histogram of measurements, made while attempts run."""
    from prometheus_client import REGISTRY

    def above(seconds: str) -> float:
        counted = REGISTRY.get_sample_value("lanewise_loop_lag_seconds_count") or 0.0
        return counted - (REGISTRY.get_sample_value("lanewise_loop_lag_seconds_bucket", {"le": seconds}) or 0.0)

    mapping: dict[str, Any] = config(provider)
    mapping["router"]["prometheus"] = True
    provider.script("gpt-a", Answer(delay=0.3))
    async with Router.from_mapping(mapping) as router:
        before = above("0.25")
        with router.scope() as scope:
            completions = scope.async_openai.chat.completions
            asking = asyncio.ensure_future(completions.create(model="t", messages=MESSAGES))
            while provider.request_count < 1:
                await asyncio.sleep(0.01)
            time.sleep(0.6)
            await asking
    assert above("0.25") > before
