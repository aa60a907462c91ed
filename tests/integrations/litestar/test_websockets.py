"""WebSockets: scopes, marks in all their forms, failures and hang-ups."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import openai
import pytest
from litestar import Litestar, WebSocket, websocket, websocket_listener
from litestar.exceptions import WebSocketDisconnect
from litestar.handlers import WebsocketListener, websocket_stream
from litestar.testing import TestClient

from busy_machine import LONG_ENOUGH
from integrations.asgi_stage import FIRST_TEXT, SECOND_TEXT, Caller, Stage, ask
from integrations.litestar.serving import make, serve, start_refused
from lanewise.testing import Silence, Status
from litestar_lanewise import RequestScope, RoutedClient, endpoints, sensitive

PAYMENT = sensitive("payment")
_ask = ask


def socket_handler(guards: Any = None) -> Any:
    @websocket("/", guards=guards)
    async def handler(socket: WebSocket[Any, Any, Any], ai: RoutedClient) -> None:
        await socket.accept()
        async for _ in socket.iter_data():
            await socket.send_text(await ask(ai))

    return handler


def below(mark: Any) -> Any:
    @websocket("/")
    @mark
    async def handler(socket: WebSocket[Any, Any, Any], ai: RoutedClient) -> None:
        await socket.accept()
        async for _ in socket.iter_data():
            await socket.send_text(await ask(ai))

    return handler


def listener(mark: Any) -> Any:
    @websocket_listener("/")
    @mark
    async def handler(data: str, ai: RoutedClient) -> str:
        return await ask(ai)

    return handler


def listener_class(mark: Any) -> Any:
    class Listener(WebsocketListener):
        path = "/"

        async def on_receive(self, data: str, ai: RoutedClient) -> str:
            return await ask(ai)

    return mark(Listener)


def stream(mark: Any) -> Any:
    @websocket_stream("/", listen_for_disconnect=False)
    @mark
    async def handler(socket: WebSocket[Any, Any, Any], ai: RoutedClient) -> AsyncGenerator[str, None]:
        while True:
            await socket.receive_data("text")
            yield await ask(ai)

    return handler


KINDS: dict[str, Any] = {
    "guard": lambda mark: socket_handler([mark] if mark is PAYMENT else None),
    "above": lambda mark: mark(socket_handler()),
    "below": below,
    "listener": listener,
    "above a listener": lambda mark: mark(listener(lambda function: function)),
    "class of listeners": listener_class,
    "stream": stream,
}


def talk(client: TestClient[Litestar]) -> str:
    with client.websocket_connect("/") as socket:
        socket.send_text("hello")
        return str(socket.receive_text())


@pytest.mark.parametrize("kind", KINDS)
def test_a_mark_holds(stage: Stage, kind: str) -> None:
    """The approved route answers, or nobody; and the audit finds it."""
    with serve(stage, KINDS[kind](PAYMENT)) as client:
        [found] = endpoints(client.app)
        assert talk(client) == FIRST_TEXT
        stage.first.script_all(Status(400))
        with pytest.raises(WebSocketDisconnect):
            talk(client)
    assert stage.second.request_count == 0
    assert found.methods == ("WEBSOCKET",)
    assert [source.hidden for source in found.sources] == [False]


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_mark_the_fallback_answers(stage: Stage, kind: str) -> None:
    """The same shapes, unmarked."""
    with serve(stage, KINDS[kind](lambda target: target)) as client:
        stage.first.script_all(Status(500))
        assert talk(client) == SECOND_TEXT


def test_a_hidden_mark_on_a_listener_stops_the_start(stage: Stage) -> None:
    """As on any other handler."""

    def hiding(function: Any) -> Any:
        async def wrapper(data: str, ai: RoutedClient) -> str:
            return str(await function(data, ai))

        return wrapper

    handler = listener(lambda function: hiding(PAYMENT(function)))
    with start_refused("WEBSOCKET / .*hides its mark 'payment'"), serve(stage, handler):
        pass


def test_the_id_is_echoed_when_a_socket_is_accepted(stage: Stage) -> None:
    """And is the scope's."""

    @websocket("/")
    async def handler(socket: WebSocket[Any, Any, Any], ai_scope: RequestScope) -> None:
        await socket.accept()
        await socket.send_text(ai_scope.request_id)

    with (
        serve(stage, handler) as client,
        client.websocket_connect("/", headers={"x-request-id": "req-12345678"}) as socket,
    ):
        assert socket.receive_text() == "req-12345678"
        assert (b"x-request-id", b"req-12345678") in [(n.lower(), v) for n, v in socket.extra_headers or ()]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mark", [PAYMENT, lambda target: target], ids=["marked", "unmarked"])
def test_a_call_without_an_answer_closes_the_socket(
    stage: Stage, kind: str, mark: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """With the code of a server that can't serve now, and a line in the log: it is no bug of the app."""
    stage.first.script_all(Status(400))
    with serve(stage, KINDS[kind](mark)) as client, client.websocket_connect("/") as socket:
        socket.send_text("hello")
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
    assert (closed.value.code, closed.value.detail) == (1013, "no answer")
    said = [record for record in caplog.records if "a WebSocket was closed" in record.getMessage()]
    assert [(record.levelname, bool(record.request_id)) for record in said] == [("ERROR", True)]  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["guard", "listener", "stream"])
def test_an_error_of_the_apps_own_closes_the_socket_as_litestar_does(stage: Stage, kind: str) -> None:
    """Also after a call that failed, and that the app answered for itself."""

    async def fails(ai: Any) -> str:
        with contextlib.suppress(openai.OpenAIError):
            await ask(ai, "alone")
        raise ValueError("of the app")

    stage.first.script_all(Status(400))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "ask", lambda ai, task="summary": fails(ai) if task == "summary" else _ask(ai, task))
        with (
            serve(stage, KINDS[kind](lambda target: target)) as client,
            client.websocket_connect("/") as socket,
        ):
            socket.send_text("hello")
            with pytest.raises(WebSocketDisconnect) as closed:
                socket.receive_text()
    assert closed.value.code == 4500


@pytest.mark.anyio
async def test_a_hang_up_ends_the_call(stage: Stage) -> None:
    """Though the handler does not read while it waits for the answer."""
    stage.first.script_all(Silence())
    caller = Caller("/", kind="websocket")
    del caller.asgi["method"]  # Litestar takes what has one for a request
    caller._messages.put_nowait({"type": "websocket.receive", "text": "hello"})
    router = stage.router()
    app: Any = make(stage, socket_handler(), router=router)
    with anyio.fail_after(LONG_ENOUGH):
        async with router, anyio.create_task_group() as group:
            group.start_soon(caller.run, app)
            while not stage.first.in_flight:
                await anyio.sleep(0.005)
            caller.hang_up()
