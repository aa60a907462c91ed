"""An endpoint that is served for a test: mounted in Starlette under uvicorn, and in Flask under werkzeug's server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from typing import Any, ClassVar

import httpx2
import uvicorn
from flask import Flask
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from werkzeug.serving import make_server

from busy_machine import LONG_ENOUGH
from flask_lanewise import Lanewise, openai_blueprint
from lanewise import Router
from lanewise.web import OpenAIEndpoint
from lanewise.web.openai_endpoint.endpoint_core import EndpointCore
from lanewise.web.openai_endpoint.standalone import StandaloneApp, http_protocol
from starlette_lanewise import LanewiseMiddleware, lifespan
from two_providers import MESSAGES, TwoProviders

KEY = "lw_" + sha256(b"of node").hexdigest()
SPARE_KEY = "lw_" + sha256(b"of node, the next").hexdigest()
OTHER_KEY = "lw_" + sha256(b"of other").hexdigest()
MARKED_KEY = "lw_" + sha256(b"of marked").hexdigest()
USERS_KEY = "lw_" + sha256(b"of users").hexdigest()
TASKS = ("chat", "tools", "json", "error", "slow", "broken")
"""Of what real servers serve."""
MOUNTS = ("starlette", "flask")
WAYS = (*MOUNTS, "alone")


def digest(key: str) -> str:
    """The line of a key in a config."""
    return f"sha256:{sha256(key.encode()).hexdigest()}"


class Stage(TwoProviders):
    """The tasks and the clients of most tests: ``first`` has what ``payment`` approves."""

    sections: ClassVar[dict[str, Any]] = {
        "tasks": {
            "chat": {"primary": "first", "equivalent": "second", "deadline": "20s"},
            "alone": {"primary": "first", "deadline": "20s"},
            "backup": {"primary": "second", "deadline": "20s"},
            "a/b": {"primary": "second", "deadline": "20s"},
            "pay": {"primary": "first", "equivalent": "second", "deadline": "20s", "sensitive": "payment"},
        },
        "sensitive": {"payment": {"routes": ["first"]}, "medical": {"routes": ["first", "second"]}},
        "clients": {
            "node": {"key": [digest(KEY), digest(SPARE_KEY)]},
            "other": {"key": digest(OTHER_KEY), "tasks": ["chat", "pay"]},
            "marked": {"key": digest(MARKED_KEY), "sensitive": "payment"},
            "users": {"key": digest(USERS_KEY), "subject": "header:x-user-id"},
        },
    }


class Caller:
    """Calls an endpoint over HTTP with one client's key."""

    def __init__(self, base_url: str, key: str | None = KEY) -> None:
        self.base_url = base_url
        self._others: dict[str | None, Caller] = {}
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self.http = httpx2.Client(base_url=base_url + "/", headers=headers, trust_env=False, timeout=LONG_ENOUGH)

    def post(self, path: str = "chat/completions", /, *, headers: Any = None, **body: Any) -> httpx2.Response:
        """One call: to ``chat`` with a question, unless the body says otherwise."""
        return self.http.post(path, json={"model": "chat", "messages": MESSAGES, **body}, headers=headers)

    def send(self, content: bytes, *, headers: Any = None) -> httpx2.Response:
        """One call with a body as it is."""
        return self.http.post(
            "chat/completions", content=content, headers={"Content-Type": "application/json", **(headers or {})}
        )

    def as_client(self, key: str | None) -> Caller:
        """The same endpoint, called by another."""
        if key not in self._others:
            self._others[key] = Caller(self.base_url, key)
        return self._others[key]

    def close(self) -> None:
        """Close all connections."""
        for caller in (self, *self._others.values()):
            caller.http.close()


def starlette_app(router: Router, **options: Any) -> Starlette:
    """With the middleware around it, as an app has it."""
    return Starlette(
        routes=[Mount("/ai/v1", OpenAIEndpoint(router, **options))],
        middleware=[Middleware(LanewiseMiddleware, router=router)],
        lifespan=lifespan(router),
    )


def flask_app(router: Router, **options: Any) -> Flask:
    """With the extension, which a blueprint needs."""
    app = Flask("served")
    app.register_blueprint(openai_blueprint(Lanewise(app, router), **options), url_prefix="/ai/v1")
    return app


@contextmanager
def served(app: Any, **options: Any) -> Iterator[str]:
    """The address of an ASGI app, while it is served by uvicorn in a thread."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=1, **options))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the app did not start"
            time.sleep(0.005)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def served_alone(router: Router, *, is_open: bool = False) -> Iterator[str]:
    """As :func:`served`, as ``lanewise serve`` does it, where httptools is there."""
    core = EndpointCore.open_to_this_machine(router) if is_open else EndpointCore.of(router, None)
    with served(StandaloneApp(router, core), http=http_protocol(), lifespan="on", ws="none") as url:
        yield url


@contextmanager
def served_by_werkzeug(app: Flask) -> Iterator[str]:
    """As :func:`served`, of a Flask app."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def mounted(mount: str, router: Router, **options: Any) -> Iterator[Caller]:
    """A caller of the endpoint of a router, mounted in an app of a framework, or alone."""
    serve: Callable[[], Any] = {
        "starlette": lambda: served(starlette_app(router, **options)),
        "flask": lambda: served_by_werkzeug(flask_app(router, **options)),
        "alone": lambda: served_alone(router, **options),
    }[mount]
    with serve() as url, closing(Caller(f"{url}/v1" if mount == "alone" else f"{url}/ai/v1")) as caller:
        yield caller
