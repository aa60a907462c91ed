"""What the caller is told: answers, problems, the app's own handlers, ids, streams and background tasks."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator
from typing import Any

import anyio
import openai
import pytest
from litestar import Controller, Litestar, Request, Response, Router, get, post
from litestar.background_tasks import BackgroundTask
from litestar.config.compression import CompressionConfig
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.response import ServerSentEvent, Stream

import lanewise
from busy_machine import LONG_ENOUGH
from integrations.asgi_stage import FIRST_TEXT, MESSAGES, SECOND_TEXT, Caller, Stage, ask, ask_sync
from integrations.litestar.serving import alone, make, serve, streamed, summary
from lanewise import current_scope
from lanewise.testing import Silence, Status, StreamOf
from litestar_lanewise import RequestScope, RoutedClient, RoutedSyncClient, sensitive

# -- clients -----------------------------------------------------------------------------------------------------------


def test_a_handler_has_a_client_that_switches_routes(stage: Stage) -> None:
    """By the parameter ``ai``; its calls are answered by the fallback when the primary fails."""
    with serve(stage, summary) as client:
        assert client.get("/summary").text == FIRST_TEXT
        stage.first.script_all(Status(500))
        assert client.get("/summary").text == SECOND_TEXT


@pytest.mark.parametrize("sync_to_thread", [True, False])
def test_a_sync_handler_has_one_too(stage: Stage, sync_to_thread: bool) -> None:
    """In a thread, and in the loop, where its call is carried by the portal."""

    @get("/", sync_to_thread=sync_to_thread)
    def handler(ai_sync: RoutedSyncClient, ai_scope: RequestScope) -> str:
        assert current_scope() is ai_scope
        return ask_sync(ai_sync)

    with serve(stage, handler) as client:
        assert client.get("/").text == FIRST_TEXT


def test_the_subject_is_found_out_by_the_apps_middleware(stage: Stage) -> None:
    """It is asked at the first call; the same id of two users makes two keys."""

    class Login(AbstractAuthenticationMiddleware):
        async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
            return AuthenticationResult(user=connection.headers["x-user"], auth=None)

    with serve(stage, summary, middleware=[Login], subject=lambda connection: connection.user) as client:
        for user in ("ann", "bob", "ann"):
            client.get("/summary", headers={"x-user": user, "x-request-id": "req-12345678"})
    keys = [received.headers["idempotency-key"] for received in stage.first.journal]
    assert keys[0] == keys[2] != keys[1]


def test_requests_without_ai_are_passed_through(stage: Stage) -> None:
    """Nothing is asked or changed but for the id."""

    @post("/")
    async def echo(request: Request[Any, Any, Any]) -> Response[bytes]:
        return Response(await request.body(), status_code=201, headers={"x-own": "1"})

    with serve(stage, echo) as client:
        answer = client.post("/", content=b"body")
    assert (answer.status_code, answer.content, answer.headers["x-own"]) == (201, b"body", "1")
    assert stage.first.connections == 0


# -- problems, and the app's own handlers ------------------------------------------------------------------------------


def own(request: Any, error: Exception) -> Response[str]:
    return Response(f"own: {type(error).__name__}", status_code=418, media_type="text/plain")


def test_a_failed_call_is_a_problem(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """With the status of its cause, the request's id and the call's; the log has the reason."""
    stage.first.script_all(Status(400))
    with serve(stage, alone) as client:
        answer = client.get("/alone", headers={"x-request-id": "req-12345678"})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["request_id"] == "req-12345678"
    assert "a request was answered with 422" in caplog.text
    assert "canary" not in caplog.text + answer.text


@pytest.mark.parametrize("handled", [openai.BadRequestError, openai.OpenAIError, lanewise.RoutingError])
@pytest.mark.parametrize("layer", ["handler", "controller", "router", "app"])
def test_a_handler_of_the_app_answers_instead(stage: Stage, handled: type[Exception], layer: str) -> None:
    """Whichever layer it is on, and though our error is also a class that is nearer."""
    handlers: Any = {layer: {handled: own}}

    class Desk(Controller):
        exception_handlers = handlers.get("controller")

        @get("/", exception_handlers=handlers.get("handler"))
        async def answer(self, ai: RoutedClient) -> str:
            return await ask(ai, "alone")

    router = Router("/", route_handlers=[Desk], exception_handlers=handlers.get("router"))
    stage.first.script_all(Status(400))
    with serve(stage, router, exception_handlers=handlers.get("app", {})) as client:
        answer = client.get("/", headers={"x-request-id": "req-12345678"})
    assert (answer.status_code, answer.text) == (418, "own: UpstreamBadRequest")
    assert answer.headers["x-request-id"] == "req-12345678"


def test_a_handler_for_another_class_changes_nothing(stage: Stage) -> None:
    """It is not asked."""
    stage.first.script_all(Status(400))
    with serve(stage, alone, exception_handlers={openai.RateLimitError: own, 500: own}) as client:
        assert client.get("/alone").status_code == 422


async def calls_together(ai: Any, *others: Any) -> None:
    async with asyncio.TaskGroup() as group:
        for other in others:
            group.create_task(other)
        group.create_task(ask(ai, "alone"))
        group.create_task(ask(ai, "alone"))


def test_a_group_of_calls_is_answered_as_one(stage: Stage) -> None:
    """A TaskGroup raises a group of errors. In a stream too."""

    @get("/")
    async def grouped(ai: RoutedClient) -> None:
        await calls_together(ai)

    @get("/streamed")
    async def streamed(ai: RoutedClient) -> Stream:
        async def pieces() -> AsyncIterator[str]:
            await calls_together(ai)
            yield "never"

        return Stream(pieces())

    stage.first.script_all(Status(400))
    with serve(stage, grouped, streamed) as client:
        assert (client.get("/").status_code, client.get("/streamed").status_code) == (422, 422)
    with serve(stage, grouped, exception_handlers={openai.BadRequestError: own}) as client:
        assert client.get("/").text == "own: UpstreamBadRequest"


@pytest.mark.parametrize(("handlers", "status"), [({}, 500), ({Exception: own}, 418), ({500: own}, 418)])
@pytest.mark.parametrize("debug", [False, True])
def test_a_group_with_an_error_of_the_app_is_the_apps(stage: Stage, handlers: Any, status: int, debug: bool) -> None:
    """Answered as it would be without us."""

    @get("/")
    async def mixed(ai: RoutedClient) -> None:
        async def bug() -> None:
            raise LookupError("a bug of the app")

        await calls_together(ai, bug())

    stage.first.script_all(Status(400))
    with serve(stage, mixed, exception_handlers=handlers, debug=debug) as client:
        answer = client.get("/")
    assert answer.status_code == status
    assert ("a bug of the app" in answer.text) == (debug and not handlers)


@pytest.mark.parametrize(("handlers", "status"), [({}, 422), ({openai.BadRequestError: own}, 418)])
def test_a_call_of_a_middleware_may_fail_as_well(stage: Stage, handlers: Any, status: int) -> None:
    """A problem, or what the app's own handler makes of it."""

    def moderating(app: Any) -> Any:
        async def run(scope: Any, receive: Any, send: Any) -> None:
            await ask(current_scope(), "alone")
            await app(scope, receive, send)

        return run

    stage.first.script_all(Status(400))
    with serve(stage, summary, middleware=[moderating], exception_handlers=handlers) as client:
        answer = client.get("/summary", headers={"x-request-id": "req-12345678"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (status, "req-12345678")


# -- ids ---------------------------------------------------------------------------------------------------------------


def test_every_answer_has_the_requests_id(stage: Stage) -> None:
    """Also where no handler answers: a 404, a 405, a middleware that refuses, an error of the app, OPTIONS."""

    class Strict(AbstractAuthenticationMiddleware):
        async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
            if connection.headers.get("x-user") is None:
                raise NotAuthorizedException
            return AuthenticationResult(user="ann", auth=None)

    @get("/broken")
    async def broken() -> None:
        raise ValueError

    headers = {"x-request-id": "req-12345678"}
    known = {**headers, "x-user": "ann"}
    with serve(stage, summary, broken, middleware=[Strict]) as client:
        answers = [
            client.get("/nowhere", headers=headers),
            client.delete("/summary", headers=headers),
            client.get("/summary", headers=headers),
            client.get("/broken", headers=known),
            client.options("/summary", headers=known),
        ]
    assert [answer.status_code for answer in answers] == [404, 405, 401, 500, 204]
    assert [answer.headers.get_list("x-request-id") for answer in answers] == [["req-12345678"]] * 5


def test_an_id_that_is_none_is_replaced(stage: Stage) -> None:
    """The same fresh one everywhere, on a 404 as well."""
    with serve(stage, summary) as client:
        answer = client.get("/summary", headers={"x-request-id": "short"})
        missing = client.get("/nowhere", headers={"x-request-id": "short"})
    fresh = answer.headers["x-request-id"]
    assert uuid.UUID(fresh).version == uuid.UUID(missing.headers["x-request-id"]).version == 7
    assert stage.first.journal[0].headers["idempotency-key"].startswith(fresh)


def test_an_id_that_the_app_sets_stays(stage: Stage) -> None:
    """Once."""

    @get("/")
    async def handler() -> Response[str]:
        return Response("", headers={"X-Request-ID": "the-apps-own"})

    with serve(stage, handler) as client:
        assert client.get("/").headers.get_list("x-request-id") == ["the-apps-own"]


# -- streams -----------------------------------------------------------------------------------------------------------


def test_a_stream_keeps_its_client(stage: Stage) -> None:
    """Though Litestar's dependencies are done by then; compressed as well."""
    with serve(stage, streamed, compression_config=CompressionConfig(backend="gzip", minimum_size=1)) as client:
        assert client.get("/streamed").text == FIRST_TEXT
        assert client.get("/streamed", headers={"accept-encoding": "identity"}).text == FIRST_TEXT


def test_a_stream_that_fails_before_it_began_is_a_problem(stage: Stage) -> None:
    """The start was held back; its headers are gone with it."""
    stage.first.script_all(Status(400))
    with serve(stage, streamed) as client:
        answer = client.get("/streamed", headers={"x-request-id": "req-12345678"})
    assert (answer.status_code, answer.headers.get_list("content-type")) == (422, ["application/problem+json"])
    assert answer.headers.get_list("x-request-id") == ["req-12345678"]


def test_events_that_fail_before_they_began_are_a_problem(stage: Stage) -> None:
    """Server-sent events are a stream like others."""

    @get("/", guards=[sensitive("payment")])
    async def events(ai: RoutedClient) -> ServerSentEvent:
        async def each() -> AsyncIterator[str]:
            async for chunk in await ai.chat.completions.create(model="summary", messages=MESSAGES, stream=True):
                yield chunk.choices[0].delta.content or ""

        return ServerSentEvent(each())

    with serve(stage, events) as client:
        assert "data: " in client.get("/").text
        stage.first.script_all(Status(400))
        answer = client.get("/")
    assert (answer.status_code, answer.headers["cache-control"]) == (503, "no-store")
    assert stage.second.request_count == 0


@pytest.mark.anyio
async def test_a_stream_that_breaks_never_ends_as_if_it_were_whole(stage: Stage) -> None:
    """No last piece is sent, and the server gets the error: it aborts the connection."""
    stage.first.script_all(StreamOf(chunks=["one", "two", "three"], cut_after=2))
    router = stage.router()
    caller = Caller("/streamed")
    async with router:
        with pytest.raises(Exception, match="response started"):
            await caller.run(make(stage, streamed, router=router))  # type: ignore[arg-type]
    assert b"".join(message.get("body", b"") for message in caller.sent) == b"onetwo"
    assert caller.sent[-1]["more_body"] is True


@pytest.mark.anyio
@pytest.mark.parametrize("handler", [alone, streamed], ids=["waiting", "streaming"])
async def test_a_hang_up_ends_the_call(stage: Stage, handler: Any, caplog: pytest.LogCaptureFixture) -> None:
    """While nothing has been sent yet, and while a stream runs; nobody is alarmed."""
    pieces = StreamOf(chunks=["piece"] * 1000, interval=0.01)
    stage.first.script_all(Silence() if handler is alone else pieces)
    caller = Caller("/alone" if handler is alone else "/streamed")
    router = stage.router()
    app: Any = make(stage, handler, router=router)
    async with router:
        with anyio.fail_after(LONG_ENOUGH):
            async with anyio.create_task_group() as group:
                group.start_soon(caller.run, app)
                while not stage.first.in_flight or (handler is streamed and not caller.sent):
                    await anyio.sleep(0.005)
                caller.hang_up()
            while stage.first.in_flight:
                await anyio.sleep(0.005)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


# -- background tasks --------------------------------------------------------------------------------------------------


def test_a_background_task_keeps_the_scope(stage: Stage) -> None:
    """Its calls run to their end, though the server says by then that the caller has gone."""
    done: list[Any] = []

    @get("/async")
    async def later(ai: RoutedClient, ai_scope: RequestScope) -> Response[str]:
        async def work() -> None:
            done.append((await ask(ai), current_scope() is ai_scope))

        return Response("accepted", background=BackgroundTask(work))

    @get("/sync", sync_to_thread=True)
    def later_sync(ai_sync: RoutedSyncClient, ai_scope: RequestScope) -> Response[str]:
        def work() -> None:
            done.append((ask_sync(ai_sync), current_scope() is ai_scope))

        return Response("accepted", background=BackgroundTask(work))

    with serve(stage, later, later_sync) as client:
        assert client.get("/async").text == "accepted"
        assert client.get("/sync").text == "accepted"
    assert done == [(FIRST_TEXT, True)] * 2


def test_a_background_task_of_a_sensitive_handler_is_sensitive(stage: Stage) -> None:
    """It fails closed, for the log to tell: the caller has the answer already."""
    failed: list[str] = []

    @get("/", guards=[sensitive("payment")])
    async def handler(ai: RoutedClient) -> Response[str]:
        async def work() -> None:
            try:
                await ask(ai)
            except lanewise.FailClosed as error:
                failed.append(type(error).__name__)

        return Response("accepted", background=BackgroundTask(work))

    stage.first.script_all(Status(400))
    with serve(stage, handler) as client:
        assert client.get("/").text == "accepted"
    assert failed == ["FailClosed"]
    assert stage.second.request_count == 0


def test_two_apps_in_one_process_keep_apart(stage: Stage) -> None:
    """Each has its router, and its config."""
    app: Litestar = make(stage, summary)
    other = Stage(stage.second, stage.first)
    with serve(stage, summary) as one, serve(other, summary) as two:
        assert one.app is not app
        one.get("/summary")
        two.get("/summary")
    assert stage.first.request_count == stage.second.request_count == 1
