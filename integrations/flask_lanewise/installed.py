"""Lanewise in one app: makes the scopes of its requests, and refuses them while the app's marks can't hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from flask import Flask, current_app, g, has_app_context, has_request_context, request

from flask_lanewise.marks import EndpointMarks
from lanewise import Config, ConfigError, NotInScope, Router, RouterClosed, Scope
from lanewise.web import Inbound, PathRules, require_real_threads, state_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["KEY", "Installed", "Subject", "installed_here", "installed_in"]

KEY: Final = "lanewise"
"""Under which name the app keeps it, in ``app.extensions``."""

Subject = Callable[[], object]
"""The user or session of the request that is served, or ``None``; text is made of anything else."""
Audit = Callable[[Flask, Config], None]

_NOT_INSTALLED: Final = (
    "lanewise is not installed in this Flask app: call `Lanewise(app, 'lanewise.toml')`, or "
    "`ai.init_app(app, router)` where the app is made"
)
_NO_REQUEST: Final = (
    "the AI client was asked for outside of a request, so nothing tells whose call it is and whether it is sensitive. "
    "In a job or a command open a scope: `with ai.router.scope(detached=True):`. In a thread of your own take the "
    "request's along: `executor.submit(ai.scope.wrap(function))`"
)


class Installed:
    """What an app has of lanewise. ``audit`` is asked at a process's first request, when all routes are there."""

    def __init__(self, app: Flask, router: Router, subject: Subject | None, audit: Audit) -> None:
        self.inbound = Inbound(router, self._scope_by_flask)
        self._app = app
        self._audit = audit
        self._audited = False
        self._failure: ConfigError | RuntimeError | None = None
        self._rules = PathRules(router.config.endpoints)
        self._marks = EndpointMarks(app, self._rules, self.config.sensitive)
        self._marks_of_others: WeakKeyDictionary[Flask, EndpointMarks] = WeakKeyDictionary()
        self._late_subject = None if subject is None else _as_text(subject)
        self._scope_key = f"lanewise.scope.{id(self)}"  # its own: another app may be called with the same environ
        self._id_key = _environ_key(self.inbound.request_id_header)

    @property
    def config(self) -> Config:
        """The router's config."""
        return self.inbound.config

    # -- requests --------------------------------------------------------------------------------------------------

    def begin(self, environ: WSGIEnvironment) -> Scope:
        """Make the scope of a request, and leave it in its environ."""
        request_id = environ.get(self._id_key)
        traceparent = environ.get("HTTP_TRACEPARENT")
        path, root_path = environ.get("PATH_INFO", ""), environ.get("SCRIPT_NAME", "")
        scope = environ[self._scope_key] = self.inbound.scope(
            path=path if path.isascii() else _decoded(path),
            root_path=root_path if root_path.isascii() else _decoded(root_path),
            request_ids=() if request_id is None else (request_id,),
            traceparents=() if traceparent is None else (traceparent,),
            marks_resolver=lambda: self._marks_here(environ),
            late_subject=self._late_subject,
        )
        return scope

    def enforce(self) -> None:
        """Before anything of the app sees a request: its scope falls under what its endpoint is marked with."""
        here = request._get_current_object()  # type: ignore[attr-defined]  # the proxy costs more than the rest of this
        scope = here.environ.get(self._scope_key) or self.scope_of_request()
        if here.url_rule is None:
            return  # a page for what is not found: looked up if it asks a model
        state_of(scope).settle_marks(self._marks.of(here))

    def scope_of_request(self) -> Scope:
        """The scope of the request that is being served. Raises NotInScope: none is. ConfigError: marks can't hold."""
        scope = g.get("_lanewise_scope") if has_app_context() else None
        if scope is None:
            if not has_request_context():
                raise NotInScope(_NO_REQUEST)
            scope = request.environ.get(self._scope_key) or self._begin_by_hand()
            g._lanewise_scope = scope
        assert isinstance(scope, Scope)
        return scope

    def _scope_by_flask(self) -> Scope | None:
        """The scope of the request whose context this runs in, in a thread by ``copy_current_request_context`` too."""
        if not has_request_context() or current_app._get_current_object() is not self._app:  # type: ignore[attr-defined]
            return None
        return self.scope_of_request()

    def _begin_by_hand(self) -> Scope:
        """In a request context that no request made: ``app.test_request_context()``."""
        failure = self.failure()
        if failure is not None:
            raise failure
        return self.begin(request.environ)

    def _marks_here(self, environ: WSGIEnvironment) -> frozenset[str] | None:
        """The marks of a request, for calls that are made before anything could be enforced."""
        if has_request_context():
            here = request._get_current_object()  # type: ignore[attr-defined]
            if here.environ is environ:
                return self._marks_in(current_app._get_current_object()).of(here)  # type: ignore[attr-defined]
        return self._marks.ahead(environ)

    def _marks_in(self, app: Flask) -> EndpointMarks:
        """The marks of the app that serves: a WSGI middleware may have passed the request on to another one."""
        if app is self._app:
            return self._marks
        found = self._marks_of_others.get(app)
        if found is None:
            found = self._marks_of_others[app] = EndpointMarks(app, self._rules, self.config.sensitive)
        return found

    def look_into(self, inner: object) -> None:
        """Have other apps looked for in what is called with each request."""
        if getattr(inner, "__self__", None) is not self._app:
            self._marks.inner = inner

    # -- marks that can't hold ---------------------------------------------------------------------------------------

    def failure(self) -> ConfigError | RuntimeError | None:
        """Why every request is refused, if so: marks that can't hold, keys or real threads that are missing."""
        if not self._audited:
            try:
                self.inbound.check_keys()
            except RouterClosed:
                pass  # the calls will say so
            except ConfigError as error:
                self._failure = error
            try:
                self._audit(self._app, self.config)
            except ConfigError as error:
                self._failure = error
            try:
                require_real_threads()  # a server may have patched them after the app was made
            except RuntimeError as error:
                self._failure = error
            self._audited = True
        return self._failure


def installed_in(app: Flask) -> Installed:
    """What an app has of lanewise. Raises RuntimeError: nothing."""
    installed = app.extensions.get(KEY)
    if not isinstance(installed, Installed):
        raise RuntimeError(_NOT_INSTALLED)
    return installed


def installed_here() -> Installed:
    """What the current app has. Raises NotInScope: there is no current app. RuntimeError: it has nothing."""
    if not has_app_context():
        raise NotInScope(_NO_REQUEST)
    return installed_in(current_app)


def _environ_key(header: str) -> str:
    return "HTTP_" + header.upper().replace("-", "_")


def _decoded(text: str) -> str:
    """Text of a WSGI environ as what was meant: its characters stand for bytes (PEP 3333)."""
    return text.encode("latin-1", "replace").decode("utf-8", "replace")


def _as_text(subject: Subject) -> Callable[[], str | None]:
    def ask() -> str | None:
        found = subject()
        return None if found is None else str(found)

    return ask
