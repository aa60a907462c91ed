"""What all ASGI adapters share: a scope around each request, its id echoed, hang-ups noticed, errors as problems."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from understudy.errors import RoutingError
from understudy.scope import Scope, current_scope
from understudy.web.inbound import Inbound
from understudy.web.problems import Problem, problem_for
from understudy.words import Outcome

__all__ = ["AsgiCore", "AsgiScope", "Receive", "Send"]

AsgiScope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[AsgiScope, Receive, Send], Awaitable[None]]
MarksOf = Callable[[AsgiScope], frozenset[str] | None]
SubjectOf = Callable[[AsgiScope], str | None]

KEY: Final = "understudy"
"""Where the scope stands in the ASGI scope; the adapters put it where their users look for it."""

_log: Final = logging.getLogger("understudy")
_DISCONNECT: Final = {"type": "http.disconnect"}
_TRY_AGAIN_LATER: Final = 1013
"""The WebSocket close code for a server that can't serve now (IANA registry)."""


class AsgiCore:
    """Serves one inbound request after another; the adapters' middleware is a thin skin over it.

    ``marks_of`` gives the marks of the endpoint that an ASGI scope was routed to, ``None`` while it is not routed or
    where it has none. ``subject_of`` gives the user or session of a request.
    """

    def __init__(self, inbound: Inbound, marks_of: MarksOf, subject_of: SubjectOf | None = None) -> None:
        self._inbound = inbound
        self._marks_of = marks_of
        self._subject_of = subject_of
        self._id_header = inbound.request_id_header.lower().encode("latin-1")

    async def serve(self, app: App, asgi: AsgiScope, receive: Receive, send: Send) -> None:
        """Run ``app`` for one HTTP request or WebSocket, in a scope of its own."""
        scope = self._scope(asgi)
        asgi[KEY] = scope
        with scope.active():
            if asgi["type"] == "http":
                await _Request(app, asgi, scope, receive, send, self._id_header).run()
            else:
                await _serve_websocket(app, asgi, scope, receive, send)

    def _scope(self, asgi: AsgiScope) -> Scope:
        own, traces = [], []
        for name, value in asgi["headers"]:
            if name == self._id_header:
                own.append(value)
            elif name == b"traceparent":
                traces.append(value)
        outer = current_scope()
        scope = self._inbound.scope(
            path=asgi["path"],
            root_path=asgi.get("root_path", ""),
            request_ids=own,
            traceparents=traces,
            subject=None if self._subject_of is None else self._subject_of(asgi),
            late_marks=lambda: self._marks_of(asgi),
        )
        if outer is not None:  # an app mounted in another one that has a router of its own
            scope.raise_sensitivity(*outer.sensitive)
        return scope


