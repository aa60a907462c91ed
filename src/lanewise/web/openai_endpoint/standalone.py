"""The app of ``lanewise serve``: the OpenAI endpoint under ``/v1``, what an orchestrator asks a process, the page."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import threading
from collections.abc import MutableMapping
from importlib.util import find_spec
from types import FrameType
from typing import Any, Final

import msgspec

from lanewise._compat import UVICORN
from lanewise.router import Router
from lanewise.web.dashboard.asgi_dashboard import Dashboard
from lanewise.web.dashboard.password import PasswordProtected
from lanewise.web.openai_endpoint.asgi_endpoint import AsgiEndpoint, Receive, Send
from lanewise.web.openai_endpoint.endpoint_answers import EndpointAnswer, EndpointError, json_answer
from lanewise.web.openai_endpoint.endpoint_core import EndpointCore

__all__ = ["CONFIG", "DASHBOARD", "DASHBOARD_PATH", "OPEN", "PASSWORD", "StandaloneApp", "http_protocol", "make_app"]

CONFIG: Final = "LANEWISE_CONFIG"
"""The variable with the config's path: each worker reads it itself."""
OPEN: Final = "LANEWISE_SERVE_OPEN"
"""The variable that says that no keys are asked for."""
DASHBOARD: Final = "LANEWISE_SERVE_DASHBOARD"
"""The variable that says that the page is served."""
PASSWORD: Final = "LANEWISE_DASHBOARD_PASSWORD"  # noqa: S105 - the name of a variable
"""The variable with its password."""
_API: Final = "/v1"
_NEW_OBJECTS: Final = 20_000
DASHBOARD_PATH: Final = "/_lanewise"


def make_app() -> StandaloneApp:
    """The app by the environment, for uvicorn: in each worker. Raises ConfigError."""
    collect_garbage_rarely()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    router = Router.from_file(os.environ[CONFIG])
    core = EndpointCore.open_to_this_machine(router) if os.environ.get(OPEN) else EndpointCore.of(router, None)
    page = _page(router, os.environ[PASSWORD]) if os.environ.get(DASHBOARD) else None
    return StandaloneApp(router, core, page)


def _page(router: Router, password: str) -> PasswordProtected:
    # By any name: a page of another site has another name, and the browser sends no password there.
    return PasswordProtected(Dashboard(router, allow=lambda request: True, hosts=["*"]), password)


def http_protocol() -> str:
    """What uvicorn is to read HTTP by: httptools, unless it is not there or what our bounds rest on has changed."""
    if find_spec("httptools") is None or UVICORN.problem() is not None:
        return "h11"  # has bounds of its own
    return "lanewise.web.openai_endpoint.http_protocol:BoundedHttpProtocol"


def collect_garbage_rarely() -> None:
    """Leave all that is loaded now out of the search for garbage, and search after many new objects.

    The process serves and does nothing else: a request makes hundreds of objects, nearly all of which are freed by
    their count, and by default is looked through for cycles while it runs, which takes a fifth of its time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 10, 10)


class StandaloneApp:
    """An ASGI app. ``/healthz`` says that it is alive, ``/readyz`` whether it takes calls.

    Only our own state makes it unready: that it ends. What is wrong with the routes and the store is told in its body:
    a provider's outage must not take all processes away.
    """

    def __init__(self, router: Router, core: EndpointCore, page: PasswordProtected | None = None) -> None:
        self._router = router
        self._page = page
        self._endpoint = AsgiEndpoint(core)
        self._state = "starting"

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve a request, or the process's life."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif self._page is not None and f"{scope['path']}/".startswith(f"{DASHBOARD_PATH}/"):
            await self._page({**scope, "root_path": scope.get("root_path", "") + DASHBOARD_PATH}, receive, send)
        elif scope["type"] != "http" or scope["path"].startswith(f"{_API}/"):
            try:
                await self._endpoint({**scope, "root_path": scope.get("root_path", "") + _API}, receive, send)
            except asyncio.CancelledError:
                if self._state != "draining":
                    raise  # else its time is up, which the server has said, and the caller knows
        else:
            answer = self._own(scope["method"], scope["path"])
            headers = [*answer.headers, (b"content-length", b"%d" % len(answer.body)), (b"cache-control", b"no-store")]
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            await send({"type": "http.response.body", "body": answer.body})

    def _own(self, method: str, path: str) -> EndpointAnswer:
        try:
            if path not in ("/healthz", "/readyz"):
                raise EndpointError(404, "not_found", "There is nothing here. The API is under /v1")
            if method not in ("GET", "HEAD"):
                raise EndpointError(405, "method_not_allowed", "GET it", headers=((b"allow", b"GET, HEAD"),))
        except EndpointError as refused:
            return refused.answer()
        return json_answer({"status": "alive"}) if path == "/healthz" else self._readiness()

    def _readiness(self) -> EndpointAnswer:
        told = {"status": self._state, **self._router.readiness()}
        status = 200 if self._state == "ready" else 503
        return msgspec.structs.replace(json_answer(told), status=status)

    async def _live(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        async def told(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._state = "ready"
                self._drain_at(signal.SIGTERM)
            await send(message)

        await self._endpoint(scope, receive, told)

    def _drain_at(self, number: signal.Signals) -> None:
        """Say from the signal on that no more calls are taken, while those that run come to their end."""
        if threading.current_thread() is not threading.main_thread():
            return  # whoever serves in a thread gets no signals
        before = signal.getsignal(number)

        def drain(came: int, frame: FrameType | None) -> None:
            self._state = "draining"
            if callable(before):
                before(came, frame)

        signal.signal(number, drain)
