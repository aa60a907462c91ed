"""Makes the scope of an inbound request: by its request id, its trace context, and the path's sensitivity."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lanewise.config import Config
from lanewise.router import Router, scopes_of
from lanewise.scope import Scope
from lanewise.web.marks.mark_search import STANDARD
from lanewise.web.marks.path_rules import PathRules

__all__ = ["Inbound", "router_of", "trace_headers"]

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(?:-[\x21-\x7e]{1,200})?")
"""The header of W3C Trace Context, of this and later versions."""


class Inbound:
    """Makes the scopes of an app's inbound requests. One for each installed adapter.

    ``find`` finds the scope of the request that is being served by what the framework knows, where no context tells.

    Raises ConfigError: the router's config file is wrong.
    """

    def __init__(self, router: Router, find: Callable[[], Scope | None] | None = None) -> None:
        settings = router.config.router
        self.router = router
        self.request_id_header = settings.request_id_header
        self.tells_callers = settings.tell_callers
        self._rules = PathRules(router.config.endpoints)
        self._undeclared = None if settings.undeclared == STANDARD else settings.undeclared
        self._scopes = scopes_of(router)
        self._id_variable = "HTTP_" + self.request_id_header.upper().replace("-", "_")
        self._scopes.require(find)

    @property
    def config(self) -> Config:
        """The router's config."""
        return self.router.config

    def check_keys(self) -> None:
        """Look up the providers' keys, where the framework has no start to open the router at.

        Raises ConfigError: keys are missing. RouterClosed: it was closed, and not opened again.
        """
        self._scopes.check_keys()

    def scope(
        self,
        *,
        path: str,
        root_path: str = "",
        request_ids: Sequence[str | bytes] = (),
        traceparents: Sequence[str | bytes] = (),
        subject: str | None = None,
        marks_resolver: Callable[[], frozenset[str] | None] | None = None,
        late_subject: Callable[[], str | None] | None = None,
    ) -> Scope:
        """The scope of a request. ``path`` is decoded once; headers are given as often as they came.

        ``marks_resolver`` gives the marks of the endpoint, or ``None`` while it is not known; it is asked at each call.
        ``late_subject`` gives the subject; it is asked once, before the first call.
        """
        categories = self._rules.match(path, root_path)
        return self._scopes.inbound(
            request_ids,
            subject=subject,
            sensitive=categories - {STANDARD} if categories else categories,
            undeclared=None if categories else self._undeclared,
            forwarded=trace_headers(traceparents) if traceparents else (),
            marks_resolver=marks_resolver,
            late_subject=late_subject,
        )

    def wsgi_scope(
        self,
        environ: Mapping[str, Any],
        *,
        marks_resolver: Callable[[], frozenset[str] | None] | None = None,
        late_subject: Callable[[], str | None] | None = None,
    ) -> Scope:
        """The scope of a request by its WSGI environ. The arguments are those of :meth:`scope`."""
        request_id = environ.get(self._id_variable)
        traceparent = environ.get("HTTP_TRACEPARENT")
        path, root_path = environ.get("PATH_INFO", ""), environ.get("SCRIPT_NAME", "")
        return self.scope(
            path=path if path.isascii() else _decoded(path),
            root_path=root_path if root_path.isascii() else _decoded(root_path),
            request_ids=() if request_id is None else (request_id,),
            traceparents=() if traceparent is None else (traceparent,),
            marks_resolver=marks_resolver,
            late_subject=late_subject,
        )


def _decoded(text: str) -> str:
    """Text of a WSGI environ as what was meant: its characters stand for bytes (PEP 3333)."""
    return text.encode("latin-1", "replace").decode("utf-8", "replace")


def router_of(given: Router | str | Path) -> Router:
    """The router that an adapter was given, or the one by the config file at a path.

    Raises ConfigError: the file has mistakes. TypeError: neither a router nor a path.
    """
    if isinstance(given, Router):
        return given
    if isinstance(given, str | Path):
        return Router.from_file(given)
    raise TypeError(f"lanewise takes a Router or the path of a config file, not {type(given).__name__}")


def trace_headers(traceparents: Sequence[str | bytes]) -> tuple[tuple[str, str], ...]:
    if len(traceparents) != 1:
        return ()
    value = traceparents[0]
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    return (("traceparent", text),) if _TRACEPARENT.fullmatch(text) else ()
