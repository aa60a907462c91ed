"""Sensitivity belongs to what runs: to each scope that is entered there, to its request, and to all that this began."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import openai
import pytest

from busy_machine import LONG_ENOUGH
from lanewise import FailClosed, NotInScope, Router, Scope
from lanewise.scope import serving, state_of
from lanewise.testing import Answer, FakeProvider, Status, StreamOf
from lanewise.web import Inbound, mark_and_wrap, sensitivity

MESSAGES: Any = [{"role": "user", "content": "Hi"}]
SECOND = "Hello from model-two"


class RoutedApp:
    """A router in an app: the approved provider is out of order, and the other one answers."""

    def __init__(self, first: FakeProvider, second: FakeProvider) -> None:
        self.first = first
        self.second = second
        self.router = Router.from_mapping(
            {
                "providers": {"one": {"base_url": first.base_url}, "two": {"base_url": second.base_url}},
                "routes": {
                    "first": {"provider": "one", "model": "model-one"},
                    "second": {"provider": "two", "model": "model-two"},
                },
                "tasks": {"t": {"primary": "first", "equivalent": "second", "retries": {"outage": 0}}},
                "sensitive": {"payment": {"routes": ["first"]}},
            }
        )
        self.job = self.router.scope()  # made before the adapter, as at an import
        self.inbound = Inbound(self.router)

    def request(self, *categories: str) -> Scope:
        """The scope of a request, as an adapter makes it."""
        scope = self.inbound.scope(path="/")
        scope.raise_sensitivity(*categories)
        return scope

    def ask_here(self) -> str:
        """A call through a client that is bound to no scope."""
        client = openai.OpenAI(http_client=self.router.sync_http_client(), api_key="-", max_retries=0)
        return ask(client)

    def closes(self, call: Callable[[], object]) -> None:
        """The call fails closed, and the provider that is not approved hears nothing."""
        before = self.second.request_count
        with pytest.raises(FailClosed):
            call()
        assert self.second.request_count == before

    def refuses(self, call: Callable[[], object]) -> None:
        """The call is refused with what to do, and nobody hears of it."""
        before = self.first.request_count, self.second.request_count
        with pytest.raises(NotInScope, match=r"scope\.wrap\(function\).*detached=True"):
            call()
        assert (self.first.request_count, self.second.request_count) == before


@pytest.fixture
def app() -> Iterator[RoutedApp]:
    with FakeProvider() as first, FakeProvider() as second:
        first.script_all(Status(500))
        app = RoutedApp(first, second)
        with app.router:
            yield app


def ask(client: openai.OpenAI) -> str:
    return client.chat.completions.create(model="t", messages=MESSAGES).choices[0].message.content or ""


async def ask_async(client: openai.AsyncOpenAI) -> str:
    reply = await client.chat.completions.create(model="t", messages=MESSAGES)
    return reply.choices[0].message.content or ""


def in_a_bare_thread(call: Callable[[], object]) -> object:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


# -- scopes in scopes --------------------------------------------------------------------------------------------------


def test_a_scope_that_was_made_before_adds_the_request_it_is_entered_in(app: RoutedApp) -> None:
    """By its own client, by one that is bound to none, in an executor, and in a scope that is opened inside."""
    job = app.job
    with serving(app.request("payment")), job:
        app.closes(lambda: ask(job.openai))
        app.closes(app.ask_here)
        app.closes(lambda: in_a_bare_thread(lambda: ask(job.openai)))
        with app.router.scope() as own:
            app.closes(lambda: in_a_bare_thread(lambda: ask(own.openai)))
    app.closes(lambda: in_a_bare_thread(lambda: ask(job.openai)))  # nothing tells whose thread it is
    with serving(app.request()), job:
        assert ask(job.openai) == app.ask_here() == SECOND, "a request without a mark is known to have none"


def test_a_scope_entered_in_two_requests_at_once_is_of_each_in_its_own(app: RoutedApp) -> None:
    """What is known of the one that runs here decides."""
    entered = threading.Event()
    asked = threading.Event()

    def serve_marked() -> None:
        with serving(app.request("payment")), app.job:
            entered.set()
            asked.wait(LONG_ENOUGH)

    with ThreadPoolExecutor(1) as pool:
        served = pool.submit(serve_marked)
        entered.wait(LONG_ENOUGH)
        try:
            with serving(app.request()), app.job:
                assert ask(app.job.openai) == SECOND
        finally:
            asked.set()
        served.result()


def test_the_last_requests_scope_relaxes_nothing(app: RoutedApp) -> None:
    """Entered, wrapped around a function, or by its client: while it lasts, and after."""
    last = app.request()
    wrapped = last.wrap(app.ask_here)

    async def ask_wrapped() -> str:
        return await asyncio.to_thread(app.ask_here)

    wrapped_async = last.wrap(ask_wrapped)
    client = last.openai
    with serving(app.request("payment")):
        with last:
            app.closes(app.ask_here)
        for call in (wrapped, lambda: asyncio.run(wrapped_async()), lambda: ask(client)):  # type: ignore[arg-type]
            app.closes(call)
        state_of(last).finish()
        app.closes(wrapped)
        app.refuses(lambda: ask(client))
        app.refuses(last.__enter__)


def test_a_mark_that_is_raised_in_an_inner_scope_is_the_requests(app: RoutedApp) -> None:
    """A marked function runs in a scope of its own: what comes after it in the request is sensitive."""
    with serving(app.request()) as request:
        with app.router.scope(), sensitivity("payment"):
            pass
        assert request.sensitive == {"payment"}
        app.closes(app.ask_here)


def test_a_mark_that_a_call_fell_under_already_is_not_late(app: RoutedApp) -> None:
    """It went to approved routes only; what is more than that is too late."""
    app.first.script_all(Answer())
    with serving(app.request()) as request, app.router.scope(sensitive="payment") as inner:
        ask(inner.openai)
        request.raise_sensitivity("payment")
        assert ask(request.openai) == "Hello from model-one"
        request.raise_sensitivity("other")
        with pytest.raises(FailClosed, match="after a call"):
            ask(request.openai)


# -- the end of a request ----------------------------------------------------------------------------------------------


def test_a_client_of_a_finished_request_is_refused_elsewhere(app: RoutedApp) -> None:
    """In a bare thread, in another request, in a job; and so is its scope."""
    request = app.request()
    with serving(request):
        kept = request.openai
        assert ask(kept) == in_a_bare_thread(lambda: ask(kept)) == SECOND
    state_of(request).finish()
    app.refuses(lambda: in_a_bare_thread(lambda: ask(kept)))
    with serving(app.request()):
        app.refuses(lambda: ask(kept))
    with app.router.scope(detached=True):
        app.refuses(lambda: ask(kept))
    with pytest.raises(NotInScope):
        request.__enter__()
    app.refuses(request.wrap(app.ask_here))


@pytest.mark.anyio
@pytest.mark.parametrize("category", ["payment", None])
async def test_what_a_request_began_goes_on_under_its_marks(category: str | None, app: RoutedApp) -> None:
    """A task, a thread that has its context, a function that it wrapped; also in a scope that is opened there."""
    request = app.request(*(() if category is None else (category,)))
    over = asyncio.Event()

    def in_its_own() -> str:
        with app.router.scope() as own:
            return ask(own.openai)

    async def later() -> list[object]:
        await over.wait()
        calls = (lambda: ask(request.openai), app.ask_here, in_its_own)
        found = [await asyncio.gather(asyncio.to_thread(call), return_exceptions=True) for call in calls]
        return [each for (each,) in found]

    with serving(request):
        task = asyncio.create_task(later())
        wrapped = request.wrap(in_its_own)
    state_of(request).finish()
    over.set()
    outcomes = [*await task, *await asyncio.gather(asyncio.to_thread(wrapped), return_exceptions=True)]
    if category is None:
        assert outcomes == [SECOND] * 4
    else:
        assert [type(each) for each in outcomes] == [FailClosed] * 4
        assert app.second.request_count == 0


def test_a_thread_that_entered_a_requests_scope_by_hand_is_not_the_requests(app: RoutedApp) -> None:
    """It might serve others from then on: with the request's end, its calls are refused."""
    request = app.request()
    inside, over = threading.Event(), threading.Event()

    def work() -> None:
        with request:
            assert app.ask_here() == SECOND
            inside.set()
            over.wait(LONG_ENOUGH)
            app.refuses(app.ask_here)

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        inside.wait(LONG_ENOUGH)
        state_of(request).finish()
        over.set()
        working.result()


