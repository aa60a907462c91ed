"""The Flask extension: installs lanewise in an app, and has the clients of the current request."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from flask import Flask, current_app, has_request_context
from flask.cli import FlaskGroup, with_appcontext

from flask_lanewise.audit import endpoints_of, watch_rules
from flask_lanewise.installed import KEY, Installed, Subject, installed_here
from flask_lanewise.wsgi import RequestScopes, answer_errors
from lanewise import Router, Scope, current_scope
from lanewise.cli.framework_commands import app_commands, show_endpoints
from lanewise.config import resolve_credentials
from lanewise.web import require_real_threads, router_of

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

__all__ = ["Lanewise"]


class Lanewise:
    """Routed OpenAI clients in the requests of Flask apps.

    ``router`` is a Router or the path of its config; without one, ``app.config["LANEWISE_CONFIG"]`` is taken
    (``lanewise.toml`` if that is not set). ``subject`` tells whose request it is, a user or a session: it is called
    in the request before its first AI call, and only its digest is used.

    A router that the app made is the app's to open and close; otherwise it opens at its first call in each process and
    ends with it. Nothing is started before, so servers may fork (gunicorn's ``--preload``).

    Raises ConfigError: the config, or a mark on an endpoint that is there already, is wrong, or a key is missing (not
    asked for by commands of ``flask`` other than ``run``). RuntimeError: it is installed in the app already, or gevent
    or eventlet has patched threads. An endpoint that is added later with an unknown category raises ConfigError itself.

    Example::

        ai = Lanewise(app, "lanewise.toml", subject=lambda: session.get("user"))

        ai = Lanewise()  # or where the app is made later
        ai.init_app(app, router)
    """

    def __init__(
        self, app: Flask | None = None, router: Router | str | Path | None = None, *, subject: Subject | None = None
    ) -> None:
        self._subject = subject
        if app is not None:
            self.init_app(app, router)
        elif router is not None:
            raise TypeError("a router is for an app: Lanewise(app, router), or ai.init_app(app, router) later")

    def init_app(
        self, app: Flask, router: Router | str | Path | None = None, *, subject: Subject | None = None
    ) -> None:
        """Install lanewise in an app: it may be several, with a router each. Raises as the class does."""
        if KEY in app.extensions:
            raise RuntimeError(
                "lanewise is installed in this Flask app already: make one Lanewise for it, and call init_app once"
            )
        require_real_threads()
        made = router_of(app.config.setdefault("LANEWISE_CONFIG", "lanewise.toml") if router is None else router)
        installed = Installed(app, made, subject or self._subject)
        installed.check.run(app, is_whole=False)
        if not _serves_a_command():
            resolve_credentials(made.config, os.environ)
        made.preload()  # Flask has no start: a worker's first request would take that time
        app.extensions[KEY] = installed
        app.before_request_funcs.setdefault(None, []).insert(0, installed.enforce)
        app.wsgi_app = RequestScopes(app, installed)  # type: ignore[method-assign]
        answer_errors(app, installed)
        app.cli.add_command(app_commands(made.config, _endpoints_command))
        if not _serves_a_command():
            watch_rules(app, made.config)

    @property
    def scope(self) -> Scope:
        """The scope of this request, or in a job the one that was opened with ``with ai.router.scope(detached=True):``.

        Raises NotInScope: there is neither. RuntimeError: lanewise is not installed in the app.
        """
        if not has_request_context():
            opened = current_scope()
            if opened is not None:
                return opened
        return installed_here().scope_of_request()

    @property
    def openai(self) -> OpenAI:
        """The ``openai.OpenAI`` of this request: its ``model`` arguments name tasks. Raises as :attr:`scope` does.

        It stays usable after the request's context has gone, in streaming responses and in threads.
        """
        return self.scope.openai

    @property
    def async_openai(self) -> AsyncOpenAI:
        """The ``openai.AsyncOpenAI`` of this request, for async views. Raises as :attr:`scope` does."""
        return self.scope.async_openai

    @property
    def router(self) -> Router:
        """The router of the current app. Raises RuntimeError: lanewise is not installed in it."""
        return installed_here().inbound.router


def _serves_a_command() -> bool:
    """Whether the app is made for a command of ``flask`` other than ``run``, which may do without keys."""
    context = click.get_current_context(silent=True)
    return context is not None and isinstance(context.find_root().command, FlaskGroup) and context.info_name != "run"


@click.command("endpoints")
@with_appcontext
def _endpoints_command() -> None:
    """Show every endpoint of this app, whether it is sensitive, and why.

    Exit code 1 if marks can't hold: the app would refuse every request.
    """
    show_endpoints(*endpoints_of(current_app))
