"""The page as all mounts share it: who may see what, which view answers a path, and the headers of every answer.

A mount speaks its framework's words and takes these steps of :class:`DashboardCore`: ``check``; the app's own functions
(``allow``, ``may_review``, ``may_operate``), whose answers are ``is_allowed`` and ``viewer``; the body, where there is
one; then ``serve``, which blocks for as long as the ledger takes. What ``refusal`` makes of a Refused is sent instead.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from lanewise.router import Router
from lanewise.web.dashboard.page_request import SAFE, HeaderPairs, PageRequest, PageResponse, Refused, Viewer
from lanewise.web.dashboard.page_routes import Views
from lanewise.web.dashboard.request_guard import check_host, host_names
from lanewise.web.dashboard.templates import environment, render

__all__ = ["Answers", "DashboardCore", "DashboardMount", "is_allowed", "not_allowed"]

Answers = Callable[..., object]
"""A function of the app's that is asked about a request; where the framework allows it, an async one too."""
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", _POLICY),
    ("X-Frame-Options", "DENY"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),  # with no-referrer, browsers send a form's Origin as "null"
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("X-Robots-Tag", "noindex"),
)


class AppFunctions(NamedTuple):
    """What the app answers about a request: whether its sender may see the page, and who decides and operates."""

    allow: Answers
    may_review: Answers | None
    may_operate: Answers | None


class DashboardCore:
    """Serves the page of one router. It knows no framework."""

    def __init__(self, views: Views, functions: AppFunctions, hosts: frozenset[str] | None) -> None:
        self.allow, self.may_review, self.may_operate = functions
        self._hosts = hosts
        self._views = views

    def check(self, request: PageRequest) -> None:
        """Raise Refused: the request is none that anybody could be shown something for."""
        check_host(request, self._hosts)
        if request.method not in (*SAFE, "POST"):
            raise Refused(405, "This page is looked at (GET), and its forms are sent (POST).")

    def viewer(self, reviewer: object = None, operator: object = None) -> Viewer:
        """Who looks, by what ``may_review`` and ``may_operate`` answered. Raises TypeError: one was no name."""
        return Viewer(_name(reviewer, "may_review"), _name(operator, "may_operate"))

    def serve(self, request: PageRequest, viewer: Viewer, body: bytes = b"") -> PageResponse:
        """The answer to a request of somebody who is allowed. Blocking."""
        try:
            return self._views.answer(request, viewer, body)
        except Refused as refused:
            return self.refusal(refused)

    def refusal(self, refused: Refused) -> PageResponse:
        """The answer to a refused request."""
        headers = [("Content-Type", "text/html; charset=utf-8")]
        if refused.status == 405:
            headers.append(("Allow", "GET, HEAD, POST"))
        html = render("refused.html", message=str(refused), status=refused.status)
        return PageResponse(status=refused.status, headers=tuple(headers), body=str(html).encode())

    def headers(self, response: PageResponse) -> HeaderPairs:
        """All headers of an answer."""
        return [*response.headers, ("Content-Length", str(len(response.body))), *_HEADERS]


class DashboardMount:
    """What all mounts are made of: the page of a router, and the app's functions that say who may do what.

    Raises TypeError: ``allow`` is no function, or one of the others is none. ImportError: Jinja is not installed.
    """

    def __init__(
        self,
        router: Router,
        *,
        allow: Answers,
        may_review: Answers | None = None,
        may_operate: Answers | None = None,
        hosts: Collection[str] | None = None,
        trace_url: str | None = None,
    ) -> None:
        if not isinstance(router, Router):
            raise TypeError(f"the page shows a Router, not {type(router).__name__}")
        if not callable(allow):
            raise TypeError("the page needs `allow`: a function of the request that says who may see it")
        for name, function in (("may_review", may_review), ("may_operate", may_operate)):
            if function is not None and not callable(function):
                raise TypeError(f"`{name}` is a function of the request that gives the name of who decides, or None")
        environment()
        functions = AppFunctions(allow, may_review, may_operate)
        self._core = DashboardCore(Views(router, trace_url), functions, host_names(hosts))


def is_allowed(answer: object) -> bool:
    """What ``allow`` answered. Raises TypeError: a coroutine, which is no answer; or an answer for the caller (a
    redirect to a login, an error that was not raised), which would count as a yes."""
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise TypeError("`allow` gave something to be awaited where nothing can be awaited")
    if isinstance(answer, tuple | BaseException) or hasattr(answer, "status_code"):
        raise TypeError(f"`allow` says who may see the page, by true or false; it gave a {type(answer).__name__}")
    return bool(answer)


def not_allowed() -> Refused:
    """The refusal of somebody whom ``allow`` does not let in."""
    return Refused(403, "You may not see this page.")


def _name(answer: object, asked: str) -> str | None:
    if inspect.iscoroutine(answer):
        answer.close()
    if answer is None or answer is False or answer == "":
        return None
    if not isinstance(answer, str):
        raise TypeError(
            f"`{asked}` gives the name of who decides, which is kept with the decision, or None; not a "
            f"{type(answer).__name__}"
        )
    return answer
