"""Keeps a broken answer from ending as if it were whole: its end is held back while a call of its request has failed.

A middleware that passes an answer on through a task of its own (Starlette's ``BaseHTTPMiddleware`` and what is made of
it) ends the body first, and raises what the app raised only then: the caller of a stream that broke got a complete 200.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import ContextVar
from typing import Any, Final

from lanewise.scope import Scope, state_of
from lanewise.types import Outcome
from lanewise.web.asgi_disconnects import Message, Receive
from lanewise.web.lane_header import set_lane_header

__all__ = ["EndGuard", "HeldEnd", "ends_answer", "guarded_scope", "register_scope"]

Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_KEY: Final = "lanewise.end_guard"
"""Where the ASGI scope has the guard's part of the request. A copy of the scope still refers to it."""
PATIENCE: Final = 2.0
"""Seconds for which the end of an answer is held back while the app does not return."""
_TURNS: Final = 100
"""Of the event loop: each middleware on the way of an error takes some."""
_serving: Final[ContextVar[HeldEnd | None]] = ContextVar("end_guard_serving", default=None)
"""The request that is served in this context, from the outermost of its app on."""
_FAILED: Final = frozenset({Outcome.FAILED, Outcome.REFUSED, Outcome.PENDING_REVIEW, Outcome.CANCELLED})


def ends_answer(message: Message) -> bool:
    """Whether nothing follows after this message of a response."""
    if message["type"] == "http.response.pathsend":
        return True
    return message["type"] == "http.response.body" and not message.get("more_body", False)


class HeldEnd:
    """The end of one answer, held back while the app may still raise, where a call has failed.

    It goes out when the app returns, or after two seconds: an app that handled the failure may have other work to do
    after its answer, and one that did not raises at once.
    """

    _messages: tuple[Message, ...] = ()
    _waiting: asyncio.Task[None] | None = None
    abandoned = False
    """The caller has gone, and there is no answer: what middleware makes of that is for nobody."""

    def __init__(self, send: Send, scope: Scope | None = None) -> None:
        self.scope = scope
        self.sends_lane = False
        self._send = send

    async def send(self, message: Message) -> None:
        """Send a message on, hold it, or drop it where its caller has gone."""
        if self.abandoned:
            return
        if self.sends_lane and self.scope is not None and message["type"] == "http.response.start":
            set_lane_header(message, self.scope)  # a 500 that is made outside of all middleware has no such header yet
        if self.scope is not None and state_of(self.scope).has_calls and self.concerns(message):
            self.hold(message)
        else:
            await self._send(message)

    def concerns(self, message: Message) -> bool:
        """Whether this message is an end that must not pass yet.

        The end of an answer that is passed on is empty; where a stream has failed, a compressor may have filled it.
        """
        if self.scope is None or not ends_answer(message):
            return False
        failed = [call for call in state_of(self.scope).calls_within if call.outcome in _FAILED]
        return any(call.stream for call in failed) or bool(failed and not message.get("body"))

    def hold(self, *messages: Message) -> None:
        """Hold what ends the answer."""
        self._messages = (*self._messages, *messages)
        with contextlib.suppress(RuntimeError):  # trio has no such tasks: there it goes out when the app returns
            self._waiting = asyncio.get_running_loop().create_task(self._release_later())

    async def release(self) -> None:
        """The app has returned: the answer ends, if it has not yet."""
        if self._waiting is not None:
            self._waiting.cancel()
        messages, self._messages = self._messages, ()
        for message in messages:
            await self._send(message)

    def drop(self) -> None:
        """The app has raised: the answer does not end, and whoever serves it closes the connection."""
        if self._waiting is not None:
            self._waiting.cancel()
        self._messages = ()

    async def _release_later(self) -> None:
        await asyncio.sleep(PATIENCE)
        for _ in range(_TURNS):  # a loop that stood still may not have come to raise yet
            await asyncio.sleep(0)
        self._waiting = None
        await self.release()


class EndGuard:
    """The outermost of an app: lets an answer end only if what lies inside has not raised.

    What runs further out than lanewise, such as an error handler for all exceptions, is known to be part of the
    request: see :func:`guarded_scope`.

    Example::

        app.middleware_stack = EndGuard(app.middleware_stack)
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, asgi: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request, or pass on what is none."""
        kind = asgi["type"]
        if kind not in ("http", "websocket"):
            await self._app(asgi, receive, send)
            return
        end = asgi[_KEY] = HeldEnd(send)
        token = _serving.set(end)
        try:
            await self._app(asgi, receive, end.send if kind == "http" else send)
        except BaseException:
            end.drop()
            raise
        finally:
            _serving.reset(token)
        if end._messages:
            await end.release()


def guarded_scope() -> Scope | None:
    """The scope of the request that is served here, if the app has a guard and the request has got its scope."""
    end = _serving.get()
    return None if end is None else end.scope


def abandon_answer(asgi: MutableMapping[str, Any]) -> bool:
    """Have what is sent from now on dropped by the guard of an app. Whether it has one.

    Middleware that waits for an answer may then be given one, where it would raise if none came.
    """
    guarded = asgi.get(_KEY)
    if isinstance(guarded, HeldEnd):
        guarded.abandoned = True
        return True
    return False


def register_scope(asgi: MutableMapping[str, Any], scope: Scope, *, sends_lane: bool) -> None:
    """Tell the guard of an app, if it has one, whose calls an answer rests on, and whether callers hear the lane."""
    guarded = asgi.get(_KEY)
    if isinstance(guarded, HeldEnd):
        guarded.scope = scope
        guarded.sends_lane = sends_lane
