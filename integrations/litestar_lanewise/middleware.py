"""The middleware: a scope around each request and WebSocket that Litestar has routed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

from litestar import Litestar
from litestar.exceptions import LitestarException
from litestar.handlers import ASGIRouteHandler, BaseRouteHandler
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from lanewise import Router, RoutingError
from lanewise import Scope as LanewiseScope
from lanewise.web import (
    SCOPE_KEY,
    STANDARD,
    AppCheck,
    AsgiCore,
    AsgiScope,
    Endpoint,
    Inbound,
    PathRules,
    RequestMarks,
    entered_states,
    marks_of,
    state_of,
)
from litestar_lanewise.audit import endpoints, handlers_on
from litestar_lanewise.problems import broken_stream, handler_of_the_app
from litestar_lanewise.sources import handler_sources, is_litestars, provisional_marks

__all__ = ["Installation", "Middleware"]

_serving: Final[ContextVar[AsgiScope | None]] = ContextVar("litestar_lanewise_serving", default=None)

SubjectOf = Callable[[AsgiScope], str | None]


class Installation:
    """What the plugin keeps of one app: whether its endpoints were checked, and their marks, read once."""

    def __init__(self, router: Router, subject_of: SubjectOf | None) -> None:
        self._inbound = Inbound(router, self._unrouted_scope)
        self.check = AppCheck(self._inbound, endpoints, "litestar", prepare=self._watch)
        self.core = AsgiCore(self._inbound, self._resolver_of, subject_of)
        self._config = router.config
        self._rules = PathRules(router.config.endpoints)
        self._known = RequestMarks(router.config)
        self._mounts: dict[int, tuple[ASGIRouteHandler, frozenset[str]]] = {}
        self._app: Litestar | None = None

    def _watch(self, app: Litestar) -> None:
        """Have requests known that Litestar finds no handler for."""
        self._app = app
        if not isinstance(app.asgi_handler, Outermost):
            app.asgi_handler = Outermost(app.asgi_handler)

    def _unrouted_scope(self) -> LanewiseScope | None:
        """The scope of a request that no handler was found for: a page for a 404 or 405 may ask a model, too."""
        asgi = _serving.get()
        if asgi is None or asgi.get("litestar_app") is not self._app or "route_handler" in asgi:
            return None
        known = asgi.get(SCOPE_KEY)
        if isinstance(known, LanewiseScope):
            return known
        scope = asgi[SCOPE_KEY] = self._inbound.scope(
            path=asgi["path"], root_path=asgi.get("root_path", ""), marks_resolver=self._marks_of_all
        )
        return scope

    def _marks_of_all(self) -> frozenset[str] | None:
        """Nothing tells what the request is about: it counts as sensitive where anything in the app is."""
        return marks_of(endpoints(cast("Litestar", self._app)), self._config) or None

    def admit(self, asgi: AsgiScope) -> None:
        """Refuse every request of an app that did not pass the check; make it, where no lifespan was run."""
        if not self.check.is_done:
            self.check.instead_of_start(asgi["litestar_app"])
        if self.check.refused is not None:
            raise self.check.refusal()

    def raise_by_path(self, asgi: AsgiScope) -> None:
        """Add the path rules for what a mounted app serves: Litestar leaves it only the path inside of the mount."""
        handler = asgi["route_handler"]
        if not isinstance(handler, ASGIRouteHandler) or not handler.is_mount:
            return
        prefixes = self._prefixes(handler, asgi["litestar_app"])
        paths = (path for prefix in prefixes for path in (prefix, prefix + asgi["path"]))
        found = [self._rules.match(path, asgi.get("root_path", "")) for path in paths]
        if any(found):
            state_of(asgi[SCOPE_KEY]).add_marks(frozenset().union(*found) - {STANDARD})

    def _prefixes(self, handler: ASGIRouteHandler, app: Litestar) -> frozenset[str]:
        known = self._mounts.get(id(handler))
        if known is None:
            paths = (route.path for route in app.routes if getattr(route, "route_handler", None) is handler)
            known = self._mounts[id(handler)] = (handler, frozenset(path.rstrip("/") for path in paths))
        return known[1]

    def _resolver_of(self, asgi: AsgiScope) -> Callable[[], frozenset[str] | None]:
        return partial(self._marks_of, asgi)

    def _marks_of(self, asgi: AsgiScope) -> frozenset[str] | None:
        """The marks of the handler that a request was routed to, and the path rules for the handler's own path."""
        handler = asgi.get("route_handler")
        if not isinstance(handler, BaseRouteHandler):
            return None
        app, path = asgi["litestar_app"], asgi.get("path_template") or ""
        if isinstance(handler, ASGIRouteHandler):  # routes may be added to what is mounted
            provisional = provisional_marks(handler) & self._config.sensitive.keys()
            found = marks_of(_on_the_way(handler, app, path), self._config)
            if provisional and not self._is_handed_on(asgi):
                return provisional | (found or frozenset())
            return found
        return self._known.of((id(handler), path), handler, lambda: _on_the_way(handler, app, path))

    def _is_handed_on(self, asgi: AsgiScope) -> bool:
        """Whether another adapter, further inside, serves the request by now."""
        requests = [state for state in entered_states() if state.is_request]
        resolver = requests[-1].marks_resolver if requests else None
        return resolver is not None and getattr(resolver, "args", None) != (asgi,)

    async def echo(self, message: Message, scope: Scope) -> None:
        """Echo the request's id also where no handler answers: on a 404, say, or when a middleware refuses."""
        if message["type"] == "http.response.start":
            self.core.echo(cast("AsgiScope", scope), cast("AsgiScope", message))


def _on_the_way(handler: BaseRouteHandler, app: Litestar, path: str) -> Iterator[Endpoint]:
    """What a request comes to. Litestar's own answer to OPTIONS has the marks of what it answers for."""
    yield Endpoint("", path, (), tuple(handler_sources(handler)))
    if is_litestars(handler):
        for route in app.routes:
            here = handlers_on(route)
            if any(each is handler for each in here):
                yield from (Endpoint("", path, (), tuple(handler_sources(each))) for each in here)


class Outermost:
    """Around all of an app: so that what runs before the routing, or without any, is known to be part of a request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, as the app would."""
        token = _serving.set(cast("AsgiScope", scope))
        try:
            await self.app(scope, receive, send)
        finally:
            _serving.reset(token)


class _Theirs(Exception):
    """Carries an error, which the app has a handler for, out of the scope to where Litestar asks that handler."""

    def __init__(self, error: RoutingError) -> None:
        self.error = error


@dataclass
class Middleware:
    """Runs after Litestar has routed, so the handler is known; guards and the app's other middleware lie inside."""

    app: ASGIApp
    installation: Installation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or WebSocket in a scope of its own. Raises ConfigError: the endpoints did not pass."""
        asgi = cast("AsgiScope", scope)
        self.installation.admit(asgi)
        try:
            core = self.installation.core
            await core.serve(self._inside, asgi, core.begin(asgi), cast("Any", receive), cast("Any", send))
        except _Theirs as carrier:
            raise carrier.error from None

    async def _inside(self, asgi: AsgiScope, receive: Any, send: Any) -> None:
        self.installation.raise_by_path(asgi)
        try:
            await self.app(cast("Scope", asgi), receive, send)
        except RoutingError as error:  # of a middleware: those of handlers were answered further inside
            if asgi["type"] == "http" and handler_of_the_app(asgi, error) is not None:
                raise _Theirs(error) from None
            raise
        except LitestarException as error:
            cause = broken_stream(error)
            if cause is None:
                raise
            raise cause from error
