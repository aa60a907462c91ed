"""The page for WSGI frameworks: a request comes with its environ, and is answered in the thread that it came in."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lanewise.web.dashboard.dashboard_core import Answers, DashboardMount, is_allowed, not_allowed
from lanewise.web.dashboard.page_request import (
    MOST_BYTES,
    HeaderPairs,
    PageRequest,
    PageResponse,
    Refused,
    headers_of,
    is_loopback,
)
from lanewise.web.wsgi_core import wsgi_headers

__all__ = ["WsgiDashboard"]

Environ = Mapping[str, object]


class WsgiDashboard(DashboardMount):
    """The page of a router, for an adapter to mount. The arguments are those of :class:`lanewise.web.Dashboard`.

    Raises TypeError: there is no ``allow``. ImportError: Jinja is missing (the extra ``dashboard``).

    Example::

        status, headers, body = page.serve(environ, "calls", read=request.stream.read, tell=tell)
    """

    def serve(
        self, environ: Environ, path: str, *, read: Callable[[int], bytes], tell: Callable[[Answers], object]
    ) -> tuple[int, HeaderPairs, bytes]:
        """Answer a request: its status, headers and body.

        ``path`` is what follows the page's place, ``read`` reads some of the body, ``tell`` asks a function of the
        app's of the request.
        """
        try:
            response = self._answer(environ, path, read, tell)
        except Refused as refused:
            response = self._core.refusal(refused)
        return response.status, self._core.headers(response), response.body

    def _answer(
        self, environ: Environ, path: str, read: Callable[[int], bytes], tell: Callable[[Answers], object]
    ) -> PageResponse:
        core = self._core
        request = _page_request(environ, path)
        core.check(request)
        if not is_allowed(tell(core.allow)):
            raise not_allowed()
        viewer = core.viewer(
            None if core.may_review is None else tell(core.may_review),
            None if core.may_operate is None else tell(core.may_operate),
        )
        return core.serve(request, viewer, _body(read) if request.method == "POST" else b"")


def _body(read: Callable[[int], bytes]) -> bytes:
    body = b""
    while piece := read(MOST_BYTES + 1 - len(body)):
        body += piece
        if len(body) > MOST_BYTES:
            raise Refused(413, "The form is too long.")
    return body


def _page_request(environ: Environ, path: str) -> PageRequest:
    sent = str(environ.get("PATH_INFO", ""))
    before_proxies = environ.get("werkzeug.proxy_fix.orig")
    first = before_proxies.get("REMOTE_ADDR") if isinstance(before_proxies, Mapping) else None
    ends = (environ.get("REMOTE_ADDR"), environ.get("SERVER_NAME"), first)
    return PageRequest(
        method=str(environ["REQUEST_METHOD"]),
        path=path.removeprefix("/"),
        query=str(environ.get("QUERY_STRING", "")),
        headers=headers_of(wsgi_headers(environ)),
        scheme=str(environ.get("wsgi.url_scheme", "http")),
        place=sent.rpartition("/")[2] if not path else "",
        is_bare=not path and not sent.endswith("/"),
        local=any(is_loopback(end) for end in ends),
    )
