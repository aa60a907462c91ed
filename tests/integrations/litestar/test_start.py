"""The app's start and end: the router lives with the app, and what is not installed rightly says so."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar, get
from litestar.connection import ASGIConnection
from litestar.exceptions import ImproperlyConfiguredException
from litestar.testing import TestClient
from openai import AsyncOpenAI

from integrations.asgi_stage import FIRST_TEXT, Stage, ask
from integrations.litestar.serving import alone, make, serve, summary
from lanewise import ConfigError, Router
from litestar_lanewise import LanewisePlugin, RequestScope, RoutedClient, assert_endpoints_declared, sensitive


def function() -> Any:
    async def refund(ai: RoutedClient) -> str:
        return await ask(ai)

    return refund


def test_the_router_lives_as_long_as_the_app(stage: Stage) -> None:
    """And again, when the app is started again; closed, it leaves no connection open."""
    app = make(stage, summary)
    for _ in range(2):
        with TestClient(app) as client:
            assert client.get("/summary").text == FIRST_TEXT
        stage.first.wait_until(lambda: stage.first.open_connections == 0)


def test_the_apps_own_lifespan_runs_inside(stage: Stage) -> None:
    """The router is open in it, from its start to its end."""
    router = stage.router()
    seen: list[str] = []

    @asynccontextmanager
    async def own(app: Litestar) -> AsyncIterator[None]:
        with router.scope(detached=True) as scope:
            seen.append(await ask(scope))
        yield
        with router.scope(detached=True) as scope:
            seen.append(await ask(scope))

    with serve(stage, summary, router=router, lifespan=[own]) as client:
        client.get("/summary")
    assert seen == [FIRST_TEXT, FIRST_TEXT]


@pytest.mark.anyio
async def test_without_a_lifespan_the_router_opens_at_its_first_call(stage: Stage) -> None:
    """As where the app is mounted in another one, which does not start it."""
    router = stage.router()
    app: Any = make(stage, summary, router=router)
    async with router, httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert (await client.get("/summary")).text == FIRST_TEXT


@pytest.mark.anyio
async def test_without_a_lifespan_marks_that_cannot_hold_refuse_all(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """The first request and every later one; the log has the reason, once."""
    app: Any = make(stage, summary, get("/refund", guards=[sensitive("paiment")])(function()))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        statuses = [(await client.get("/summary")).status_code for _ in range(2)]
    assert statuses == [500, 500]
    assert caplog.text.count("unknown sensitive category 'paiment'") == 1
    assert stage.first.request_count == 0


def test_missing_keys_stop_the_start(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variable's name."""
    monkeypatch.delenv("ONE_KEY", raising=False)
    config = stage.config()
    config["providers"]["one"]["api_key_env"] = "ONE_KEY"
    app = make(stage, summary, router=Router.from_mapping(config))
    with pytest.raises(ExceptionGroup) as raised, TestClient(app):
        pass
    assert raised.group_contains(ConfigError, match="ONE_KEY")


def test_the_router_may_be_given_as_a_path(tmp_path: Path, stage: Stage) -> None:
    """A file that can't be used is refused when the plugin is made."""
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        LanewisePlugin(tmp_path / "nowhere.toml")
    with pytest.raises(TypeError, match="Router or the path"):
        LanewisePlugin({})  # type: ignore[arg-type]
    file = tmp_path / "lanewise.toml"
    file.write_text(
        f'[providers.one]\nbase_url = "{stage.first.base_url}"\n[routes.first]\nprovider = "one"\n'
        'model = "model-one"\n[tasks.summary]\nprimary = "first"\n'
    )
    with TestClient(Litestar([summary], plugins=[LanewisePlugin(file)])) as client:
        assert client.get("/summary").text == FIRST_TEXT


def test_the_plugin_is_not_installed_twice(stage: Stage) -> None:
    """Neither another one nor the same."""
    plugin = LanewisePlugin(stage.router())
    for other in (plugin, LanewisePlugin(stage.router())):
        with pytest.raises(ImproperlyConfiguredException, match="installed twice: take one of them out"):
            Litestar([summary], plugins=[plugin, other])


def test_a_client_without_the_plugin_stops_the_start() -> None:
    """Litestar names the handler, the parameter and what provides it: nothing."""
    with pytest.raises(ImproperlyConfiguredException, match="ai") as raised:
        Litestar([summary])
    assert "summary" in str(raised.value)
    with pytest.raises(LookupError, match=r"plugins=\[LanewisePlugin\(router\)\]"):
        assert_endpoints_declared(Litestar([]))


@pytest.mark.anyio
async def test_a_mark_without_the_plugin_answers_nothing() -> None:
    """The guard says what to install, and Litestar makes a 500 of it."""
    guard = sensitive("payment")

    @get("/", guards=[guard])
    async def handler() -> str:
        raise NotImplementedError

    connection: ASGIConnection[Any, Any, Any, Any] = ASGIConnection({"type": "http"})  # type: ignore[typeddict-item]
    with pytest.raises(RuntimeError, match=r"plugins=\[LanewisePlugin\(router\)\]"):
        await guard(connection, handler)
    with TestClient(Litestar([handler], logging_config=None), raise_server_exceptions=False) as client:
        assert client.get("/").status_code == 500


def test_a_dependency_of_the_app_is_not_shadowed(stage: Stage) -> None:
    """The plugin asks for another key."""
    with pytest.raises(ImproperlyConfiguredException, match="'ai' of its own: give LanewisePlugin another"):
        make(stage, summary, dependencies={"ai": lambda: None})


def test_the_dependencies_can_have_another_name(stage: Stage) -> None:
    """All three of them."""

    @get("/")
    async def handler(llm: RoutedClient, llm_scope: RequestScope) -> str:
        assert isinstance(llm, AsyncOpenAI)
        assert llm is llm_scope.async_openai
        return await ask(llm)

    app = Litestar([handler], plugins=[LanewisePlugin(stage.router(), dependency_key="llm")])
    with TestClient(app) as client:
        assert client.get("/").text == FIRST_TEXT


def test_an_app_that_is_gone_leaves_nothing(stage: Stage) -> None:
    """Its marks were kept with it, though its router and plugin live on."""
    plugin = LanewisePlugin(stage.router())
    app = Litestar([get("/", guards=[sensitive("payment")])(function())], plugins=[plugin], logging_config=None)
    with TestClient(app) as client:
        client.get("/")
    gone = weakref.ref(app.middleware[0].kwargs["installation"])  # type: ignore[union-attr]
    assert gone() is not None
    del app, client
    gc.collect()
    assert gone() is None


def test_without_litestar_the_package_says_what_to_install() -> None:
    """The extra's name."""
    code = "import sys; sys.modules['litestar'] = None; import litestar_lanewise"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'lanewise[litestar]'" in done.stderr


def test_a_closed_router_says_so(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """A request that is served when the app has ended is answered with a 500."""
    app = make(stage, alone)
    with TestClient(app):
        pass
    client = TestClient(app, raise_server_exceptions=False)
    with caplog.at_level(logging.ERROR):
        assert client.get("/alone").status_code == 500
    assert "closed" in caplog.text
