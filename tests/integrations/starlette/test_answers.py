"""What the caller of a Starlette app is told when a call fails: problems, the app's own answers, broken streams."""

from __future__ import annotations

import asyncio
import logging

import openai
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from integrations.asgi_stage import FIRST_TEXT, Stage, ask
from integrations.starlette.serving import alone, serve, streamed
from lanewise import RoutingError
from lanewise.testing import Status, StreamOf

# -- errors ------------------------------------------------------------------------------------------------------------


def test_a_call_without_an_answer_is_a_problem(stage: Stage) -> None:
    """With the status of the table, the ids to ask about, and nothing of the provider."""
    stage.first.script_all(Status(400, {"message": "canary-upstream", "param": "messages"}))
    with serve(stage, alone) as client:
        answer = client.get("/alone")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    said = answer.json()
    assert said["parameter"] == "messages"
    assert said["request_id"] == answer.headers["x-request-id"]
    assert "canary" not in answer.text
    assert "model-one" not in answer.text


@pytest.mark.parametrize("caught", [openai.RateLimitError, openai.APIStatusError, openai.OpenAIError, RoutingError])
def test_the_apps_own_handler_wins(stage: Stage, caught: type[Exception]) -> None:
    """Whether it is for one of the SDK's classes or for one of ours."""

    async def handle(request: Request, error: Exception) -> Response:
        return PlainTextResponse("the app's own words", status_code=418)

    stage.first.script_all(Status(429))
    with serve(stage, alone, exception_handlers={caught: handle}) as client:
        answer = client.get("/alone")
    assert (answer.status_code, answer.text) == (418, "the app's own words")


def test_the_app_may_catch_the_error_itself(stage: Stage) -> None:
    """A failed call is no failed request."""

    async def careful(request: Request) -> Response:
        try:
            return PlainTextResponse(await ask(request.state.ai, "alone"))
        except openai.RateLimitError:
            return PlainTextResponse("later", status_code=500)

    stage.first.script_all(Status(429))
    with serve(stage, careful) as client:
        answer = client.get("/careful")
    assert (answer.status_code, answer.text) == (500, "later")


def test_a_mounted_apps_error_is_a_problem_too(stage: Stage) -> None:
    """Its own error middleware has answered with a plain 500 by then, which was held back."""
    mounted = Starlette(routes=[Route("/alone", alone)])
    stage.first.script_all(Status(400))
    with serve(stage, routes=[Mount("/sub", mounted)]) as client:
        answer = client.get("/sub/alone")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


def test_a_group_of_calls_is_answered_as_one(stage: Stage) -> None:
    """A TaskGroup raises a group of errors; with an error of the app's own among them, it is the app's."""

    async def grouped(request: Request) -> Response:
        async with asyncio.TaskGroup() as group:
            group.create_task(ask(request.state.ai, "alone"))
            group.create_task(ask(request.state.ai, "alone"))
        raise AssertionError

    async def mixed(request: Request) -> Response:
        async def bug() -> None:
            raise LookupError("a bug of the app")

        async with asyncio.TaskGroup() as group:
            group.create_task(bug())
            group.create_task(ask(request.state.ai, "alone"))
        raise AssertionError

    stage.first.script_all(Status(400))
    with serve(stage, grouped, mixed) as client:
        assert client.get("/grouped").status_code == 422
        assert client.get("/mixed").status_code == 500


def test_an_error_of_the_apps_own_is_the_apps(stage: Stage) -> None:
    """A bug is a 500 as ever, also in a mounted app, also after a call."""

    async def bug(request: Request) -> Response:
        await ask(request.state.ai)
        raise LookupError("a bug of the app")

    mounted = Starlette(routes=[Route("/bug", bug)])
    with serve(stage, bug, routes=[Mount("/sub", mounted)]) as client:
        for path in ("/bug", "/sub/bug"):
            answer = client.get(path)
            assert (answer.status_code, answer.text) == (500, "Internal Server Error")


def test_an_unknown_task_is_the_apps_bug(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """A 500, and an error in the log that lists the tasks."""

    async def wrong(request: Request) -> Response:
        return PlainTextResponse(await ask(request.state.ai, "sumary"))

    with serve(stage, wrong) as client:
        assert client.get("/wrong").status_code == 500
    assert [record for record in caplog.records if record.levelno == logging.ERROR and "summary" in record.getMessage()]


# -- streams -----------------------------------------------------------------------------------------------------------


def test_a_stream_reaches_the_caller(stage: Stage) -> None:
    """Piece by piece, with the id."""
    with serve(stage, streamed) as client:
        answer = client.get("/streamed", headers={"x-request-id": "req-12345678"})
    assert (answer.text, answer.headers["x-request-id"]) == (FIRST_TEXT, "req-12345678")


def test_a_stream_that_fails_before_its_first_piece_is_a_problem(stage: Stage) -> None:
    """Though the app had begun to answer: the start is held until the body begins."""
    stage.first.script_all(Status(400))
    with serve(stage, streamed) as client:
        answer = client.get("/streamed")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


def test_such_a_stream_is_a_problem_though_the_app_has_a_handler(stage: Stage) -> None:
    """Starlette would not let the handler answer, since the app had begun."""
    stage.first.script_all(Status(400))
    handlers = {RoutingError: lambda request, error: PlainTextResponse("too late for this")}
    with serve(stage, streamed, exception_handlers=handlers) as client:
        assert client.get("/streamed").status_code == 422


def test_a_stream_that_breaks_is_no_whole_answer(stage: Stage) -> None:
    """The error goes on to the server, which aborts the connection."""
    stage.first.script_all(StreamOf(cut_after=2))
    with serve(stage, streamed) as client:
        client._transport.raise_server_exceptions = True  # type: ignore[attr-defined]
        with pytest.raises(RoutingError):
            client.get("/streamed")
