"""A worker in trouble of its own: its calls fail as what it is, no provider is blamed, and no other worker notices."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import textwrap
from collections import Counter
from typing import Any

import anyio
import openai
import pytest

from _runtime.setting import ask, ask_stream, ask_stream_sync, ask_sync, config, output, script
from busy_machine import LONG_ENOUGH
from lanewise import FailureKind, Router, RoutingError, Unreachable
from lanewise._runtime.loops.process_limits import descriptor_limit_warning
from lanewise._telemetry.trouble_reports import TroubleReports
from lanewise.config import Config
from lanewise.testing import Close, Cycle, FakeProvider
from lanewise.types import LocalTrouble
from real_valkey import Valkey

pytestmark = pytest.mark.anyio

WORKER = """
    import json, resource
    from lanewise import RoutingError

    def take_all_descriptors():
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        taken = []
        try:
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            return taken

    async def call(router):
        with router.scope() as scope:
            try:
                reply = await scope.async_openai.chat.completions.create(model="t", messages=MESSAGES)
            except Exception as error:
                told = {"error": type(error).__mro__[0].__name__, "routing": isinstance(error, RoutingError)}
                call = getattr(error, "call", None)
            else:
                told, call = {}, scope.call_for(reply)
        failures = [attempt.failure for attempt in call.attempts]
        return {**told, "route": call.route if not told else None, "failures": failures}

    async def calls(router, count):
        told = []
        for _ in range(count // 10):
            told += await asyncio.gather(*(call(router) for _ in range(10)))
            await asyncio.sleep(0.05)
        return told

    async def main():
        CONFIG["router"] = {"state": os.environ["STATE"], "health": {"consecutive_failures": 3}}
        async with Router.from_mapping(CONFIG) as router:
            first = await call(router)
            await asyncio.sleep(0.3)  # the store is connected to by now
            print("ready", flush=True)
            sys.stdin.readline()
            if os.environ.get("STARVED"):
                taken = take_all_descriptors()
                starved = await calls(router, 20)
                for number in taken:
                    os.close(number)
                print(json.dumps({"starved": starved, "fed": await calls(router, 20)}), flush=True)
            else:
                print(json.dumps(await calls(router, 100)), flush=True)

    asyncio.run(main())
"""


def test_a_worker_without_descriptors_costs_the_other_one_nothing(provider: FakeProvider, valkey: Valkey) -> None:
    """Two processes on one store: in one no connection can be made, and all calls of the other are answered at once."""
    provider.script_all(Cycle((Close("after_answer"),)))  # each call needs a connection of its own
    state = {"STATE": valkey.url}
    starved = script(WORKER, provider, environ={**state, "STARVED": "1"})
    healthy = script(WORKER, provider, environ=state)
    for worker in (starved, healthy):
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in (starved, healthy):
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    out, err = starved.communicate(timeout=LONG_ENOUGH)
    found = json.loads(out)
    assert [told for told in json.loads(output(healthy)) if told != {"route": "first", "failures": [None]}] == []

    kinds = Counter(failure for told in found["starved"] for failure in told["failures"])
    assert kinds[FailureKind.LOCAL] > 20
    assert set(kinds) <= {FailureKind.LOCAL, None}, "an idle connection may have answered"
    assert all(told["routing"] for told in found["starved"] if "error" in told)
    assert {told["error"] for told in found["starved"] if "error" in told} == {"Unreachable"}
    assert err.count("no file descriptor left") == 1, "once a minute"
    assert "ulimit -n" in err
    assert "Traceback" not in err
    assert [told for told in found["fed"] if told != {"route": "first", "failures": [None]}] == []


def test_a_portal_that_cannot_start_says_why(provider: FakeProvider) -> None:
    """Without a descriptor for its loop a synchronous call gets an error of ours, and the next one works again."""
    program = """
        import resource
        from lanewise import RoutingError
        router = Router.from_mapping(CONFIG)

        def ask():
            with router.scope() as scope:
                reply = scope.openai.chat.completions.create(model="t", messages=MESSAGES)
                return reply.choices[0].message.content

        with router.scope() as scope:
            scope.openai.chat.completions  # what is imported late is imported by now
        import asyncio.unix_events, encodings.idna
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
        for left in range(4):
            taken = []
            try:
                while True:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                for _ in range(left):
                    os.close(taken.pop())
            try:
                ask()
            except RoutingError as error:
                print(type(error).__name__, "descriptor" in str(error))
            finally:
                for number in taken:
                    os.close(number)
        print(ask())
    """
    running = script(program, provider)
    out, err = running.communicate(timeout=LONG_ENOUGH)
    assert out.splitlines() == ["Unreachable True"] * 4 + ["Hello from gpt-a"], err
    assert err.count("no file descriptor left") == 1
    assert "Traceback" not in err
    assert "Exception ignored" not in err


@pytest.mark.parametrize("name", ["ask", "ask_stream", "ask_sync", "ask_stream_sync"])
async def test_no_port_left_is_neutral_and_told_once(
    name: str, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of many calls that can't be sent none closes a route; the log has one line, the app an error that it knows."""
    mapping = config(provider)
    mapping["router"] = {"health": {"consecutive_failures": 2, "retry_tokens": 5.1}}

    async def refused(*_: object) -> None:
        raise OSError(99, "Cannot assign requested address")

    monkeypatch.setattr("asyncio.selector_events.BaseSelectorEventLoop.sock_connect", refused)
    monkeypatch.setattr("lanewise._routing.retry.FIRST_BACKOFF", 0.001)
    with caplog.at_level(logging.WARNING, "lanewise"):
        async with Router.from_mapping(mapping) as router:
            failed = [await failed_call(router, name) for _ in range(10)]
            health = router._engine.ready().health
            assert all(breaker.pristine for breaker in health.breakers.values())
    for error in failed:
        assert isinstance(error, Unreachable | openai.APIConnectionError)
        assert error.call is not None
        assert {attempt.failure for attempt in error.call.attempts} == {FailureKind.LOCAL}
        assert {attempt.route for attempt in error.call.attempts} == {"first", "second"}
        assert {str(attempt.cost_status) for attempt in error.call.attempts} == {"not_billed"}
        assert "no local port left (EADDRNOTAVAIL)" in str(error)
    told = [record for record in caplog.records if "no local port left" in record.getMessage()]
    assert len(told) == 1
    assert told[0].levelno == logging.ERROR
    assert vars(told[0])["trouble"] == "ports"


async def failed_call(router: Router, name: str) -> RoutingError:
    in_loop: dict[str, Any] = {"ask": ask, "ask_stream": ask_stream}
    in_thread: dict[str, Any] = {"ask_sync": ask_sync, "ask_stream_sync": ask_stream_sync}
    asked = in_loop[name](router) if name in in_loop else anyio.to_thread.run_sync(in_thread[name], router)
    with pytest.raises(RoutingError) as caught:
        await asked
    return caught.value


def test_trouble_is_told_once_a_minute_with_its_count() -> None:
    """Each of its own; what was not told is counted in the next line."""
    now = 0.0
    reports = TroubleReports(lambda: now)
    for trouble in LocalTrouble:
        first = reports.report(trouble, lost=1.5)
        assert first is not None
        assert first.arguments == (1,)
        assert first.message % first.arguments
        assert all(reports.report(trouble, lost=1.0) is None for _ in range(99))
    now = 60.0
    for trouble in LocalTrouble:
        again = reports.report(trouble, lost=1.0)
        assert again is not None
        assert again.arguments == (100,)


def test_a_config_that_can_use_more_than_the_limit_is_told(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its providers' idle connections, or by what is allowed at a time."""
    found = Config.from_mapping(config(provider))
    for limit, told in ((299, True), (300, False), (None, False)):
        monkeypatch.setattr("lanewise._runtime.loops.process_limits._soft_limit", lambda limit=limit: limit)
        assert (descriptor_limit_warning(found) is not None) is told
    mapping = config(provider)
    mapping["providers"] = {
        "a": {"base_url": provider.base_url, "max_idle_connections": 10},
        "b": {"base_url": provider.base_url, "max_concurrency": 500},
        "unused": {"base_url": provider.base_url},
    }
    for limit, told in ((609, True), (610, False)):
        monkeypatch.setattr("lanewise._runtime.loops.process_limits._soft_limit", lambda limit=limit: limit)
        assert (descriptor_limit_warning(Config.from_mapping(mapping)) is not None) is told


IN_A_NAMESPACE = """
    import asyncio, json, logging, subprocess, sys
    from collections import Counter
    from lanewise import Router, RoutingError
    from lanewise.testing import Answer, Cycle, FakeProvider

    logging.disable(logging.CRITICAL)

    def mapping(url):
        return {
            "router": {"health": {"consecutive_failures": 2}},
            "providers": {"one": {"base_url": url, "insecure": True}},
            "routes": {"first": {"provider": "one", "model": "m"}},
            "tasks": {"t": {"primary": "first", "deadline": "20s"}},
        }

    async def call(router):
        with router.scope() as scope:
            completions = scope.async_openai.chat.completions
            try:
                await completions.create(model="t", messages=[{"role": "user", "content": "Hello?"}])
            except RoutingError as error:
                return type(error).__name__, [attempt.failure for attempt in error.call.attempts], str(error)
        return "answered", [attempt.failure for attempt in scope.calls[-1].attempts], ""

    async def unconnected():
        async with Router.from_mapping(mapping("http://203.0.113.7/v1")) as router:
            found = [await call(router) for _ in range(4)]
            calm = all(breaker.pristine for breaker in router._engine.ready().health.breakers.values())
        return {"found": found, "calm": calm}

    async def without_ports():
        with FakeProvider() as provider:
            open("/proc/sys/net/ipv4/ip_local_port_range", "w").write("50000 50009")
            provider.script_all(Cycle((Answer(delay=1.5),)))
            async with Router.from_mapping(mapping(provider.base_url)) as router:
                found = await asyncio.gather(*(call(router) for _ in range(30)))
                calm = all(breaker.pristine for breaker in router._engine.ready().health.breakers.values())
                provider.script_all(Answer())
                later = [await call(router) for _ in range(10)]
        return {"found": found, "calm": calm, "later": later}

    unconnected_found = asyncio.run(unconnected())
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    print(json.dumps([unconnected_found, asyncio.run(without_ports())]))
"""


@pytest.mark.slow
def test_used_up_ports_and_a_missing_network_are_no_providers_fault() -> None:
    """The real things, in a network namespace: no way out at first, and then ten local ports for thirty calls."""
    command = ["unshare", "--map-root-user", "--net", sys.executable, "-c", textwrap.dedent(IN_A_NAMESPACE)]
    if shutil.which("unshare") is None or subprocess.run([*command[:3], "true"], check=False).returncode != 0:
        pytest.skip("network namespaces can't be made here")
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    unconnected, without_ports = json.loads(done.stdout)
    assert unconnected["calm"]
    for name, failures, said in unconnected["found"]:
        assert name == "Unreachable"
        assert set(failures) == {FailureKind.LOCAL}
        assert "no network" in said
    assert without_ports["calm"]
    names = Counter(name for name, _, _ in without_ports["found"])
    failures = Counter(failure for _, each, _ in without_ports["found"] for failure in each)
    assert names["answered"] >= 10
    assert failures[FailureKind.LOCAL] >= 1
    assert set(failures) == {FailureKind.LOCAL, None}
    assert all("no local port left" in said for name, _, said in without_ports["found"] if name != "answered")
    assert [name for name, _, _ in without_ports["later"]] == ["answered"] * 10
