"""The forms in which an endpoint of a FastAPI app can be marked, each as a function that builds the app."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI
from starlette.middleware import Middleware

from integrations.asgi_stage import FIRST_TEXT, Stage, ask, ask_sync
from starlette_lanewise.fastapi import (
    LanewiseMiddleware,
    RoutedClient,
    RoutedSyncClient,
    SensitiveMiddleware,
    lifespan,
    sensitive,
)

PAYMENT = [Depends(sensitive("payment"))]
Build = Callable[[FastAPI], None]


def app_of(stage: Stage, build: Build, router_options: dict[str, Any] | None = None, **options: Any) -> FastAPI:
    router = stage.router(**(router_options or {}))
    app = FastAPI(lifespan=lifespan(router), **options)
    app.add_middleware(LanewiseMiddleware, router=router)
    build(app)
    return app


def openly(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return wrapped


async def early(ai: RoutedClient) -> str:
    return await ask(ai)


def payments(_: Annotated[None, Depends(sensitive("payment"))]) -> str:
    return "the desk"


def plain_routes() -> APIRouter:
    router = APIRouter()

    @router.get("/x")
    async def endpoint(ai: RoutedClient) -> str:
        return await ask(ai)

    return router


def on_the_function(app: FastAPI) -> None:
    @app.get("/x")
    @sensitive("payment")
    async def endpoint(ai: RoutedClient) -> str:
        return await ask(ai)


def above_the_route(app: FastAPI) -> None:
    @sensitive("payment")
    @app.get("/x")
    async def endpoint(ai: RoutedClient) -> str:
        return await ask(ai)


def below_another_decorator(app: FastAPI) -> None:
    @app.get("/x")
    @openly
    @sensitive("payment")
    async def endpoint(ai: RoutedClient) -> str:
        return await ask(ai)


def on_a_thread(app: FastAPI) -> None:
    @app.get("/x")
    @sensitive("payment")
    def endpoint(ai: RoutedSyncClient) -> str:
        return ask_sync(ai)


def on_the_route(app: FastAPI) -> None:
    @app.get("/x", dependencies=PAYMENT)
    async def endpoint(ai: RoutedClient) -> str:
        return await ask(ai)


def on_a_threads_route(app: FastAPI) -> None:
    @app.get("/x", dependencies=PAYMENT)
    def endpoint(ai: RoutedSyncClient) -> str:
        return ask_sync(ai)


def as_a_parameter(app: FastAPI) -> None:
    @app.get("/x")
    async def endpoint(ai: RoutedClient, _: Annotated[None, Depends(sensitive("payment"))]) -> str:
        return await ask(ai)


def in_a_dependency(app: FastAPI) -> None:
    @app.get("/x")
    async def endpoint(desk: Annotated[str, Depends(payments)], ai: RoutedClient) -> str:
        return await ask(ai)


def on_the_router(app: FastAPI) -> None:
    router = APIRouter(dependencies=PAYMENT)

    @router.get("/x")
    async def endpoint(ai: RoutedClient) -> str:
        return await ask(ai)

    app.include_router(router)


def on_the_inclusion(app: FastAPI) -> None:
    app.include_router(plain_routes(), dependencies=PAYMENT)


def on_an_outer_router(app: FastAPI) -> None:
    outer = APIRouter(dependencies=PAYMENT)
    outer.include_router(plain_routes())
    app.include_router(outer)


def in_middleware(app: FastAPI) -> None:
    inner = FastAPI(middleware=[Middleware(SensitiveMiddleware, "payment")])
    inner.include_router(plain_routes())
    app.mount("", inner)


def on_a_mounted_app(app: FastAPI) -> None:
    inner = FastAPI(dependencies=PAYMENT)
    inner.include_router(plain_routes())
    app.mount("", inner)


def before_the_mark(app: FastAPI) -> None:
    """A dependency that asks before the endpoint, and its mark, have run."""

    @app.get("/x")
    @sensitive("payment")
    async def endpoint(text: Annotated[str, Depends(early)]) -> str:
        return text


def before_the_marks_dependency(app: FastAPI) -> None:
    """The same, where the mark is a dependency that comes later."""

    router = APIRouter()

    @router.get("/x", dependencies=[Depends(early), *PAYMENT])
    async def endpoint() -> str:
        return FIRST_TEXT

    app.include_router(router, prefix="")


FORMS: list[Build] = [
    on_the_function,
    above_the_route,
    below_another_decorator,
    on_a_thread,
    on_the_route,
    on_a_threads_route,
    as_a_parameter,
    in_a_dependency,
    on_the_router,
    on_the_inclusion,
    on_an_outer_router,
    in_middleware,
    on_a_mounted_app,
    before_the_mark,
    before_the_marks_dependency,
]