class _Request:
    """One HTTP request: what the app sends passes through, and the connection is watched while a call runs."""

    def __init__(
        self, app: App, asgi: AsgiScope, scope: Scope, receive: Receive, send: Send, id_header: bytes
    ) -> None:
        self._app = app
        self._asgi = asgi
        self._scope = scope
        self._reader = _Reader(receive, asgi, self._caller_left)
        self._send_on = send
        self._id_header = id_header
        self._started = False
        self._complete = False
        self._held: list[Message] | None = None

    async def run(self) -> None:
        self._scope.on_busy = self._reader.watch
        try:
            await self._app(self._asgi, self._reader.receive, self._send)
        except RoutingError as error:
            if self._started and self._held is None:
                raise  # the server aborts the connection: a broken answer never ends as if it were whole
            await self._send_problem(error)
        except BaseException:
            await self._release()
            raise
        else:
            await self._release()
        finally:
            self._scope.on_busy = None
            self._reader.stop()

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self._started = True
            self._echo(message)
            if message["status"] == 500 and self._has_failed_call():
                self._held = []  # a mounted app may be about to raise what it answers so plainly
        elif kind == "http.response.body" and not message.get("more_body"):
            self._complete = True
            self._reader.stop()
        if self._held is not None:
            self._held.append(message)
        else:
            await self._send_on(message)

    def _echo(self, message: Message) -> None:
        headers = message.get("headers", ())
        if not any(name.lower() == self._id_header for name, _ in headers):
            message["headers"] = [*headers, (self._id_header, self._scope.request_id.encode("ascii"))]

    def _has_failed_call(self) -> bool:
        calls = self._scope.calls
        return bool(calls) and calls[-1].outcome in (Outcome.FAILED, Outcome.REFUSED, Outcome.PENDING_REVIEW)

    async def _release(self) -> None:
        held, self._held = self._held, None
        for message in held or ():
            await self._send_on(message)

    async def _send_problem(self, error: RoutingError) -> None:
        problem = problem_for(error, request_id=self._scope.request_id)
        log_problem(problem, error, self._scope)
        headers = [(name.encode("ascii"), value.encode("ascii")) for name, value in problem.all_headers]
        headers.append((self._id_header, self._scope.request_id.encode("ascii")))
        await self._send_on({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self._send_on({"type": "http.response.body", "body": problem.body})

    def _caller_left(self) -> None:
        if not self._complete and self._scope.ends_at_hang_up:
            self._scope.hang_up()


class _Reader:
    """One reader for all who want to know what comes in: the app, and the watch for a hang-up.

    The watch reads ahead only while a call runs, and only once the body is read (or none is to come): it never takes a
    piece of the body away, nor holds more of it than one message.
    """

    def __init__(self, receive: Receive, asgi: AsgiScope, gone: Callable[[], None]) -> None:
        self._receive = receive
        self._gone = gone
        self._asgi = asgi
        self._body_read = False
        self._left = False
        self._stopped = False
        self._ahead: deque[Message] = deque()
        self._reading: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            self._stopped = True  # a server on trio: a hang-up is noticed when the app sends

    async def receive(self) -> Message:
        while self._reading is not None and not self._ahead and not self._left:
            await asyncio.wait([self._reading])
        if self._ahead:
            return self._ahead.popleft()
        if self._left:
            return dict(_DISCONNECT)
        return self._noted(await self._receive())

    def watch(self) -> None:
        """Begin to watch, since a call runs. From any thread."""
        if self._stopped or self._loop is None or self._reading is not None:
            return
        self._loop.call_soon_threadsafe(self._begin)

    def stop(self) -> None:
        """The answer is complete: a disconnect that comes now is none."""
        self._stopped = True
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()

    def _begin(self) -> None:
        if self._stopped or self._reading is not None or self._left or not (self._body_read or self._no_body()):
            return
        self._reading = asyncio.ensure_future(self._read_ahead())

    async def _read_ahead(self) -> None:
        try:
            while not self._left:
                message = self._noted(await self._receive())
                if not self._left:
                    self._ahead.append(message)  # the empty body of a request without one: the app may still ask for it
                    if not self._body_read:
                        return
        finally:
            self._reading = None

    def _noted(self, message: Message) -> Message:
        if message["type"] == "http.disconnect":
            self._left = True
            if not self._stopped:
                self._gone()
        elif not message.get("more_body"):
            self._body_read = True
        return message

    def _no_body(self) -> bool:
        for name, value in self._asgi["headers"]:
            if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
                return False
        return True


async def _serve_websocket(app: App, asgi: AsgiScope, scope: Scope, receive: Receive, send: Send) -> None:
    closed = False

    async def send_on(message: Message) -> None:
        nonlocal closed
        closed = closed or message["type"] == "websocket.close"
        await send(message)

    async def receive_on() -> Message:
        nonlocal closed
        message = await receive()
        if message["type"] == "websocket.disconnect":
            closed = True
            scope.hang_up()
        return message

    try:
        await app(asgi, receive_on, send_on)
    except RoutingError as error:
        _log.error("a WebSocket was closed: %s", error, extra={"request_id": scope.request_id})
        if not closed:
            await send({"type": "websocket.close", "code": _TRY_AGAIN_LATER, "reason": "no answer"})


def log_problem(problem: Problem, error: RoutingError, scope: Scope) -> None:
    """Say in the log why a request was answered by a problem: an error where somebody has to mend something."""
    level = logging.ERROR if problem.status == 500 else logging.WARNING
    call_id = error.call.id if error.call is not None else None
    _log.log(
        level,
        "a request was answered with %d: %s",
        problem.status,
        error,
        extra={"request_id": scope.request_id, "call_id": call_id},
    )
