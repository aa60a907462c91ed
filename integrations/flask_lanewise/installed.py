"""Lanewise in one app: makes the scopes of its requests, and refuses them while the app's marks can't hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from flask import Flask, current_app, g, has_app_context, has_request_context, request

from flask_lanewise.listing import EndpointMarks, endpoints
from lanewise import Config, ConfigError, NotInScope, Router, Scope
from lanewise.web import AppCheck, Inbound, require_real_threads, state_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["KEY", "Installed", "Subject", "installed_here", "installed_in"]

KEY: Final = "lanewise"
"""Under which name the app keeps it, in ``app.extensions``."""

Subject = Callable[[], object]
"""The user or session of the request that is served, or ``None``; text is made of anything else."""

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
    """What an app has of lanewise."""

    def __init__(self, app: Flask, router: Router, subject: Subject | None) -> None:
        self.inbound = Inbound(router, self._scope_by_flask)
        self.check = AppCheck(self.inbound, endpoints, "flask")
        self._app = app
        self._failure: ConfigError | RuntimeError | None = None
        self._marks = EndpointMarks(app, self.config)
        self._marks_of_others: WeakKeyDictionary[Flask, EndpointMarks] = WeakKeyDictionary()
        self._late_subject = None if subject is None else _as_text(subject)
        self._scope_key = f"lanewise.scope.{id(self)}"  # its own: another app may be called with the same environ

    @property
    def config(self) -> Config:
        """The router's config."""
        return self.inbound.config

    # -- requests --------------------------------------------------------------------------------------------------

    def begin(self, environ: WSGIEnvironment) -> Scope:
        """Make the scope of a request, and leave it in its environ."""
        scope = environ[self._scope_key] = self.inbound.wsgi_scope(
            environ, marks_resolver=lambda: self._marks_here(environ), late_subject=self._late_subject
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
            found = self._marks_of_others[app] = EndpointMarks(app, self.config)
        return found

    def look_into(self, inner: object) -> None:
        """Have other apps looked for in what is called with each request."""
        if getattr(inner, "__self__", None) is not self._app:
            self._marks.inner = inner

    # -- marks that can't hold ---------------------------------------------------------------------------------------

    def failure(self) -> ConfigError | RuntimeError | None:
        """Why every request is refused, if so: marks that can't hold, keys or real threads that are missing."""
        if not self.check.is_done:
            self.check.at_first_request(self._app)  # when all routes are there
            self._failure = self.check.refused
            try:
                require_real_threads()  # a server may have patched them after the app was made
            except RuntimeError as error:
                self._failure = error
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


def _as_text(subject: Subject) -> Callable[[], str | None]:
    def ask() -> str | None:
        found = subject()
        return None if found is None else str(found)

    return ask
