"""Two providers, a config over them, and a caller that can hang up: what the tests of the ASGI adapters share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, ClassVar

from two_providers import MESSAGES, TwoProviders

FIRST_TEXT = "Hello from model-one"
SECOND_TEXT = "Hello from model-two"
APP = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]


class Stage(TwoProviders):
    """Tasks ``summary`` (first, then second) and ``alone``; categories ``payment``, ``medical`` and ``other``."""

    sections: ClassVar[dict[str, Any]] = {
        "tasks": {
            "summary": {"primary": "first", "equivalent": "second", "deadline": "120s"},
            "alone": {"primary": "first", "deadline": "120s"},
        },
        "sensitive": {
            "payment": {"routes": ["first"]},
            "medical": {"routes": ["first", "second"]},
            "other": {"routes": ["second"]},
        },
    }


async def ask(ai: Any, task: str = "summary") -> str:
    """One call through a scope, or through an SDK client."""
    client = getattr(ai, "async_openai", ai)
    reply = await client.chat.completions.create(model=task, messages=MESSAGES)
    return str(reply.choices[0].message.content)


def ask_sync(ai: Any, task: str = "summary") -> str:
    """As :func:`ask`, from a thread."""
    client = getattr(ai, "openai", ai)
    return str(client.chat.completions.create(model=task, messages=MESSAGES).choices[0].message.content)


class Caller:
    """A caller of an ASGI app, who sends a request and may hang up. What the app sends is in ``sent``."""

    def __init__(self, path: str, method: str = "GET", body: bytes = b"", kind: str = "http") -> None:
        self.sent: list[MutableMapping[str, Any]] = []
        self.asgi: dict[str, Any] = {
            "type": kind,
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"test"), (b"content-length", str(len(body)).encode())],
            "server": ("test", 80),
            "client": ("test", 1),
        }
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        if kind == "http":
            self._messages.put_nowait({"type": "http.request", "body": body, "more_body": False})
        else:
            self._messages.put_nowait({"type": "websocket.connect"})

    def hang_up(self) -> None:
        """Leave, without waiting for the answer."""
        kind = "http.disconnect" if self.asgi["type"] == "http" else "websocket.disconnect"
        self._messages.put_nowait({"type": kind, "code": 1001})

    async def run(self, app: APP) -> None:
        """Serve the request to its end."""
        await app(self.asgi, self._messages.get, self._send)

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        self.sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self.hang_up()  # as uvicorn does: once the answer is complete, it says that the caller has gone
