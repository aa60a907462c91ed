"""What all ASGI adapters share: a scope around each request, its id echoed, hang-ups noticed, errors as problems."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from lanewise.errors import RoutingError
from lanewise.scope import Scope, begin_serving, end_serving, state_of
from lanewise.types import Outcome
from lanewise.web.asgi_disconnects import DisconnectWatcher, Message, Receive
from lanewise.web.call_errors import hang_up_in, log_hang_up, log_problem, routing_error_in
from lanewise.web.end_guard import HeldEnd, abandon_answer, ends_answer, register_scope
from lanewise.web.inbound import Inbound
from lanewise.web.lane_header import set_lane_header
from lanewise.web.problems import problem_for

__all__ = ["ENDED_BY", "SCOPE_KEY", "AsgiCore", "AsgiScope", "Receive", "Send"]

AsgiScope = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[AsgiScope, Receive, Send], Awaitable[None]]
ResolverOf = Callable[[AsgiScope], Callable[[], frozenset[str] | None]]
SubjectOf = Callable[[AsgiScope], str | None]

SCOPE_KEY: Final = "lanewise"
"""The key of the scope in the ASGI scope; the adapters put it where their users look for it, too."""

ENDED_BY: Final = "lanewise.ended_by"
"""Where the ASGI scope has the error of a call that a framework is about to close a WebSocket for."""
_log: Final = logging.getLogger("lanewise")
_CALLER_GONE: Final = 499
"""nginx's word for it, for middleware that counts statuses. No server ever sends it."""
_TRY_AGAIN_LATER: Final = 1013
"""The WebSocket close code for a server that can't serve now (IANA registry)."""


class AsgiCore:
    """Serves one inbound request after another; the adapters' middleware is a thin skin over it.

    ``resolver_of`` gives what is asked for the marks of a request's endpoint at each call: ``None`` where it has none.
    ``subject_of`` gives the user or session of a request; it is asked when the request's first
    client is, so that what runs inside of the middleware may find out who it is.
    """

    def __init__(self, inbound: Inbound, resolver_of: ResolverOf, subject_of: SubjectOf | None = None) -> None:
        self._inbound = inbound
        self._resolver_of = resolver_of
        self._subject_of = subject_of
        self._id_header = inbound.request_id_header.lower().encode("latin-1")

    def begin(self, asgi: AsgiScope) -> Scope:
        """Make the scope of one HTTP request or WebSocket, and leave it in the ASGI scope."""
        scope = asgi[SCOPE_KEY] = self._scope(asgi)
        register_scope(asgi, scope, sends_lane=self._inbound.tells_callers)
        return scope

    async def serve(self, app: App, asgi: AsgiScope, scope: Scope, receive: Receive, send: Send) -> None:
        """Run ``app`` for one HTTP request or WebSocket, in the scope that was made for it."""
        token = begin_serving(scope)
        try:
            if asgi["type"] == "http":
                request = _Request(app, asgi, scope, receive, send, self._id_header)
                request.sends_lane = self._inbound.tells_callers
                await request.run()
            else:
                await _Socket(app, asgi, scope, receive, send, self._id_header).run()
        except BaseException:
            _finish_with_task(scope)  # an error handler that lies further out may ask a model, too
            raise
        else:
            state_of(scope).finish()
        finally:
            end_serving(scope, token)

    def echo(self, asgi: AsgiScope, message: Message) -> None:
        """Set the request's id and the lane in the headers of an answer that ``serve`` did not make: a 404's."""
        known = asgi.get(SCOPE_KEY)
        scope = known if isinstance(known, Scope) else self._scope(asgi)
        _echo(message, self._id_header, state_of(scope).request_id)
        if self._inbound.tells_callers:
            set_lane_header(message, scope)

    def _scope(self, asgi: AsgiScope) -> Scope:
        own, traces = [], []
        for name, value in asgi["headers"]:
            if name == self._id_header:
                own.append(value)
            elif name == b"traceparent":
                traces.append(value)
        subject_of = self._subject_of
        return self._inbound.scope(
            path=asgi["path"],
            root_path=asgi.get("root_path", ""),
            request_ids=own,
            traceparents=traces,
            marks_resolver=self._resolver_of(asgi),
            late_subject=None if subject_of is None else lambda: subject_of(asgi),
        )


