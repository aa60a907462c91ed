"""What a routed call costs, counted: requests, awaits, functions, objects. Counts are the same on every machine."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future
from pathlib import Path
from types import FrameType
from typing import Any

import httpx2
import openai
import pytest
from multidict import CIMultiDict

import lanewise.router
from begun_threads import begun_threads
from lanewise import Router, Scope
from lanewise._client.direct_requests import DirectRequests
from lanewise._runtime.messages import RoutedRequest
from lanewise.router import scopes_of
from lanewise.testing import Answer, FakeProvider, Status

MESSAGES: Any = [{"role": "user", "content": "Summarise the ticket."}]
ASK = RoutedRequest("POST", "chat/completions", "", (), json.dumps({"model": "summary", "messages": MESSAGES}).encode())
OURS = str(Path(lanewise.router.__file__).parent)


class AnsweredAtOnce:
    """An exchange whose answer is there already."""

    status = 200
    http_version = "1.1"
    body = json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "flagship-1",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Fine."}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17},
        }
    ).encode()
    headers = CIMultiDict({"content-type": "application/json", "x-request-id": "req_1"})

    raw_headers = tuple((name.encode(), value.encode()) for name, value in headers.items())
    lenient = ()

    def bound_reads(self, *_: object) -> None: ...

    async def read(self, limit: int) -> bytes:
        return self.body

    def release(self) -> None: ...


class NoWire:
    """A transport that costs nothing, so that what is counted is the router's."""

    def __init__(self, **_: object) -> None: ...

    async def send(self, *_: object, **__: object) -> AnsweredAtOnce:
        return AnsweredAtOnce()

    async def aclose(self) -> None: ...

    def forget(self) -> None: ...


def config(base_url: str) -> dict[str, object]:
    """Two providers, two lanes."""
    return {
        "providers": {"first": {"base_url": base_url}, "second": {"base_url": base_url}},
        "routes": {
            "flagship": {"provider": "first", "model": "flagship-1"},
            "sonnet": {"provider": "second", "model": "sonnet-1"},
        },
        "tasks": {"summary": {"primary": "flagship", "equivalent": "sonnet"}},
    }


@pytest.fixture
def wireless(monkeypatch: pytest.MonkeyPatch) -> Router:
    """A router whose transport costs nothing."""
    monkeypatch.setattr(lanewise.router, "AiohttpTransport", NoWire)
    return Router.from_mapping(config("http://127.0.0.1:9/v1"))


def new_scope(router: Router) -> Scope:
    return router.scope(request_id="req-2026-000042", subject="user-7")


async def call(router: Router) -> None:
    """One call with its scope, as an app's request makes it."""
    with new_scope(router) as scope:
        await scope.async_openai.chat.completions.create(model="summary", messages=MESSAGES)


class Counted:
    """Awaits a coroutine, and counts how often it gives way to the loop."""

    def __init__(self, work: Coroutine[Any, Any, Any]) -> None:
        self._work = work
        self.times = 0

    def __await__(self) -> Generator[Any, Any, None]:
        steps = self._work.__await__()
        for step in steps:
            self.times += 1
            yield step


