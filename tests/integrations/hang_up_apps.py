"""Apps whose callers leave, one for each ASGI adapter: ``uvicorn integrations.hang_up_apps:app``."""

import os
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from integrations import model_calls
from lanewise import Router
from two_providers import PATIENT

PATHS = ("stream", "thread-stream", "sensitive-stream", "wrapped-stream", "own-stream")
PLAIN = ("plain", "sensitive-plain", "own-plain")

router = Router.from_mapping(
    {
        "providers": {"one": {"base_url": os.environ.get("PROVIDER_URL", "http://127.0.0.1:9/v1")}},
        "routes": {"first": {"provider": "one", "model": "model-one", **PATIENT}},
        "tasks": {"t": {"primary": "first", "deadline": "120s"}},
        "sensitive": {"payment": {"routes": ["first"]}},
    }
)


answer = partial(model_calls.answer, task="t")
answer_sync = partial(model_calls.answer_sync, task="t")
pieces = partial(model_calls.pieces, task="t")
thread_pieces = partial(model_calls.pieces_sync, task="t")


async def wrapped_pieces(client: Any) -> AsyncIterator[str]:
    """A stream whose app makes an error of its own of whatever goes wrong."""
    try:
        async for piece in pieces(client):
            yield piece
    except Exception as error:
        raise ValueError("no summary") from error


async def own_pieces() -> AsyncIterator[str]:
    """A stream in a scope that the app opens itself."""
    with router.scope() as scope:
        async for piece in pieces(scope.async_openai):
            yield piece


async def own_answer() -> str:
    """A whole answer in a scope that the app opens itself, within another one."""
    with router.scope(), router.scope(labels={"size": "short"}) as scope:
        return await answer(scope.async_openai)


def starlette_app() -> Any:
    """Of Starlette."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, StreamingResponse
    from starlette.routing import Route

    from starlette_lanewise import LanewiseMiddleware, lifespan, sensitive

    def streamed(make: Callable[[Any], Any], client: str = "async_openai") -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> StreamingResponse:
            return StreamingResponse(make(getattr(request.state.ai, client)))

        return endpoint

    async def plain(request: Request) -> PlainTextResponse:
        return PlainTextResponse(await answer(request.state.ai.async_openai))

    async def sensitive_plain(request: Request) -> PlainTextResponse:
        return await plain(request)

    async def own_stream(request: Request) -> StreamingResponse:
        return StreamingResponse(own_pieces())

    async def own_plain(request: Request) -> PlainTextResponse:
        return PlainTextResponse(await own_answer())

    return Starlette(
        routes=[
            Route("/stream", streamed(pieces)),
            Route("/thread-stream", streamed(thread_pieces, "openai")),
            Route("/sensitive-stream", sensitive("payment")(streamed(pieces))),
            Route("/wrapped-stream", streamed(wrapped_pieces)),
            Route("/own-stream", own_stream),
            Route("/own-plain", own_plain),
            Route("/plain", plain),
            Route("/sensitive-plain", sensitive("payment")(sensitive_plain)),
        ],
        middleware=[Middleware(LanewiseMiddleware, router=router)],
        lifespan=lifespan(router),
    )


def fastapi_app() -> Any:
    """Of FastAPI."""
    from fastapi import Depends, FastAPI
    from fastapi.responses import StreamingResponse

    from starlette_lanewise.fastapi import LanewiseMiddleware, RequestScope, lifespan, sensitive

    app = FastAPI(lifespan=lifespan(router))
    app.add_middleware(LanewiseMiddleware, router=router)
    payment = [Depends(sensitive("payment"))]

    @app.get("/stream")
    @app.get("/sensitive-stream", dependencies=payment)
    async def stream(ai: RequestScope) -> StreamingResponse:
        return StreamingResponse(pieces(ai.async_openai))

    @app.get("/thread-stream")
    def thread_stream(ai: RequestScope) -> StreamingResponse:
        return StreamingResponse(thread_pieces(ai.openai))

    @app.get("/wrapped-stream")
    async def wrapped_stream(ai: RequestScope) -> StreamingResponse:
        return StreamingResponse(wrapped_pieces(ai.async_openai))

    @app.get("/plain")
    @app.get("/sensitive-plain", dependencies=payment)
    async def plain(ai: RequestScope) -> str:
        return await answer(ai.async_openai)

    @app.get("/own-stream")
    async def own_stream() -> StreamingResponse:
        return StreamingResponse(own_pieces())

    @app.get("/own-plain")
    async def own_plain() -> str:
        return await own_answer()

    return app


def litestar_app() -> Any:
    """Of Litestar, whose errors are all logged with their traceback."""
    from litestar import Litestar, get
    from litestar.logging import LoggingConfig
    from litestar.response import Stream

    from litestar_lanewise import LanewisePlugin, RoutedClient, RoutedSyncClient, sensitive

    @get("/stream")
    async def stream(ai: RoutedClient) -> Stream:
        return Stream(pieces(ai))

    @get("/thread-stream")
    async def thread_stream(ai_sync: RoutedSyncClient) -> Stream:
        return Stream(thread_pieces(ai_sync))

    @get("/sensitive-stream", guards=[sensitive("payment")])
    async def sensitive_stream(ai: RoutedClient) -> Stream:
        return Stream(pieces(ai))

    @get("/wrapped-stream")
    async def wrapped_stream(ai: RoutedClient) -> Stream:
        return Stream(wrapped_pieces(ai))

    @get("/plain")
    async def plain(ai: RoutedClient) -> str:
        return await answer(ai)

    @get("/sensitive-plain", guards=[sensitive("payment")])
    async def sensitive_plain(ai: RoutedClient) -> str:
        return await answer(ai)

    @get("/own-stream")
    async def own_stream() -> Stream:
        return Stream(own_pieces())

    @get("/own-plain")
    async def own_plain() -> str:
        return await own_answer()

    return Litestar(
        [stream, thread_stream, sensitive_stream, wrapped_stream, own_stream, plain, sensitive_plain, own_plain],
        plugins=[LanewisePlugin(router)],
        logging_config=LoggingConfig(log_exceptions="always"),
    )


def flask_app() -> Any:
    """Of Flask."""
    from flask import Flask, Response

    from flask_lanewise import Lanewise, sensitive

    app = Flask("hang_up_apps")
    ai = Lanewise(app, router)

    def plain() -> str:
        return answer_sync(ai.openai)

    async def async_plain() -> str:
        return await answer(ai.async_openai)

    def own_plain() -> str:
        with router.scope() as scope:
            return answer_sync(scope.openai)

    def stream() -> Response:
        return Response(thread_pieces(ai.openai))

    app.add_url_rule("/own-plain", "own_plain", own_plain)
    app.add_url_rule("/plain", "plain", plain)
    app.add_url_rule("/async-plain", "async_plain", async_plain)
    app.add_url_rule("/sensitive-plain", "sensitive_plain", sensitive("payment")(lambda: plain()))
    app.add_url_rule("/stream", "stream", stream)
    app.add_url_rule("/sensitive-stream", "sensitive_stream", sensitive("payment")(lambda: stream()))
    return app


def mounted_flask_app() -> Any:
    """Of Flask, by a2wsgi in an app of Starlette that has the middleware."""
    return model_calls.mounted_by_a2wsgi(flask_app(), router)


APPS = {"flask": flask_app, "starlette": starlette_app, "fastapi": fastapi_app, "litestar": litestar_app}
APPS["flask-mounted"] = mounted_flask_app
app: Any = APPS[os.environ["ADAPTER"]]() if "ADAPTER" in os.environ else None