# -- scopes that belong to no request ----------------------------------------------------------------------------------


def test_a_scope_outside_of_any_request_says_that_it_is_detached(app: RoutedApp) -> None:
    """Where an adapter is installed; a script's router is as it was."""
    app.refuses(app.router.scope)
    with app.router.scope(detached=True) as job:
        assert ask(job.openai) == app.ask_here() == SECOND
        with app.router.scope() as inner:
            assert ask(inner.openai) == SECOND
    with app.router.scope(detached=True, sensitive="payment"), app.router.scope(detached=True) as inner:
        app.closes(lambda: ask(inner.openai))
    assert Router(app.router.config).scope().sensitive == frozenset()


@pytest.mark.anyio
async def test_a_detached_scope_is_refused_in_a_request(app: RoutedApp) -> None:
    """And in what one began, also after its end: it would lose the marks. In a context of its own it may begin."""

    async def job() -> str:
        with app.router.scope(detached=True) as own:
            return await ask_async(own.async_openai)

    with serving(app.request("payment")) as request:
        with pytest.raises(NotInScope, match=r"detached=True"):
            app.router.scope(detached=True)
        with app.router.scope(), pytest.raises(NotInScope, match=r"detached=True"):
            app.router.scope(detached=True)
        inside = asyncio.create_task(job())
        outside = asyncio.create_task(job(), context=contextvars.Context())
    state_of(request).finish()
    with pytest.raises(NotInScope):
        await inside
    assert await outside == SECOND


