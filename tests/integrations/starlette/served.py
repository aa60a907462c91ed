"""The app that the tests run under a real server: ``python -m uvicorn integrations.starlette.served:app``."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from integrations.asgi_stage import MESSAGES, ask, ask_sync
from lanewise import Router
from starlette_lanewise import LanewiseMiddleware, lifespan, sensitive
from two_providers import PATIENT

router = Router.from_mapping(
    {
        "router": {"health": {"breakers": False, "retry_tokens": 1e6}},
        "providers": {"one": {"base_url": os.environ["FIRST_URL"]}, "two": {"base_url": os.environ["SECOND_URL"]}},
        "routes": {
            "first": {"provider": "one", "model": "model-one", **PATIENT},
            "second": {"provider": "two", "model": "model-two", **PATIENT},
        },
        "tasks": {
            "summary": {"primary": "first", "equivalent": "second", "deadline": "120s"},
            "alone": {"primary": "first", "deadline": "120s"},
        },
        "sensitive": {"payment": {"routes": ["first"]}},
    }
)


async def summary(request: Request) -> Response:
    await request.body()
    return PlainTextResponse(await ask(request.state.ai))


def in_thread(request: Request) -> Response:
    return PlainTextResponse(ask_sync(request.state.ai))


@sensitive("payment")
async def refund(request: Request) -> Response:
    return PlainTextResponse(await ask(request.state.ai))


async def streamed(request: Request) -> Response:
    async def pieces() -> AsyncIterator[str]:
        reply = await request.state.ai.async_openai.chat.completions.create(
            model="alone", messages=MESSAGES, stream=True
        )
        async for chunk in reply:
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content

    return StreamingResponse(pieces(), media_type="text/plain")


app = Starlette(
    routes=[
        Route("/summary", summary, methods=["GET", "POST"]),
        Route("/in-thread", in_thread),
        Route("/refund", refund),
        Route("/streamed", streamed),
    ],
    middleware=[Middleware(LanewiseMiddleware, router=router)],
    lifespan=lifespan(router),
)
