"""ASGI apps for the contract suite: a uvicorn in a thread, the lifespan by hand, and one request without a server."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any
from urllib.parse import unquote

import uvicorn

from busy_machine import LONG_ENOUGH
from integrations.contract.asking import Reply
from integrations.contract.harness import Driver

__all__ = ["AsgiDriver", "serving"]


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """A uvicorn in a thread."""
    config = uvicorn.Config(app, port=0, lifespan="on", log_config=None, access_log=False, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="uvicorn", daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the app did not start"
            time.sleep(0.002)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(LONG_ENOUGH)
        assert not thread.is_alive(), "the server did not end"


class AsgiDriver(Driver):
    """What the ASGI frameworks have in common."""

    def serving(self, app: Any) -> AbstractContextManager[str]:
        """A uvicorn in a thread."""
        return serving(app)

    def start(self, app: Any) -> None:
        """The lifespan protocol, from its start to its end."""
        asyncio.run(_lifespan(app))

    def direct(self, app: Any, path: str, headers: Sequence[tuple[bytes, bytes]] = (), root_path: str = "") -> Reply:
        """One request, and no lifespan."""
        return asyncio.run(_request(app, path, headers, root_path))


class _StartFailed(Exception):
    """What an app gave as the reason why it does not start."""


async def _lifespan(app: Any) -> None:
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    running = asyncio.ensure_future(app(scope, to_app.get, from_app.put))
    for step in ("startup", "shutdown"):
        to_app.put_nowait({"type": f"lifespan.{step}"})
        said = asyncio.ensure_future(from_app.get())
        await asyncio.wait([running, said], return_when=asyncio.FIRST_COMPLETED)
        if not said.done():
            said.cancel()
            running.result()
            raise AssertionError(f"the app did not answer lifespan.{step}")
        message = said.result()
        if message["type"].endswith("failed"):
            with suppress(Exception):
                await running
            raise _StartFailed(message.get("message", ""))
    await running


async def _request(app: Any, path: str, headers: Sequence[tuple[bytes, bytes]], root_path: str) -> Reply:
    plain, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": root_path + unquote(plain),
        "raw_path": (root_path + plain).encode(),
        "query_string": query.encode(),
        "root_path": root_path,
        "headers": [(b"host", b"app"), *((name.lower(), value) for name, value in headers)],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    sent: list[dict[str, Any]] = []
    received: list[dict[str, Any]] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if received:
            return received.pop()
        await asyncio.sleep(3600)
        raise AssertionError("nobody waits for so long")

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    with suppress(Exception):  # frameworks answer 500 and raise again, for the server to log
        await app(scope, receive, send)
    if not sent:
        return Reply(0, whole=False)
    head = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in sent[0].get("headers", ())]
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return Reply(sent[0]["status"], tuple(head), body, whole=not sent[-1].get("more_body", False))
