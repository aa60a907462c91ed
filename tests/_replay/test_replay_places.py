"""Replay wherever a call may run: other loops, threads, forks, processes that are killed, and behind an adapter."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from _replay.replaying import worker, workers
from busy_machine import LONG_ENOUGH
from lanewise._runtime.call import replaying as replay
from lanewise.testing import Answer, StreamOf
from real_valkey import Valkey
from router.driving import FIRST_MODEL, FORMS, MESSAGES, REQUEST_ID, Form, Stage, ask, config
from starlette_lanewise import LanewiseMiddleware, lifespan

pytestmark = pytest.mark.usefixtures("keys", "patient")

each_form = pytest.mark.parametrize("form", FORMS[:2], ids=str)

PROGRAM = """
import asyncio, json, os, sys
from lanewise import Router
from lanewise._runtime.call import replaying as replay

replay.CLAIM_WAIT = replay.LOOK_WAIT = 20.0
CONFIG = json.loads(os.environ["CONFIG"])
MESSAGES = json.loads(os.environ["MESSAGES"])

async def ask(router, request_id, **options):
    with router.scope(request_id=request_id) as scope:
        reply = await scope.async_openai.chat.completions.create(model="both", messages=MESSAGES, **options)
        call = scope.calls[-1]
        return reply.choices[0].message.content, call.replayed_from is not None
"""


def start(program: str, stage: Stage, state: str) -> subprocess.Popen[str]:
    """Another worker: a process that runs a program."""
    settings = {"state": state, "replay": "1h", "storage_key_env": "STORAGE_KEY"}
    environ = {
        **os.environ,
        "CONFIG": json.dumps(config(stage, more={"router": settings})),
        "MESSAGES": json.dumps(MESSAGES),
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM + textwrap.dedent(program)],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@each_form
@pytest.mark.parametrize("state", ["memory", "shared"])
@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")  # the SDK's, on trio
def test_a_loop_of_its_own_and_the_routers_loop_share_what_is_kept(
    form: Form, state: str, stage: Stage, request: pytest.FixtureRequest
) -> None:
    """A job's ``asyncio.run``, trio, and a thread: all go through the portal, to the same answers."""
    url = "memory" if state == "memory" else request.getfixturevalue("valkey").url
    with worker(stage, url) as router:
        first = asyncio.run(_ask(router, form))
        again = asyncio.run(_ask(router, form))
        on_trio = anyio.run(_ask, router, form, backend="trio")
        in_thread = asyncio.run(_ask(router, Form("sync", stream=form.stream)))
    assert [got.call.replayed_from for got in (again, on_trio, in_thread)] == [first.call.id] * 3
    assert {got.text for got in (again, on_trio, in_thread)} == {first.text}
    assert len(stage.received()) == 1


async def _ask(router: Any, form: Form) -> Any:
    return await ask(router, form)


@pytest.mark.anyio
@each_form
async def test_a_router_goes_on_after_it_was_closed(form: Form, stage: Stage, valkey: Valkey) -> None:
    """What was answered just before the close is kept, and read after the next opening."""
    router = worker(stage, valkey.url)
    for _ in range(3):
        async with router:
            got = await ask(router, form)
    assert got.call.replayed_from is not None
    assert len(stage.received()) == 1


@pytest.mark.anyio
async def test_closing_a_router_gives_up_what_its_calls_had_claimed(stage: Stage, valkey: Valkey) -> None:
    """The next worker need not wait for a stream that was ended with its router."""
    stage.first.script(FIRST_MODEL, StreamOf(chunks=("a", "b"), stall_after=1), StreamOf(chunks=("All",)))
    async with worker(stage, valkey.url) as one:
        create = one.scope(request_id=REQUEST_ID).async_openai.chat.completions.create
        stream = await create(model="both", messages=MESSAGES, stream=True)
        await anext(stream)
    async with worker(stage, valkey.url) as other:
        with anyio.fail_after(LONG_ENOUGH):
            got = await ask(other, FORMS[1])
    assert got.text == "All"
    await stream.close()


