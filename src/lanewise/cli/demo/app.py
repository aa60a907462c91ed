"""The demo's web app: ``/routed`` asks through Lanewise, ``/plain`` through the OpenAI SDK as it comes.

It knows nothing of the demo: this is all that a Starlette app needs.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import openai
from openai.types.chat import ChatCompletionMessageParam
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from lanewise import Router

router = Router.from_file(os.environ["LANEWISE_CONFIG"])
plain_openai = openai.AsyncOpenAI()  # key and base URL from the environment; two retries, by default


async def routed(request: Request) -> JSONResponse:
    """A summary through Lanewise: the model that is asked for is a task of the config."""
    with router.scope(request_id=request.headers.get("x-request-id")) as scope:
        reply = await scope.async_openai.chat.completions.create(model="ticket-summary", messages=messages(request))
    call = scope.call_for(reply)
    failures = [attempt.failure for attempt in call.attempts if attempt.failure is not None]
    return JSONResponse({"summary": reply.choices[0].message.content, "lane": call.lane, "failures": failures})


async def plain(request: Request) -> JSONResponse:
    """The same without Lanewise."""
    reply = await plain_openai.chat.completions.create(model="gpt-5.5", messages=messages(request))
    return JSONResponse({"summary": reply.choices[0].message.content})


async def ai_failed(request: Request, error: Exception) -> JSONResponse:
    """What both endpoints say when no answer came: every error of Lanewise is one of the SDK's too."""
    return JSONResponse({"error": type(error).__name__}, status_code=502)


def messages(request: Request) -> list[ChatCompletionMessageParam]:
    """The prompt."""
    return [{"role": "user", "content": f"Summarize ticket {request.query_params.get('ticket', '1')}."}]


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """The clients open and close with the app."""
    async with router, plain_openai:
        yield


app = Starlette(
    routes=[Route("/routed", routed), Route("/plain", plain)],
    exception_handlers={openai.OpenAIError: ai_failed},
    lifespan=lifespan,
)
