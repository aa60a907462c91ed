"""What views work with: the router, where past calls are, and how a page is made with its links to the others."""

from __future__ import annotations

import os
from typing import Any, Protocol

import msgspec

from lanewise.config.environment.credentials import look_up_keys
from lanewise.router import Router
from lanewise.types import Call, Score
from lanewise.types.past_calls import CallFilter, CallPage, PageKey, RecentFacts
from lanewise.web.dashboard.ledger_calls import LedgerCalls
from lanewise.web.dashboard.page_request import PageRequest, PageResponse, Refused, Viewer
from lanewise.web.dashboard.recent_calls import RecentCalls
from lanewise.web.dashboard.request_guard import csrf_cookie, csrf_token
from lanewise.web.dashboard.templates import render

__all__ = ["Link", "PastCalls", "ViewContext"]


class PastCalls(Protocol):
    """Where past calls are looked up: the ledger, or what this process remembers. Raises LedgerSilent."""

    def facts(self, since: Any, now: Any) -> RecentFacts:
        """What happened since a moment of the last hours."""
        ...

    def page(self, wanted: CallFilter, after: PageKey | None, size: int) -> CallPage:
        """A page of calls, newest first."""
        ...

    def calls(self, wanted: str) -> list[Call]:
        """The calls of a request, or the one with this id."""
        ...

    def scores(self, call_id: str) -> list[Score]:
        """The scores of a call."""
        ...


class Link(msgspec.Struct, frozen=True):
    """A place that the head of each page links to."""

    name: str
    path: str


class ViewContext:
    """What views work with: the router, where past calls are, and how a page is made."""

    def __init__(self, router: Router, trace_url: str | None) -> None:
        self.router = router
        self.trace_url = trace_url
        self._ledger: LedgerCalls | None = None
        self._recent: RecentCalls | None = None
        if router.config.router.ledger is None:
            recent = self._recent = RecentCalls()
            router.add_sink("the page", lambda: recent)
        else:
            LedgerCalls.load()

    @property
    def past(self) -> PastCalls:
        """Where past calls are looked up."""
        return self._recent or self.ledger

    @property
    def has_ledger(self) -> bool:
        """Whether the config names a ledger."""
        return self._recent is None

    @property
    def ledger(self) -> LedgerCalls:
        """The ledger that the config names. Raises Refused: its URL is not to be had."""
        if self._ledger is None:
            credentials, _ = look_up_keys(self.router.config, os.environ)
            if credentials.ledger is None:
                raise Refused(503, "The config names a ledger, and its address is not to be had here.")
            self._ledger = LedgerCalls(credentials.ledger)
        return self._ledger

    def page(
        self, template: str, request: PageRequest, viewer: Viewer, *, status: int = 200, **values: Any
    ) -> PageResponse:
        """A whole page. Its links go from where it is, so that it does not matter where the page is mounted."""
        links = [Link("Now", ""), Link("Calls", "calls")]
        links += [Link("Reviews", "reviews")] if viewer.reviewer is not None else []
        links += [Link("By hand", "by-hand")] if viewer.operator is not None else []
        headers = [("Content-Type", "text/html; charset=utf-8")]
        token = ""
        if viewer.reviewer is not None or viewer.operator is not None:
            token = csrf_token(request)
            headers.append(("Set-Cookie", csrf_cookie(request, token)))
        html = render(
            template,
            up="../" * request.path.count("/"),
            links=links,
            path=request.path,
            viewer=viewer,
            csrf=token,
            has_ledger=self.has_ledger,
            **values,
        )
        return PageResponse(status=status, headers=tuple(headers), body=str(html).encode())
