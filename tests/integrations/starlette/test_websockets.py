"""WebSockets of Starlette apps: they have a scope, marks hold for them, and a call without an answer closes them."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.endpoints import WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.routing import Mount, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from integrations.asgi_stage import FIRST_TEXT, SECOND_TEXT, Stage, ask
from integrations.starlette.serving import serve
from lanewise.testing import Status
from starlette_lanewise import SensitiveMiddleware, sensitive

ID = {"x-request-id": "req-12345678"}


async def chat(websocket: WebSocket) -> None:
    await websocket.accept()
    async for _ in websocket.iter_text():
        await websocket.send_text(await ask(websocket.state.ai))


def test_a_websocket_has_a_scope(stage: Stage) -> None:
    """``websocket.state.ai``, for as long as it is open; its id is echoed when it is accepted."""
    with serve(stage, routes=[WebSocketRoute("/chat", chat)]) as client:
        with client.websocket_connect("/chat", headers=ID) as socket:
            for expected in (FIRST_TEXT, SECOND_TEXT):
                socket.send_text("hello")
                assert socket.receive_text() == expected
                stage.first.script_all(Status(500))
        assert (b"x-request-id", b"req-12345678") in (socket.extra_headers or [])
    assert stage.first.journal[0].headers["idempotency-key"].startswith("req-12345678-")


class Desk(WebSocketEndpoint):
    encoding = "text"

    @sensitive("payment")
    async def on_receive(self, websocket: WebSocket, data: Any) -> None:
        await websocket.send_text(await ask(websocket.state.ai))


class Eager(WebSocketEndpoint):
    """Asks before the method that is marked ever runs."""

    encoding = "text"

    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await ask(websocket.state.ai)

    @sensitive("payment")
    async def on_receive(self, websocket: WebSocket, data: Any) -> None: ...


@sensitive("payment")
class Marked(WebSocketEndpoint):
    encoding = "text"

    async def on_receive(self, websocket: WebSocket, data: Any) -> None:
        await websocket.send_text(await ask(websocket.state.ai))


@sensitive("payment")
async def marked(websocket: WebSocket) -> None:
    await chat(websocket)


@pytest.mark.parametrize(
    "route",
    [
        WebSocketRoute("/chat", marked),
        WebSocketRoute("/chat", Marked),
        WebSocketRoute("/chat", Desk),
        WebSocketRoute("/chat", Eager),
        WebSocketRoute("/chat", chat, middleware=[Middleware(SensitiveMiddleware, "payment")]),
        Mount("/", routes=[WebSocketRoute("/chat", chat)], middleware=[Middleware(SensitiveMiddleware, "payment")]),
    ],
    ids=["function", "class", "method", "another method", "middleware", "mount"],
)
def test_a_marked_websocket_fails_closed(stage: Stage, route: Any) -> None:
    """It is closed with the code of a server that can't serve now; the fallback is never asked."""
    stage.first.script_all(Status(500))
    with serve(stage, routes=[route]) as client, client.websocket_connect("/chat") as socket:
        socket.send_text("hello")
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
    assert closed.value.code == 1013
    assert stage.asked_of_second == []
