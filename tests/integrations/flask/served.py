"""The app that gunicorn serves in the tests, over the provider that the environment names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from flask import Flask, Response

from flask_lanewise import Lanewise, sensitive
from lanewise import Router

MESSAGES: Any = [{"role": "user", "content": "canary-prompt"}]

app = Flask("served")
ai = Lanewise(
    app,
    Router.from_mapping(
        {
            "router": {"health": {"breakers": False, "retry_tokens": 1e6}},
            "providers": {"one": {"base_url": os.environ["FAKE_PROVIDER"]}},
            "routes": {
                "first": {"provider": "one", "model": "model-one", "timeout": "120s", "stall": "120s"},
                "second": {"provider": "one", "model": "model-two", "timeout": "120s", "stall": "120s"},
            },
            "tasks": {"summary": {"deadline": "120s", "primary": "first", "equivalent": "second"}},
            "sensitive": {"payment": {"routes": ["first"]}},
        }
    ),
)


@app.get("/summary")
def summary() -> dict[str, Any]:
    """One call."""
    reply = ai.openai.chat.completions.create(model="summary", messages=MESSAGES)
    return {"text": reply.choices[0].message.content, "pid": os.getpid()}


@app.get("/async")
async def asynchronous() -> dict[str, Any]:
    """One call in an async view."""
    reply = await ai.async_openai.chat.completions.create(model="summary", messages=MESSAGES)
    return {"text": reply.choices[0].message.content}


@app.get("/refund")
@sensitive("payment")
def refund() -> dict[str, Any]:
    """A sensitive one."""
    return summary()


@app.get("/stream")
def stream() -> Response:
    """A stream."""

    def generate() -> Iterator[str]:
        for chunk in ai_client.chat.completions.create(model="summary", messages=MESSAGES, stream=True):
            if chunk.choices:
                yield chunk.choices[0].delta.content or ""

    ai_client = ai.openai
    return Response(generate())


if "LANEWISE_TEST_HIDDEN" in os.environ:
    app.add_url_rule("/hidden", "hidden", (lambda view: lambda: view())(refund))