@pytest.mark.anyio
async def test_workers_in_two_processes_pay_once(stage: Stage, valkey: Valkey) -> None:
    """Twenty requests, each of them in both processes at the same time."""
    stage.first.script(FIRST_MODEL, Answer(delay=0.2))
    program = """
    async def main():
        async with Router.from_mapping(CONFIG) as router:
            print("ready", flush=True)
            sys.stdin.readline()
            asked = await asyncio.gather(*(ask(router, f"req-2026-{number:06}") for number in range(20)))
            print(sum(again for _, again in asked), len({text for text, _ in asked}), flush=True)

    asyncio.run(main())
    """
    processes = [start(program, stage, valkey.url) for _ in range(2)]

    def run() -> list[list[int]]:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return [[int(word) for word in process.communicate(timeout=LONG_ENOUGH)[0].split()] for process in processes]

    said = await anyio.to_thread.run_sync(run)
    assert len(stage.received()) == 20
    assert sum(again for again, _ in said) == 20
    assert [texts for _, texts in said] == [1, 1]


@pytest.mark.anyio
async def test_the_calls_of_a_worker_that_was_killed_are_taken_over_after_their_lease(
    stage: Stage, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for it makes the answer then, long before the deadline that the killed call had."""
    monkeypatch.setattr(replay, "LEASE", 60.0)  # of the store's own lease, which ends here too
    stage.first.script(FIRST_MODEL, Answer(delay=30.0), Answer("taken over"))
    program = """
    replay.LEASE = 2.0
    replay.RENEW_EVERY = 0.2

    async def main():
        async with Router.from_mapping(CONFIG) as router:
            await ask(router, "req-2026-000042", timeout=60)

    asyncio.run(main())
    """
    process = start(program, stage, valkey.url)
    await anyio.to_thread.run_sync(stage.first.wait_for, 1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    async with worker(stage, valkey.url) as router:
        got = await ask(router, FORMS[0])
    assert got.text == "taken over"
    assert "waits for the same call, which runs" in got.call.explain()


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
@pytest.mark.parametrize("state", ["memory", "shared"])
def test_a_forked_worker_replays_on_its_own(state: str, stage: Stage, request: pytest.FixtureRequest) -> None:
    """The thread, the connections and the claims are the parent's."""
    url = "memory" if state == "memory" else request.getfixturevalue("valkey").url
    program = """
    import warnings

    warnings.simplefilter("ignore")  # of forking beside threads
    router = Router.from_mapping(CONFIG)

    def one(request_id):
        with router.scope(request_id=request_id) as scope:
            scope.openai.chat.completions.create(model="both", messages=MESSAGES)
            return scope.calls[-1].replayed_from is not None

    with router:
        print(one("req-2026-000001"), one("req-2026-000001"), flush=True)
        pid = os.fork()
        if pid == 0:
            print(one("req-2026-000001"), one("req-2026-000002"), one("req-2026-000002"), flush=True)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        print(one("req-2026-000001"), one("req-2026-000002"), flush=True)
    """
    said, _ = start(program, stage, url).communicate(timeout=LONG_ENOUGH)
    shared = state == "shared"
    assert said.splitlines() == ["False True", f"{shared} False True", f"True {shared}"]


@pytest.mark.anyio
async def test_a_request_that_comes_again_is_not_paid_again_behind_an_adapter(stage: Stage, valkey: Valkey) -> None:
    """Its id is the caller's own header: an app has nothing to do for it."""
    async with workers(stage, valkey.url) as routers:
        answers = []
        for router in routers:

            async def summarize(request: Request) -> PlainTextResponse:
                create = request.state.ai.async_openai.chat.completions.create
                reply = await create(model="both", messages=MESSAGES)
                return PlainTextResponse(str(request.state.ai.call_for(reply).replayed_from))

            app = Starlette(
                routes=[Route("/", summarize)],
                middleware=[Middleware(LanewiseMiddleware, router=router)],
                lifespan=lifespan(router),
            )
            transport = httpx2.ASGITransport(app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://app.test") as client:
                answers.append((await client.get("/", headers={"X-Request-ID": REQUEST_ID})).text)
                answers.append((await client.get("/", headers={"X-Request-ID": "req-another-one"})).text)
    assert answers[0] == answers[1] == "None"
    assert "None" not in answers[2:]
    assert len(stage.received()) == 2
