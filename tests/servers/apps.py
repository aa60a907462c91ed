"""The app that the server matrix runs, once for each adapter: ``uvicorn servers.apps:app``.

The environment names the adapter (``ADAPTER``), the providers (``FIRST_URL``, ``SECOND_URL``) and what lies around the
app (``AROUND``, names of ``servers.around``).
"""

import os
from functools import partial
from typing import Any

from integrations import model_calls
from lanewise import Router
from servers.around import AROUND

router = Router.from_mapping(
    {
        "router": {"health": {"breakers": False, "retry_tokens": 1e6}},
        "providers": {
            "one": {"base_url": os.environ.get("FIRST_URL", "http://127.0.0.1:9/v1")},
            "two": {"base_url": os.environ.get("SECOND_URL", "http://127.0.0.1:9/v1")},
        },
        "routes": {
            "first": {"provider": "one", "model": "model-one"},
            "second": {"provider": "two", "model": "model-two"},
        },
        "tasks": {
            "summary": {"primary": "first", "equivalent": "second", "deadline": "20s"},
            "alone": {"primary": "first", "deadline": "20s"},
        },
        "sensitive": {"payment": {"routes": ["first"]}},
    }
)


answer = partial(model_calls.answer, task="summary")
answer_sync = partial(model_calls.answer_sync, task="summary")
pieces = partial(model_calls.pieces, task="alone")
pieces_sync = partial(model_calls.pieces_sync, task="alone")
"""Streams have one route."""


async def answer_in_own_scope() -> str:
    """A whole answer, in a scope that the endpoint opened itself."""
    with router.scope(labels={"size": "short"}) as scope:
        return await answer(scope.async_openai)


def starlette_app() -> Any:
    """Of Starlette."""
    from sse_starlette import EventSourceResponse
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response, StreamingResponse
    from starlette.routing import Route, WebSocketRoute
    from starlette.websockets import WebSocket

    from starlette_lanewise import LanewiseMiddleware, lifespan, sensitive

    async def summary(request: Request) -> Response:
        return PlainTextResponse(await answer(request.state.ai.async_openai))

    def in_thread(request: Request) -> Response:
        return PlainTextResponse(answer_sync(request.state.ai.openai))

    @sensitive("payment")
    async def refund(request: Request) -> Response:
        return PlainTextResponse(await answer(request.state.ai.async_openai))

    async def own_scope(request: Request) -> Response:
        return PlainTextResponse(await answer_in_own_scope())

    async def streamed(request: Request) -> Response:
        return StreamingResponse(pieces(request.state.ai.async_openai), media_type="text/plain")

    async def events(request: Request) -> Response:
        return EventSourceResponse(pieces(request.state.ai.async_openai))

    async def plain(request: Request) -> Response:
        return PlainTextResponse("no model asked")

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(await answer(websocket.state.ai.async_openai))

    app = Starlette(
        routes=[
            *(Route(f"/{each.__name__}", each) for each in (summary, in_thread, refund, own_scope, streamed, events)),
            Route("/plain", plain),
            WebSocketRoute("/socket", socket),
        ],
        lifespan=lifespan(router),
    )
    return _around(app, lambda: app.add_middleware(LanewiseMiddleware, router=router))


def fastapi_app() -> Any:
    """Of FastAPI."""
    from fastapi import Depends, FastAPI, WebSocket
    from fastapi.responses import PlainTextResponse, StreamingResponse
    from sse_starlette import EventSourceResponse

    from starlette_lanewise.fastapi import LanewiseMiddleware, RoutedClient, RoutedSyncClient, lifespan, sensitive

    app = FastAPI(lifespan=lifespan(router), default_response_class=PlainTextResponse)

    @app.get("/summary")
    async def summary(ai: RoutedClient) -> str:
        return await answer(ai)

    @app.get("/in_thread")
    def in_thread(ai: RoutedSyncClient) -> str:
        return answer_sync(ai)

    @app.get("/refund", dependencies=[Depends(sensitive("payment"))])
    async def refund(ai: RoutedClient) -> str:
        return await answer(ai)

    @app.get("/own_scope")
    async def own_scope() -> str:
        return await answer_in_own_scope()

    @app.get("/streamed")
    async def streamed(ai: RoutedClient) -> StreamingResponse:
        return StreamingResponse(pieces(ai), media_type="text/plain")

    @app.get("/events")
    async def events(ai: RoutedClient) -> EventSourceResponse:
        return EventSourceResponse(pieces(ai))

    @app.get("/plain")
    async def plain() -> str:
        return "no model asked"

    @app.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(await answer(websocket.state.ai.async_openai))

    return _around(app, lambda: app.add_middleware(LanewiseMiddleware, router=router))