def _finish_with_task(scope: Scope) -> None:
    """End a request when the task that serves it ends."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # trio
        task = None
    if task is None:
        state_of(scope).finish()
    else:
        task.add_done_callback(lambda _: state_of(scope).finish())


class _Request:
    """One HTTP request: what the app sends passes through, and the connection is watched while a call runs.

    An answer's start is held until its body begins: a stream that fails before its first piece can still be answered
    with a problem. An app that wants its headers out at once sends an empty piece.
    """

    sends_lane = False
    _sent = False
    _complete = False
    _holds_all = False
    _end: HeldEnd | None = None

    def __init__(self, app: App, asgi: AsgiScope, scope: Scope, receive: Receive, send: Send, id_header: bytes) -> None:
        self._app = app
        self._asgi = asgi
        self._scope = scope
        self._state = state_of(scope)
        self._reader = DisconnectWatcher(receive, asgi, self._caller_left)
        self._send_on = send
        self._id_header = id_header
        self._held: list[Message] = []

    async def run(self) -> None:
        self._state.on_busy = self._reader.watch
        try:
            await self._app(self._asgi, self._reader.receive, self._send)
        except Exception as raised:
            gone = hang_up_in(raised)
            if gone is not None and self._reader.left:
                await self._give_up(gone)
                return
            error = routing_error_in(raised)
            if error is None or self._sent:
                # once something was sent, the server aborts: a broken answer never ends as if it were whole
                if self._holds_all:
                    await self._release_whole()
                raise
            await self._send_problem(error)
        else:
            if self._held:
                await self._release()
            if self._end is not None:
                await self._end.release()
        finally:
            if self._end is not None:
                self._end.drop()
            self._state.on_busy = None
            if not self._complete:
                self._reader.stop()

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            _echo(message, self._id_header, self._state.request_id)
            # a mounted app may be about to raise what it answers so plainly
            self._holds_all = message["status"] == 500 and self._state.has_calls and self._has_failed_call()
            self._held.append(message)
            return
        if ends_answer(message):
            self._complete = True
            self._reader.stop()
        if self._holds_all:
            self._held.append(message)
            return
        if self._state.has_calls:
            if self._end is None:
                self._end = HeldEnd(self._send_held, self._scope)
            if self._end.concerns(message):
                self._end.hold(*self._taken(), message)
                return
        if self._held:
            await self._release()
        await self._send_on(message)

    async def _send_held(self, message: Message) -> None:
        self._sent = True
        await self._send_on(message)

    def _has_failed_call(self) -> bool:
        failed = (Outcome.FAILED, Outcome.REFUSED, Outcome.PENDING_REVIEW)
        return any(call.outcome in failed for call in self._state.calls_within)

    async def _release(self) -> None:
        for message in self._taken():
            self._sent = True
            await self._send_on(message)

    def _taken(self) -> list[Message]:
        """What was held, now that it goes out: with the lane, as far as it is known."""
        held, self._held = self._held, []
        if self.sends_lane and held:
            set_lane_header(held[0], self._scope)
        return held

    async def _release_whole(self) -> None:
        """Send a whole answer that was held; of a start alone, what lies outside makes the app's usual 500."""
        if self._complete:
            await self._release()

    async def _give_up(self, error: RoutingError) -> None:
        """End without an answer, since nobody is there to have one."""
        log_hang_up(error, self._scope)
        if not self._sent and abandon_answer(self._asgi):
            await self._send_on({"type": "http.response.start", "status": _CALLER_GONE, "headers": []})
            await self._send_on({"type": "http.response.body", "body": b""})

    async def _send_problem(self, error: RoutingError) -> None:
        if self._reader.left:
            await self._give_up(error)
            return
        problem = problem_for(error, request_id=self._scope.request_id)
        log_problem(problem, error, self._scope)
        headers = [(name.encode("ascii"), value.encode("ascii")) for name, value in problem.all_headers]
        headers.append((self._id_header, self._scope.request_id.encode("ascii")))
        start: Message = {"type": "http.response.start", "status": problem.status, "headers": headers}
        if self.sends_lane:
            set_lane_header(start, self._scope)
        await self._send_on(start)
        await self._send_on({"type": "http.response.body", "body": problem.body})

    def _caller_left(self) -> None:
        if not self._complete:
            self._state.hang_up()


class _Socket:
    """One WebSocket: watched while a call runs, and closed where a call's error ends it."""

    def __init__(self, app: App, asgi: AsgiScope, scope: Scope, receive: Receive, send: Send, id_header: bytes) -> None:
        self._app = app
        self._asgi = asgi
        self._scope = scope
        self._state = state_of(scope)
        self._reader = DisconnectWatcher(receive, asgi, self._caller_left)
        self._send_on = send
        self._id_header = id_header
        self._closed = False

    async def run(self) -> None:
        self._state.on_busy = self._reader.watch
        try:
            await self._app(self._asgi, self._reader.receive, self._send)
        except Exception as raised:
            error = routing_error_in(raised) or hang_up_in(raised)
            if error is None:
                raise
            closing = self._closed_by(error)
            if closing is not None and not self._closed:
                await self._send_on(closing)
        finally:
            self._state.on_busy = None
            self._reader.stop()

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.accept":
            _echo(message, self._id_header, self._state.request_id)
        elif kind == "websocket.close":
            error = self._asgi.pop(ENDED_BY, None)  # of a framework that closes sockets itself where one is raised
            message = message if error is None else self._closed_by(error) or message
            self._closed = True
        await self._send_on(message)

    def _closed_by(self, error: RoutingError) -> Message | None:
        """What ends the socket because of an error, which is logged; ``None``: its caller has gone."""
        if self._reader.left:
            log_hang_up(error, self._scope)
            return None
        request_id = self._scope.request_id
        _log.error("a WebSocket was closed: %s [request %s]", error, request_id, extra={"request_id": request_id})
        return {"type": "websocket.close", "code": _TRY_AGAIN_LATER, "reason": "no answer"}

    def _caller_left(self) -> None:
        self._state.hang_up()


def _echo(message: Message, id_header: bytes, request_id: str) -> None:
    headers = message.get("headers") or ()
    for name, _ in headers:
        if name == id_header or name.lower() == id_header:
            return
    message["headers"] = [*headers, (id_header, request_id.encode("ascii"))]
