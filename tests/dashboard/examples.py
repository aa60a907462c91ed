"""The example apps with the page mounted in them, served by real servers, with a ledger and providers that can fail."""

from __future__ import annotations

import json
import threading
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from busy_machine import LONG_ENOUGH
from lanewise import Router
from lanewise.testing import Answer, FakeProvider, Received
from lanewise.web import Dashboard

__all__ = ["EXAMPLES", "MOUNTED_AT", "Example", "serving"]

ROOT: Final = Path(__file__).parents[2]
MOUNTED_AT: Final = "/_page"
"""Beside the page that the support desk has already."""
STORAGE_KEY: Final = "canary-storage-key-of-at-least-32-characters"
INVOICE: Final = '{"number": "2026-0042", "cents": 4900, "currency": "EUR"}'
MANDATE: Final = '{"holder": "Ana Ruiz", "iban": "DE02120300000000202051"}'


@dataclass(frozen=True)
class Example:
    """A served example. ``url`` is the app's, ``page`` that of the page in it; ``flagship`` is its primary provider."""

    url: str
    page: str
    ledger: str
    router: Router
    flagship: FakeProvider
    standby: FakeProvider

    def post(self, path: str, body: object = None) -> int:
        """Ask the app for something; the status of its answer."""
        data = b"" if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, {"Content-Type": "application/json"}, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                reply.read()
                return int(reply.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code


def _fastapi(router: Router, page: Mapping[str, Any]) -> Any:
    app = import_module("example_apps.fastapi_extract.app").create_app(router)
    app.mount(MOUNTED_AT, Dashboard(router, **page))
    return app


def _starlette(router: Router, page: Mapping[str, Any]) -> Any:
    app = import_module("example_apps.starlette_chat.app").create_app(router)
    app.mount(MOUNTED_AT, Dashboard(router, **page))
    return app


def _litestar(router: Router, page: Mapping[str, Any]) -> Any:
    from litestar import asgi

    app = import_module("example_apps.litestar_clinic.app").create_app(router)
    app.register(asgi(MOUNTED_AT, is_mount=True, copy_scope=True)(Dashboard(router, **page)))
    return app


def _flask(router: Router, page: Mapping[str, Any]) -> Any:
    import flask_lanewise

    app = import_module("example_apps.flask_support_desk.app").create_app(router)
    blueprint = flask_lanewise.dashboard_blueprint(flask_lanewise.Lanewise(), **page, name="second_page")
    app.register_blueprint(blueprint, url_prefix=MOUNTED_AT)
    return app


EXAMPLES: Final[Mapping[str, tuple[str, Callable[[Router, Mapping[str, Any]], Any]]]] = {
    "fastapi": ("fastapi_extract", _fastapi),
    "starlette": ("starlette_chat", _starlette),
    "litestar": ("litestar_clinic", _litestar),
    "flask": ("flask_support_desk", _flask),
}
"""Each example by its framework: its directory, and how it is made."""


def _fields(received: Received) -> Answer:
    """What FastAPI's example takes for the fields of a letter; the others take any text."""
    return Answer(MANDATE if b"mandate" in received.body else INVOICE)


@contextmanager
def serving(framework: str, place: Path, **page: Any) -> Iterator[Example]:
    """Serve an example whose sensitive calls wait for a person, with a ledger in ``place``. ``page`` is for the
    dashboard."""
    directory, make = EXAMPLES[framework]
    config = tomllib.loads((ROOT / "example_apps" / directory / "lanewise.toml").read_text())
    with ExitStack() as stack:
        flagship, standby = stack.enter_context(FakeProvider()), stack.enter_context(FakeProvider())
        flagship.script("gpt-5.5", lambda received: Answer(MANDATE if b"mandate" in received.body else INVOICE))
        standby.script(
            "claude-sonnet-4-6", lambda received: Answer(MANDATE if b"mandate" in received.body else INVOICE)
        )
        config["providers"] = {"openai": {"base_url": flagship.base_url}, "kissapi": {"base_url": standby.base_url}}
        ledger = f"sqlite:///{place / 'ledger.db'}"
        config.setdefault("router", {}).update(ledger=ledger, storage_key_env="LANEWISE_STORAGE_KEY")
        config["router"]["health"] = {"break_duration": "30s", "max_break_duration": "30s"}
        for rule in config.get("sensitive", {}).values():
            rule.update(on_failure="review", review_routes=["sonnet"])
        router = Router.from_mapping(config)
        app = make(router, page)
        url = stack.enter_context(_wsgi(app) if framework == "flask" else _asgi(app))
        yield Example(url, f"{url}{MOUNTED_AT}/", ledger, router, flagship, standby)


@contextmanager
def _asgi(app: Any) -> Iterator[str]:
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="on"))
    started = threading.Event()
    startup = server.startup

    async def start(*arguments: Any, **more: Any) -> None:
        await startup(*arguments, **more)
        started.set()

    server.startup = start  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert started.wait(LONG_ENOUGH)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(LONG_ENOUGH)


@contextmanager
def _wsgi(app: Any) -> Iterator[str]:
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(LONG_ENOUGH)
