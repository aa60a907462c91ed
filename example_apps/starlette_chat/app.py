"""A chat that streams to a plain page and survives a failing provider; about accounts, only one model may speak."""

from __future__ import annotations

import argparse
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

from lanewise import Router
from lanewise.testing import FakeProvider, StreamOf
from starlette_lanewise import LanewiseMiddleware, lifespan, sensitive, standard

HERE = Path(__file__).parent
ACCOUNT = "The customer's balance is 1,204 euros; the last payment was on Monday."

TRY = """
Try, from another terminal (Ctrl-C ends this):

  # a streamed answer
  curl -N http://127.0.0.1:8011/chat -d 'Where is my parcel?'
  # break the primary: the stream comes from another route
  curl http://127.0.0.1:18111/_fake/script -d '{"behaviours": [{"kind": "status", "status": 500}], "model": "gpt-5.5"}'
  # account questions are sensitive: with their one approved route broken they fail closed
  curl -i http://127.0.0.1:8011/account/chat -d 'What is my balance?'
"""


@standard
async def page(request: Request) -> Response:
    """The page."""
    return FileResponse(HERE / "page.html")


@standard
async def chat(request: Request) -> Response:
    """An answer, as it is being written."""
    question = await request.body()
    return answer(request, [{"role": "user", "content": question.decode(errors="replace")}])


@sensitive("account")
async def account(request: Request) -> Response:
    """An answer about the customer's account: from an approved route, or from nobody."""
    question = await request.body()
    known = {"role": "system", "content": ACCOUNT}
    return answer(request, [known, {"role": "user", "content": question.decode(errors="replace")}])


def answer(request: Request, messages: list[Any]) -> Response:
    """Lines of JSON: pieces of text, a word where the text begins anew, and at the end who wrote it."""
    scope = request.state.ai

    async def lines() -> AsyncIterator[str]:
        stream = await scope.async_openai.chat.completions.create(
            model="chat",
            messages=messages,
            stream=True,
            extra_headers={"x-lanewise-on-break": "restart"},  # the page knows what to do then
        )
        async for chunk in stream:
            if getattr(chunk, "lanewise", None):
                yield json.dumps({"restart": True}) + "\n"
            if text := "".join(choice.delta.content or "" for choice in chunk.choices):
                yield json.dumps({"text": text}) + "\n"
        call = scope.call_for(stream)
        yield json.dumps({"route": call.route, "lane": call.lane}) + "\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


def caller(connection: HTTPConnection) -> str | None:
    """Whose request it is: the address stands for a user here."""
    return connection.client.host if connection.client else None


def create_app(router: Router | None = None) -> Starlette:
    """The app. Without a router it reads the file beside this one."""
    router = router or Router.from_file(HERE / "lanewise.toml")
    return Starlette(
        routes=[
            Route("/", page),
            Route("/chat", chat, methods=["POST"]),
            Route("/account/chat", account, methods=["POST"]),
        ],
        middleware=[Middleware(LanewiseMiddleware, router=router, subject=caller)],
        lifespan=lifespan(router),
    )


def main() -> None:
    """Serve the app on loopback, with two fake providers that can be told to fail."""
    import uvicorn

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=8011)
    port = parser.parse_args().port
    print(__doc__, TRY.replace(":8011/", f":{port}/"), sep="\n", flush=True)
    with FakeProvider(port=18111) as openai, FakeProvider(port=18112) as kissapi:
        openai.script("gpt-5.5", StreamOf(chunks=("Written", " by", " the", " flagship."), interval=0.15))
        kissapi.script("claude-sonnet-4-6", StreamOf(chunks=("Written", " by", " its", " standby."), interval=0.15))
        uvicorn.run(create_app(), port=port)


if __name__ == "__main__":
    main()
