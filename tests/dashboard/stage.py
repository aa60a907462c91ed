"""A page that is served for a test, mounted in Starlette under uvicorn and in Flask under werkzeug's server, and its
visitors."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import httpx2
from flask import Flask
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from busy_machine import LONG_ENOUGH
from endpoint.stage import served, served_by_werkzeug
from flask_lanewise import Lanewise, dashboard_blueprint
from lanewise import Router, RoutingError, Scope
from lanewise.testing import FakeProvider
from lanewise.web import Dashboard
from starlette_lanewise import LanewiseMiddleware, lifespan

MOUNTS = ("starlette", "flask")
STORAGE_KEY = "QusCqL+g5qE94y/xtP70LK25zEMe9JspWtdPm7cUJWk="
MESSAGES = [{"role": "user", "content": "canary-question"}]
STAFF = {"x-user": "staff"}
BOSS = {"x-user": "boss"}


class Stage:
    """Two providers, and routers over them: ``chat`` falls back to the second, ``pay`` leaves cases to a person."""

    def __init__(self, first: FakeProvider, second: FakeProvider) -> None:
        self.first = first
        self.second = second
        os.environ["DASHBOARD_STORAGE_KEY"] = STORAGE_KEY

    def config(self, ledger: str | None = None, **router: Any) -> dict[str, Any]:
        """The config, with a ledger or without one."""
        kept = {} if ledger is None else {"ledger": ledger, "storage_key_env": "DASHBOARD_STORAGE_KEY"}
        config: dict[str, Any] = {
            "router": {"health": {"consecutive_failures": 2}, **kept, **router},
            "providers": {"one": {"base_url": self.first.base_url}, "two": {"base_url": self.second.base_url}},
            "routes": {
                "flagship": {"provider": "one", "model": "model-one"},
                "spare": {"provider": "two", "model": "model-two"},
            },
            "tasks": {"chat": {"primary": "flagship", "equivalent": "spare"}},
        }
        if ledger is not None:
            config["routes"]["bank"] = {"provider": "one", "model": "model-bank"}
            config["tasks"]["pay"] = {"primary": "bank", "sensitive": "payment", "deadline": "2s"}
            config["sensitive"] = {"payment": {"routes": ["bank"], "on_failure": "review", "review_routes": ["spare"]}}
        return config


def who(request: Any) -> str | None:
    """Who a request says that it comes from: as an app's own login would."""
    name = request.headers.get("x-user")
    return None if name is None else str(name)


def is_staff(request: Any) -> bool:
    """Whether that may look."""
    return who(request) in ("staff", "boss")


def boss_alone(request: Any) -> str | None:
    """By what name that may do more than look."""
    return "the boss" if who(request) == "boss" else None


class Visitor:
    """A browser without scripts: it keeps cookies, and sends forms with what their pages put into them."""

    def __init__(self, base_url: str, headers: dict[str, str]) -> None:
        self.base_url = base_url
        self.origin = base_url.rsplit("/", 1)[0]
        self.http = httpx2.Client(base_url=base_url + "/", headers=headers, trust_env=False, timeout=LONG_ENOUGH)

    def get(self, path: str = "", **headers: str) -> httpx2.Response:
        """A page."""
        return self.http.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def text(self, path: str = "") -> str:
        """A page that is there, with its entities resolved."""
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return html.unescape(answer.text)

    def token(self, path: str) -> str:
        """The token of a page's forms."""
        found = re.search(r'name="csrf" value="([^"]+)"', self.get(path).text)
        assert found, f"no form on {path}"
        return found[1]

    def post(self, path: str, *, headers: dict[str, str] | None = None, **fields: str) -> httpx2.Response:
        """A form, with the headers that a browser sends from a page of the same site."""
        sent = {"origin": self.origin, "sec-fetch-site": "same-origin", **(headers or {})}
        return self.http.post(path, data=fields, headers={name: value for name, value in sent.items() if value})


@contextmanager
def mounted(mount: str, router: Router, **options: Any) -> Iterator[str]:
    """The address of the page of a router, mounted in an app of a framework."""
    given: dict[str, Any] = {"allow": is_staff, "may_review": boss_alone, "may_operate": boss_alone, **options}
    if mount == "starlette":
        app = Starlette(
            routes=[Mount("/_lanewise", Dashboard(router, **given))],
            middleware=[Middleware(LanewiseMiddleware, router=router)],
            lifespan=lifespan(router),
        )
        with served(app) as url:
            yield f"{url}/_lanewise"
        return
    flask = Flask("paged")
    flask.register_blueprint(dashboard_blueprint(Lanewise(flask, router), **given))
    with served_by_werkzeug(flask) as url, router:
        yield f"{url}/_lanewise"


@contextmanager
def visiting(url: str, headers: dict[str, str] | None = None) -> Iterator[Visitor]:
    """A visitor of a page."""
    visitor = Visitor(url, STAFF if headers is None else headers)
    with closing(visitor.http):
        yield visitor


def ask(router: Router, task: str = "chat", **scope: Any) -> str:
    """Make a call, whatever comes of it. Gives its id."""
    opened: Scope
    with router.scope(detached=True, **scope) as opened:
        with suppress(RoutingError):  # what it ended in is on the page
            opened.openai.chat.completions.create(model=task, messages=MESSAGES)  # type: ignore[arg-type]
        return opened.calls[-1].id