def litestar_app() -> Any:
    """Of Litestar."""
    from litestar import Litestar, MediaType, WebSocket, get, websocket
    from litestar.response import ServerSentEvent, Stream

    from litestar_lanewise import LanewisePlugin, RoutedClient, RoutedSyncClient, sensitive

    @get("/summary")
    async def summary(ai: RoutedClient) -> str:
        return await answer(ai)

    @get("/in_thread", sync_to_thread=True)
    def in_thread(ai_sync: RoutedSyncClient) -> str:
        return answer_sync(ai_sync)

    @get("/refund", guards=[sensitive("payment")])
    async def refund(ai: RoutedClient) -> str:
        return await answer(ai)

    @get("/own_scope")
    async def own_scope() -> str:
        return await answer_in_own_scope()

    @get("/streamed")
    async def streamed(ai: RoutedClient) -> Stream:
        return Stream(pieces(ai), media_type=MediaType.TEXT)

    @get("/events")
    async def events(ai: RoutedClient) -> ServerSentEvent:
        return ServerSentEvent(pieces(ai))

    @get("/plain")
    async def plain() -> str:
        return "no model asked"

    @websocket("/socket")
    async def socket(socket: WebSocket[Any, Any, Any], ai: RoutedClient) -> None:
        await socket.accept()
        await socket.send_text(await answer(ai))

    around = [AROUND[name] for name in _names()]
    app = Litestar(
        [summary, in_thread, refund, own_scope, streamed, events, plain, socket],
        plugins=[LanewisePlugin(router)],
        middleware=[layer.in_litestar() for layer in around if layer.inside],
    )
    wrapped: Any = app
    for layer in around:
        if not layer.inside:
            wrapped = layer.wrap(wrapped)
    return wrapped


def flask_app() -> Any:
    """Of Flask."""
    from flask import Flask, Response

    from flask_lanewise import Lanewise, sensitive

    app = Flask("served")
    ai = Lanewise(app, router)

    @app.get("/summary")
    def summary() -> str:
        return answer_sync(ai.openai)

    @app.get("/in_thread")
    async def in_thread() -> str:
        return await answer(ai.async_openai)

    @app.get("/refund")
    @sensitive("payment")
    def refund() -> str:
        return answer_sync(ai.openai)

    @app.get("/own_scope")
    def own_scope() -> str:
        with router.scope() as scope:
            return answer_sync(scope.openai)

    @app.get("/streamed")
    def streamed() -> Response:
        return Response(pieces_sync(ai.openai), mimetype="text/plain")

    @app.get("/events")
    def events() -> Response:
        return Response((f"data: {piece}\r\n\r\n" for piece in pieces_sync(ai.openai)), mimetype="text/event-stream")

    @app.get("/plain")
    def plain() -> str:
        return "no model asked"

    for name in _names():
        AROUND[name].in_flask(app)
    return app


def mounted_flask_app() -> Any:
    """Of Flask, by a2wsgi in an app of Starlette that has the middleware."""
    return model_calls.mounted_by_a2wsgi(flask_app(), router)


def bridged_flask_app() -> Any:
    """Of Flask, by a2wsgi and with nothing else around."""
    from a2wsgi import WSGIMiddleware

    return WSGIMiddleware(flask_app())


def _names() -> list[str]:
    return [name for name in os.environ.get("AROUND", "").split(",") if name]


def _around(app: Any, install: Any) -> Any:
    """Starlette's ``add_middleware`` puts each one around those before."""
    names = _names()
    for name in names:
        if AROUND[name].inside:
            AROUND[name].add_to(app)
    install()
    for name in names:
        if not AROUND[name].inside:
            AROUND[name].add_to(app)
    return app


APPS = {
    "starlette": starlette_app,
    "fastapi": fastapi_app,
    "litestar": litestar_app,
    "flask": flask_app,
    "flask-mounted": mounted_flask_app,
    "flask-bridged": bridged_flask_app,
}
app: Any = APPS[os.environ["ADAPTER"]]() if "ADAPTER" in os.environ else None