def run_at_once(work: Coroutine[Any, Any, Any]) -> None:
    """Run a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits for something")


@pytest.mark.anyio
async def test_a_call_is_one_request_and_all_calls_share_a_connection(fake_provider: FakeProvider) -> None:
    """Nothing is asked beforehand, nothing is sent twice, and the connection is kept."""
    async with Router.from_mapping(config(fake_provider.base_url)) as router:
        for _ in range(20):
            await call(router)
    assert fake_provider.request_count == 20
    assert fake_provider.connections == 1


@pytest.mark.anyio
async def test_a_switch_costs_one_request_more(fake_provider: FakeProvider) -> None:
    """A call that its first route refuses is two requests."""
    fake_provider.script("flagship-1", Status(429, retry_after=30))
    async with Router.from_mapping(config(fake_provider.base_url)) as router:
        await call(router)
    assert fake_provider.request_count == 2


@pytest.mark.anyio
async def test_a_stream_is_one_request(fake_provider: FakeProvider) -> None:
    """A stream is opened once, and what it leaves of its connection serves the next one."""
    async with Router.from_mapping(config(fake_provider.base_url)) as router:
        for _ in range(3):
            client = new_scope(router).async_openai
            async for _chunk in await client.chat.completions.create(model="summary", messages=MESSAGES, stream=True):
                pass
    assert fake_provider.request_count == 3
    assert fake_provider.connections == 1


@pytest.mark.anyio
async def test_the_router_waits_for_nothing_but_the_provider(wireless: Router) -> None:
    """Where an answer is there at once, a call comes back without giving way to the loop a single time."""
    async with wireless:
        await call(wireless)
        run_at_once(call(wireless))


@pytest.mark.anyio
async def test_a_call_on_a_kept_connection_waits_once(fake_provider: FakeProvider) -> None:
    """It gives way until the answer comes, and starts no thread and no more than aiohttp's own task."""
    fake_provider.script("flagship-1", Answer("Fine."))
    loop = asyncio.get_running_loop()
    async with Router.from_mapping(config(fake_provider.base_url)) as router:
        await call(router)
        tasks: list[object] = []

        def make_task(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
            tasks.append(work)
            return asyncio.Task(work, loop=loop, **options)

        loop.set_task_factory(make_task)
        begun = begun_threads()
        counted = Counted(call(router))
        try:
            await counted
        finally:
            loop.set_task_factory(None)
        assert begun() == []
    assert len(tasks) <= 1  # before Python 3.12 aiohttp writes the request in a task
    assert counted.times <= 2  # headers and body may come apart


@pytest.mark.anyio
async def test_a_call_runs_few_functions(wireless: Router) -> None:
    """A bound on how much is done a call: 264 when it was set, 205 of them ours, where the SDK's own way is 2,349."""
    async with wireless:
        await call(wireless)
        ran = functions(lambda: run_at_once(call(wireless)))
    ours = sum(times for (file, _), times in ran.items() if file.startswith(OURS))
    assert ours <= 208, ran.most_common()
    assert sum(ran.values()) <= 280, ran.most_common()  # some nine more with the lowest versions


@pytest.mark.anyio
async def test_a_call_makes_no_request_object_and_no_client(wireless: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scope's client is a twin of one that is there, and httpx2 has no part in its call."""
    async with wireless:
        await call(wireless)
        made = made_of(monkeypatch, httpx2.Request, httpx2.Response, httpx2.URL, httpx2.AsyncClient, openai.AsyncOpenAI)
        await call(wireless)
    assert made == {}


@pytest.mark.anyio
async def test_a_call_through_httpx2_makes_one_request_object(
    wireless: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The URLs of calls are made once."""
    monkeypatch.setattr(DirectRequests, "routed_request", lambda *_, **__: None)
    monkeypatch.setattr(DirectRequests, "created_request", lambda *_, **__: None)
    async with wireless:
        await call(wireless)
        made = made_of(monkeypatch, httpx2.Request, httpx2.Response, httpx2.URL, httpx2.AsyncClient, openai.AsyncOpenAI)
        await call(wireless)
    assert made == {"Request": 1, "Response": 1, "URL": 1}  # the request's copy of a URL that is not parsed again


@pytest.mark.anyio
async def test_the_engine_leaves_nothing_for_the_garbage_collector(wireless: Router) -> None:
    """What a call made is freed as soon as it is over: nothing of it refers to itself."""
    async with wireless:
        scope = new_scope(wireless)
        await scopes_of(wireless).ask(ASK, scope)
        left = []
        gc.disable()
        try:
            for _ in range(5):  # threads of earlier tests may leave something meanwhile, but not each time
                gc.collect()
                for _ in range(20):
                    await scopes_of(wireless).ask(ASK, scope)
                left.append(gc.collect())
        finally:
            gc.enable()
        assert min(left) == 0


def test_a_synchronous_call_starts_one_thread_for_all(
    fake_provider: FakeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """The portal is one thread, however many calls there are; it keeps one connection for calls in turn."""
    caplog.set_level(logging.WARNING, "lanewise")  # lines have a thread of theirs, where a framework has asked for them
    with Router.from_mapping(config(fake_provider.base_url)) as router:
        begun = begun_threads()
        for _ in range(10):
            new_scope(router).openai.chat.completions.create(model="summary", messages=MESSAGES)
        assert len(begun()) <= 1
    assert fake_provider.request_count == 10
    assert fake_provider.connections == 1


def test_a_synchronous_call_goes_to_the_portal_once_and_back_once(
    wireless: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its loop is woken once, and its thread waits once."""
    with wireless as router:
        new_scope(router).openai.chat.completions.create(model="summary", messages=MESSAGES)
        woken: list[object] = []
        waits: list[object] = []
        wake, wait = asyncio.BaseEventLoop.call_soon_threadsafe, Future.result

        def counted_wake(self: asyncio.BaseEventLoop, *given: Any, **options: Any) -> Any:
            woken.append(given)
            return wake(self, *given, **options)

        def counted_wait(self: Future[Any], *given: Any) -> Any:
            waits.append(self)
            return wait(self, *given)

        monkeypatch.setattr(asyncio.BaseEventLoop, "call_soon_threadsafe", counted_wake)
        monkeypatch.setattr(Future, "result", counted_wait)
        new_scope(router).openai.chat.completions.create(model="summary", messages=MESSAGES)
        assert (len(woken), len(waits)) == (1, 1)


@pytest.mark.parametrize(
    ("touched", "unloaded"),
    [
        ("lanewise", ("openai", "aiohttp", "pydantic")),
        (
            "lanewise.Router",
            ("click", "rich", "jsonschema_rs", "genai_prices", "sqlalchemy", "redis", "anyio.pytest_plugin"),
        ),
    ],
)
def test_only_what_is_used_is_imported(touched: str, unloaded: tuple[str, ...]) -> None:
    """The bare package loads nothing; the router loads no command line, no prices, no ledger."""
    program = f"import sys, lanewise; {touched}; print(*[name for name in {unloaded!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def functions(run: Callable[[], None]) -> Counter[tuple[str, str]]:
    """How often each function is called, by its file and name."""
    ran: Counter[tuple[str, str]] = Counter()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            ran[frame.f_code.co_filename, frame.f_code.co_qualname] += 1

    gc.collect()
    gc.disable()  # what others left would be taken away meanwhile
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
        gc.enable()
    return ran


def made_of(monkeypatch: pytest.MonkeyPatch, *kinds: type) -> dict[str, int]:
    """Counts the objects of these classes that are made from now on."""
    made: dict[str, int] = {}
    for kind in kinds:
        monkeypatch.setattr(kind, "__init__", _counting(kind.__name__, kind.__init__, made))
    return made


def _counting(name: str, original: Callable[..., None], made: dict[str, int]) -> Callable[..., None]:
    def init(self: object, *arguments: object, **options: object) -> None:
        made[name] = made.get(name, 0) + 1
        original(self, *arguments, **options)

    return init
