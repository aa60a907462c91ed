"""What the apps of tests ask a model, whole and in pieces, by either client; and one of their apps in another."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from lanewise import Router

MESSAGES: Any = [{"role": "user", "content": "canary-prompt"}]


async def answer(client: Any, task: str) -> str:
    """A whole answer."""
    reply = await client.chat.completions.create(model=task, messages=MESSAGES)
    return str(reply.choices[0].message.content)


def answer_sync(client: Any, task: str) -> str:
    """A whole answer, from a thread."""
    reply = client.chat.completions.create(model=task, messages=MESSAGES)
    return str(reply.choices[0].message.content)


async def pieces(client: Any, task: str) -> AsyncIterator[str]:
    """A stream."""
    async for chunk in await client.chat.completions.create(model=task, messages=MESSAGES, stream=True):
        if chunk.choices and chunk.choices[0].delta.content:
            yield chunk.choices[0].delta.content


def pieces_sync(client: Any, task: str) -> Iterator[str]:
    """A stream, from a thread."""
    for chunk in client.chat.completions.create(model=task, messages=MESSAGES, stream=True):
        if chunk.choices and chunk.choices[0].delta.content:
            yield chunk.choices[0].delta.content


def mounted_by_a2wsgi(app: Any, router: Router) -> Any:
    """An app of WSGI in one of Starlette, which has the middleware."""
    from a2wsgi import WSGIMiddleware
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.routing import Mount

    from starlette_lanewise import LanewiseMiddleware, lifespan

    return Starlette(
        routes=[Mount("/", app=WSGIMiddleware(app))],
        middleware=[Middleware(LanewiseMiddleware, router=router)],
        lifespan=lifespan(router),
    )
