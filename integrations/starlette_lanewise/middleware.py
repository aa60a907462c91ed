"""The middleware: a scope around each request and WebSocket, for Starlette, FastAPI and other ASGI apps."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, MutableMapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Send

from lanewise import Router, Scope
from lanewise.web import (
    SCOPE_KEY,
    AppCheck,
    AsgiCore,
    EndGuard,
    Endpoint,
    Inbound,
    PathRules,
    RequestPosition,
    RouterNode,
    RouterTree,
    RouterWatch,
    guarded_scope,
    router_of,
    state_of,
)
from starlette_lanewise.routes import RouteReader, root_of

__all__ = ["LanewiseMiddleware", "installed", "router_in"]

_OUTER: Final = "lanewise.middleware"
"""The key of the ASGI scope for the middleware that made the scope, and its app."""

_log: Final = logging.getLogger("lanewise")
_installed: ContextVar[tuple[LanewiseMiddleware, ...]] = ContextVar("lanewise_middleware", default=())


class LanewiseMiddleware:
    """Gives each request its scope, ``request.state.ai`` (of WebSockets ``websocket.state.ai``), as pure ASGI.

    ``subject`` tells the user or session of a request; it is asked when the request first asks for a client, so that
    middleware further inside may have found out. The request's id is echoed, errors of the router that the app does
    not handle are answered as ``application/problem+json``, and calls end when their caller hangs up.

    Where :func:`lifespan` is not used, the router opens at its first call, and the endpoints are checked at the first
    request: if that fails, every request raises the same ConfigError.

    Raises ConfigError: the config file is wrong. TypeError: neither a router nor a path.

    Example::

        installed = Middleware(LanewiseMiddleware, router=router)
        app = Starlette(routes=routes, middleware=[installed], lifespan=lifespan(router))

        async def summarize(request):
            reply = await request.state.ai.async_openai.chat.completions.create(model="ticket-summary", ...)
    """

    def __init__(
        self,
        app: ASGIApp,
        router: Router | str | Path,
        *,
        subject: Callable[[HTTPConnection], str | None] | None = None,
    ) -> None:
        self.app = app
        self.router = router_of(router)
        subject_of = None if subject is None else lambda asgi: subject(HTTPConnection(asgi))
        inbound = Inbound(self.router, self._scope_here)
        self.check = AppCheck(inbound, _endpoints, "starlette", "fastapi", prepare=self._prepare)
        self._core = AsgiCore(inbound, self._position_of, subject_of)
        self._tree = RouterTree(RouteReader(router_in, self.router).read, _watch, self.router.config.sensitive)
        self._rules = PathRules(self.router.config.endpoints)
        self._root: object | None = None
        self._warned: set[str] = set()

    async def __call__(self, asgi: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve a request or WebSocket in a scope of its own; pass anything else on.

        Raises ConfigError: the endpoints did not pass the check. RuntimeError: installed twice in one app.
        """
        if asgi["type"] not in ("http", "websocket"):
            await self._pass_on(asgi, receive, send)
            return
        if not self.check.is_done:
            app = asgi.get("app", self.app)
            if self.check.instead_of_start(app, is_whole=_OUTER not in asgi):
                _log.info("no lifespan(router): the router opens at its first call, and nothing closes it with the app")
        if self.check.refused is not None:
            raise self.check.refusal()
        if _OUTER in asgi:
            await self._serve_inside(asgi, receive, send)
        else:
            await self._core.serve(self.app, asgi, self._begin(asgi), receive, send)

    def _prepare(self, app: object) -> None:
        """Have an app that passed the check watched, and the marks described in its OpenAPI document, if it has one."""
        self._tree.watch_below(self._root_of(app))
        _guard(app)
        if hasattr(app, "openapi"):
            from starlette_lanewise.openapi import describe  # only of use with FastAPI

            describe(app, self.router.config)

    def _scope_here(self) -> Scope | None:
        """The scope of the request that this runs in, further out than this middleware: in an error handler, say."""
        return guarded_scope()

    def _root_of(self, app: object) -> object:
        """Where routing begins: in the app that this is installed in, or in what it lies around."""
        if self._root is None:
            self._root = root_of(app if app is not None else self.app)
        return self._root

    def _position_of(self, asgi: MutableMapping[str, Any]) -> RequestPosition:
        root = self._root if self._root is not None else self._root_of(asgi.get("app"))
        return RequestPosition(self._tree, self._rules, root, asgi, self._warned)

    def _begin(self, asgi: MutableMapping[str, Any]) -> Scope:
        asgi[_OUTER] = (self, asgi.get("app"))
        scope = self._core.begin(asgi)
        if "state" not in asgi:
            asgi["state"] = {}
        asgi["state"]["ai"] = scope
        return scope

    async def _serve_inside(self, asgi: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve within a request that has a scope: in an app that is mounted in another one."""
        outer, app = asgi[_OUTER]
        app_here = asgi.get("app")
        if app is app_here:
            raise RuntimeError("LanewiseMiddleware is installed twice in one app: take one of them out")
        if outer.router is self.router:
            position = state_of(asgi[SCOPE_KEY]).marks_resolver
            if isinstance(position, RequestPosition):
                position.enter(self._root_of(app_here), asgi)  # from here on, the endpoint is one of this app
            await self.app(asgi, receive, send)
            return
        scope = asgi[SCOPE_KEY]
        try:
            await self._core.serve(self.app, asgi, self._begin(asgi), receive, send)
        finally:
            asgi[_OUTER], asgi[SCOPE_KEY], asgi["state"]["ai"] = (outer, app), scope, scope

    async def _pass_on(self, asgi: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        token = _installed.set((*_installed.get(), self))
        try:
            await self.app(asgi, receive, send)
        finally:
            _installed.reset(token)


def _endpoints(app: object) -> list[Endpoint]:
    from starlette_lanewise.audit import endpoints  # it knows the middleware

    return endpoints(app)


def _watch(nodes: Iterable[RouterNode]) -> None:
    """Have the routers of all nodes report the requests that they get."""
    for node in nodes:
        stack = getattr(node.router, "middleware_stack", None)
        if stack is not None and not isinstance(stack, RouterWatch):
            node.router.middleware_stack = RouterWatch(stack, node.router)


def _guard(app: object) -> None:
    """Put the guard of answers' ends around all of the app's middleware, in whatever order that was added.

    ``Starlette.middleware_stack`` is made before an app's lifespan runs, or at its first request.
    """
    stack = app.middleware_stack if isinstance(app, Starlette) else None
    if isinstance(app, Starlette) and stack is not None and not isinstance(stack, EndGuard):
        app.middleware_stack = EndGuard(stack)


def router_in(layer: Any) -> object | None:
    """The router of a layer that is this middleware, or of the entry that installs it; ``None``: it is neither."""
    if isinstance(layer, LanewiseMiddleware):
        return layer.router
    cls = getattr(layer, "cls", None)
    if isinstance(cls, type) and issubclass(cls, LanewiseMiddleware):
        router: object = layer.kwargs.get("router", layer.args[0] if layer.args else None)
        return router
    return None


def installed() -> tuple[LanewiseMiddleware, ...]:
    """The middleware that the app's own lifespan runs in, from the outside in."""
    return _installed.get()
