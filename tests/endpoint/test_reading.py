"""How a body is read: also where the app has read it before, and where its framing is broken."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Callable
from contextlib import closing
from typing import Any

import flask
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.routing import Mount

from busy_machine import LONG_ENOUGH
from endpoint.stage import KEY, MESSAGES, WAYS, Caller, Stage, flask_app, mounted, served, served_by_werkzeug
from lanewise.web import OpenAIEndpoint
from starlette_lanewise import LanewiseMiddleware, lifespan

READERS: dict[str, Callable[[flask.Request], object]] = {
    "get_data": lambda request: request.get_data(),
    "data": lambda request: request.data,
    "get_json": lambda request: request.get_json(silent=True),
    "form": lambda request: request.form,
    "get_data without a copy of it left": lambda request: request.get_data(as_text=True),
}
PLAIN = {"model": "chat", "messages": MESSAGES}


def answered(endpoint: Caller) -> None:
    """Plain, packed and without a length."""
    assert endpoint.post().status_code == 200
    packed = gzip.compress(json.dumps(PLAIN).encode())
    assert endpoint.send(packed, headers={"Content-Encoding": "gzip"}).status_code == 200
    pieces: Any = iter([b'{"model": "chat", "messages": ', json.dumps(MESSAGES).encode(), b"}"])
    assert endpoint.send(pieces).status_code == 200
    assert endpoint.send(b"{").json()["error"]["code"] == "invalid_body"


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("place", ["before_request", "authenticate"])
def test_a_flask_app_may_read_the_body_before(stage: Stage, place: str, reader: str) -> None:
    """To log it, or to check its signature."""

    def authenticate(request: flask.Request) -> str:
        READERS[reader](request)
        return "node"

    app = flask_app(stage.router(), **({"authenticate": authenticate} if place == "authenticate" else {}))
    if place == "before_request":

        @app.before_request
        def look() -> None:
            READERS[reader](flask.request)

    with served_by_werkzeug(app) as url, closing(Caller(f"{url}/ai/v1")) as endpoint:
        answered(endpoint)


def test_a_starlette_app_may_read_the_body_before(stage: Stage) -> None:
    """In a middleware that hands it on."""

    class Looks(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: Any) -> Any:
            await request.body()
            return await call_next(request)

    router = stage.router()
    app = Starlette(
        routes=[Mount("/ai/v1", OpenAIEndpoint(router))],
        middleware=[Middleware(Looks), Middleware(LanewiseMiddleware, router=router)],
        lifespan=lifespan(router),
    )
    with served(app) as url, closing(Caller(f"{url}/ai/v1")) as endpoint:
        answered(endpoint)


@pytest.mark.parametrize("mount", WAYS)
@pytest.mark.parametrize("chunks", [b"zz\r\n", b"5\r\nfooXXXXX", b"-1\r\n\r\n"], ids=["no size", "no end", "negative"])
def test_chunks_that_are_none_are_the_caller_s_mistake(
    stage: Stage, mount: str, chunks: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A 400, of the server or of the endpoint, and nothing for the log of errors."""
    with mounted(mount, stage.router()) as endpoint:
        address, _, path = endpoint.base_url.removeprefix("http://").partition("/")
        host, _, port = address.partition(":")
        head = f"POST /{path}/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
        head += "Transfer-Encoding: chunked\r\n\r\n"
        with socket.create_connection((host, int(port)), timeout=LONG_ENOUGH) as connection:
            connection.sendall(head.encode() + chunks)
            assert connection.recv(4096).split()[1] == b"400"
    assert not [record for record in caplog.records if record.levelname == "ERROR"], caplog.text