def test_a_marked_job_is_sensitive_where_it_is_detached(app: RoutedApp) -> None:
    """It starts clean of requests, not of its own mark."""

    def job() -> str:
        with app.router.scope(detached=True) as own:
            return ask(own.openai)

    app.closes(mark_and_wrap(job, "payment"))
    assert job() == SECOND


# -- wrapping ----------------------------------------------------------------------------------------------------------


def test_functions_of_any_kind_are_wrapped(app: RoutedApp) -> None:
    """Generators, context managers, iterators, and functions that give one of these without saying so."""
    request = app.request("payment")
    outcomes: list[str] = []

    def tried() -> str:
        try:
            return app.ask_here()
        except openai.OpenAIError as error:
            return type(error).__name__

    def steps() -> Iterator[str]:
        yield tried()
        yield tried()

    async def steps_async() -> AsyncIterator[str]:
        yield tried()
        yield tried()

    async def late() -> str:
        return tried()

    async def given_late() -> Iterator[str]:
        return steps()

    @contextmanager
    def around() -> Iterator[str]:
        yield tried()
        outcomes.append(tried())

    @asynccontextmanager
    async def around_async() -> AsyncIterator[str]:
        yield tried()
        outcomes.append(tried())

    async def run() -> None:
        outcomes.extend(request.wrap(steps)())
        outcomes.extend([each async for each in request.wrap(steps_async)()])
        outcomes.append(await request.wrap(lambda: late())())
        outcomes.extend(await request.wrap(given_late)())
        outcomes.extend(request.wrap(lambda: map(str.format, (tried() for _ in "ab")))())
        with request.wrap(around)() as first:
            outcomes.append(first)
        async with request.wrap(around_async)() as first:
            outcomes.append(first)

    asyncio.run(run())
    assert outcomes == ["FailClosed"] * 13
    assert app.second.request_count == 0


def test_a_wrapped_generator_is_sent_and_thrown_what_it_would_be(app: RoutedApp) -> None:
    """Its values, its errors and what it gives back are its own."""

    def steps() -> Generator[object, object, str]:
        got = yield "first"
        try:
            yield got
        except KeyError as error:
            yield repr(error)
        return "end"

    async def steps_async() -> AsyncGenerator[object, object]:
        got = yield "first"
        try:
            yield got
        except KeyError as error:
            yield repr(error)

    @contextmanager
    def forgiving() -> Iterator[None]:
        with suppress(KeyError):
            yield

    request = app.request()
    generator = request.wrap(steps)()
    assert [next(generator), generator.send(7), generator.throw(KeyError("k"))] == ["first", 7, "KeyError('k')"]
    with pytest.raises(StopIteration, match="end"):
        next(generator)

    async def run() -> None:
        generator = request.wrap(steps_async)()
        assert [await anext(generator), await generator.asend(7)] == ["first", 7]
        assert await generator.athrow(KeyError("k")) == "KeyError('k')"
        with pytest.raises(StopAsyncIteration):
            await anext(generator)

    asyncio.run(run())
    with request.wrap(forgiving)():
        raise KeyError
    with pytest.raises(LookupError, match="other"), request.wrap(forgiving)():
        raise LookupError("other")


# -- streams -----------------------------------------------------------------------------------------------------------


def test_a_stream_stops_where_its_request_becomes_sensitive(app: RoutedApp) -> None:
    """Not a piece more of it is read, whether it is here already or not."""
    app.first.script_all(StreamOf(chunks=("one", "two", "three", "end"), interval=0.05))
    with serving(app.request()) as request:
        stream = request.openai.chat.completions.create(model="t", messages=MESSAGES, stream=True)
        pieces = iter(stream)
        next(pieces)
        request.raise_sensitivity("payment")
        with pytest.raises(FailClosed, match="became sensitive"):
            list(pieces)
    assert request.calls[-1].outcome == "refused"
