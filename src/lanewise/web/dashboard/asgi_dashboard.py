"""The page as an ASGI app, to be mounted in Starlette, FastAPI or Litestar, or served alone."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, Self, cast
from urllib.parse import unquote

import anyio.lowlevel
import anyio.to_thread

from lanewise.web.dashboard.dashboard_core import Answers, DashboardCore, DashboardMount, is_allowed, not_allowed
from lanewise.web.dashboard.page_request import (
    MOST_BYTES,
    PageRequest,
    PageResponse,
    Refused,
    Viewer,
    headers_of,
    is_loopback,
)

__all__ = ["Dashboard"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

THREADS: Final = 4
"""Pages that are made at a time in one loop: none of the app's own threads is taken."""
MOST_WAITING: Final = 32
"""Requests that wait for one of them; more than that are refused."""

_threads: Final = anyio.lowlevel.RunVar[anyio.CapacityLimiter]("the threads that make pages")


class Dashboard(DashboardMount):
    """The page of a router: an ASGI app to be mounted. It shows how the tasks stand, and past calls.

    ``allow`` says who may see it: a function of the request (Starlette's ``Request``, or where only Litestar is
    installed, that one's), plain or async; who is not allowed gets a 403. The page is read-only. ``may_review`` lets
    decide the cases that wait for a person, and ``may_operate`` open and close routes by hand: both are functions of
    the request that give the name of who does it, or ``None``.

    ``hosts`` are the names that the app is reached by. Without them any is taken, except over the loopback, where a
    page of another site could have given itself one: there it is ``localhost`` or an address. ``trace_url`` is where a
    call's trace is shown, with ``{call_id}`` or ``{request_id}`` in it.

    Raises TypeError: there is no ``allow``. ImportError: Jinja is missing (the extra ``dashboard``).

    Example::

        app.mount("/_lanewise", Dashboard(router, allow=is_staff))                              # Starlette, FastAPI
        asgi("/_lanewise", is_mount=True, copy_scope=True)(Dashboard(router, allow=is_staff))  # Litestar
    """

    def __deepcopy__(self, memo: object) -> Self:
        """Itself: Litestar copies what is mounted in a ``Router`` of its, and there is one router behind."""
        return self

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve a request. WebSockets are refused, and a lifespan is none of the page's."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] != "http":
            return
        try:
            response = await self._answer(scope, receive)
        except Refused as refused:
            response = self._core.refusal(refused)
        body = b"" if scope["method"] == "HEAD" else response.body
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self._core.headers(response)
        ]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: MutableMapping[str, Any], receive: Receive) -> PageResponse:
        core = self._core
        request = _page_request(scope)
        core.check(request)
        native = _native(dict(scope))  # a copy: requests keep what they have found out in it
        if not is_allowed(await _answer_of(core.allow, native)):
            raise not_allowed()
        viewer = core.viewer(await _answer_of(core.may_review, native), await _answer_of(core.may_operate, native))
        body = await _body(receive) if request.method == "POST" else b""
        return await _in_thread(core, request, viewer, body)


async def _in_thread(core: DashboardCore, request: PageRequest, viewer: Viewer, body: bytes) -> PageResponse:
    """Make a page, off the loop. Raises Refused: too many wait."""
    try:
        limiter = _threads.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(THREADS)
        _threads.set(limiter)
    if limiter.statistics().tasks_waiting >= MOST_WAITING:
        raise Refused(503, "Too many look at this page at a time, or its ledger is slow. Try again.")
    return await anyio.to_thread.run_sync(core.serve, request, viewer, body, limiter=limiter)


async def _answer_of(function: Answers | None, native: object) -> object:
    if function is None:
        return None
    answer = function(native)
    return await answer if inspect.isawaitable(answer) else answer


async def _body(receive: Receive) -> bytes:
    """The body. Raises Refused: it is too long, or its sender has left."""
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise Refused(400, "The form did not come as a whole.")
        body += message.get("body", b"")
        if len(body) > MOST_BYTES:
            raise Refused(413, "The form is too long.")
        more = message.get("more_body", False)
    return body


def _page_request(scope: MutableMapping[str, Any]) -> PageRequest:
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    if root and (path == root or path.startswith(f"{root}/")):  # some servers and routers have cut it already
        path = path.removeprefix(root)
    raw = scope.get("raw_path") or str(scope["path"]).encode("utf-8", "surrogateescape")
    sent = unquote(raw.partition(b"?")[0].decode("latin-1"))
    if not sent.endswith("/"):
        path = path.removesuffix("/")  # Litestar ends what is below a mount with one
    return PageRequest(
        method=scope["method"],
        path=path.removeprefix("/"),
        query=scope.get("query_string", b"").decode("latin-1"),
        headers=headers_of((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]),
        scheme=scope.get("scheme", "http"),
        place=sent.rpartition("/")[2] if path == "" else "",
        is_bare=path == "" and not sent.endswith("/"),
        local=any(is_loopback((scope.get(end) or ("",))[0]) for end in ("server", "client")),
    )


def _native(scope: MutableMapping[str, Any]) -> object:
    """The request in the framework's words: Starlette's, or where only Litestar is installed, that one's."""
    try:
        from starlette.requests import Request
    except ImportError:
        return _request_of_litestar(scope)
    return Request(scope)


def _request_of_litestar(scope: MutableMapping[str, Any]) -> object:
    try:
        from litestar import Request
    except ImportError:
        return scope  # of `lanewise serve`, which needs neither
    return Request(cast("Any", scope))
