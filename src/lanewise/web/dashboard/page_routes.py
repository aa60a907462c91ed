"""What answers which path: a view, or a file of the page's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import quote

from lanewise.router import Router
from lanewise.web.dashboard.page_request import SAFE, PageRequest, PageResponse, Refused, Viewer, form_of
from lanewise.web.dashboard.request_guard import check_form
from lanewise.web.dashboard.views.by_hand_view import by_hand, change
from lanewise.web.dashboard.views.call_view import one_call
from lanewise.web.dashboard.views.calls_view import list_of_calls
from lanewise.web.dashboard.views.now_view import now
from lanewise.web.dashboard.views.reviews_view import case_of_review, decide, list_of_reviews
from lanewise.web.dashboard.views.view_context import ViewContext

__all__ = ["Views"]

_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,200}")
"""Ids of calls, requests and cases."""


FOLDER: Final = Path(__file__).parent / "static"
PREFIX: Final = "static/"
_TYPES: Final = {
    "dashboard.css": "text/css; charset=utf-8",
    "dashboard.js": "text/javascript; charset=utf-8",
    "htmx.min.js": "text/javascript; charset=utf-8",
    "shared.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "uplot.min.css": "text/css; charset=utf-8",
    "uplot.min.js": "text/javascript; charset=utf-8",
}
"""By name: what is not listed is not served, whatever a path says."""


class Views:
    """All views of one router's page."""

    def __init__(self, router: Router, trace_url: str | None) -> None:
        self._context = ViewContext(router, trace_url)

    def answer(self, request: PageRequest, viewer: Viewer, body: bytes) -> PageResponse:
        """The answer to a request. Raises Refused."""
        context = self._context
        place, _, rest = request.path.partition("/")
        if request.is_bare:
            return _redirected(f"./{quote(request.place, safe='')}/" if request.place else "./")
        if request.method in SAFE:
            file = _static_file(request.path)
            if file is not None:
                return file
            if request.path == "":
                return now(context, request, viewer)
            if request.path == "calls":
                return list_of_calls(context, request, viewer)
            if place == "calls" and _ID.fullmatch(rest):
                return one_call(context, request, viewer, rest)
            if request.path == "reviews":
                return list_of_reviews(context, request, viewer)
            if place == "reviews" and _ID.fullmatch(rest):
                return case_of_review(context, request, viewer, rest)
            if request.path == "by-hand":
                return by_hand(context, request, viewer)
        elif place == "reviews" and _ID.fullmatch(rest):
            return decide(context, request, viewer, rest, _checked(request, body))
        elif request.path == "by-hand":
            return change(context, request, viewer, _checked(request, body))
        raise Refused(404, "There is nothing here.")


def _checked(request: PageRequest, body: bytes) -> Mapping[str, str]:
    """The form that was sent. Raises Refused: it came from no page of ours."""
    form = form_of(request, body)
    check_form(request, form)
    return form


def _redirected(where: str) -> PageResponse:
    return PageResponse(status=307, headers=(("Location", where),))


def _static_file(path: str) -> PageResponse | None:
    """A file by its path below the page; ``None``: there is none."""
    name = path.removeprefix(PREFIX)
    if not path.startswith(PREFIX) or name not in _TYPES:
        return None
    return PageResponse(headers=(("Content-Type", _TYPES[name]),), body=_content(name))


@cache
def _content(name: str) -> bytes:
    return (FOLDER / name).read_bytes()
