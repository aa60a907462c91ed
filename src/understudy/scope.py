"""The inbound request: its id, its subject, the calls made in it, and a sensitivity that only rises."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar, cast

from understudy.words import Call, LaneName

if TYPE_CHECKING:
    import openai

__all__ = ["Clients", "Scope", "current_scope"]

CALLS_KEPT = 256
"""How many of a scope's latest calls stay readable."""

_P = ParamSpec("_P")
_R = TypeVar("_R")

_current: ContextVar[Scope | None] = ContextVar("understudy_scope", default=None)
_log = logging.getLogger("understudy")


class Clients(Protocol):
    """Makes SDK clients that are bound to a scope."""

    def async_openai(self, scope: Scope) -> openai.AsyncOpenAI: ...

    def openai(self, scope: Scope) -> openai.OpenAI: ...


class Scope:
    """One inbound request or job. Made by ``router.scope()``; usable from any thread or task, also after it was closed.

    ``request_id`` becomes part of the idempotency keys, ``subject`` (a user or session) only feeds their digest,
    ``labels`` are the app's own words for rules and records.

    Example::

        with router.scope(request_id="req-2026-000042", subject="user-7") as scope:
            reply = scope.openai.chat.completions.create(model="ticket-summary", messages=messages)
            print(scope.call_for(reply).route)
    """

    def __init__(
        self,
        clients: Clients,
        request_id: str,
        *,
        subject: str | None = None,
        labels: Mapping[str, str] | None = None,
        sensitive: frozenset[str] = frozenset(),
        start: LaneName | None = None,
        forwarded: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.request_id = request_id
        self.subject = subject
        self.labels: Mapping[str, str] = labels or {}
        self.start = start
        self.forwarded = forwarded
        self._clients = clients
        self._sensitive = sensitive
        self._calls: deque[Call] = deque(maxlen=CALLS_KEPT)
        self._by_reply: OrderedDict[str, Call] = OrderedDict()
        self._ordinals: dict[bytes, int] = {}
        self._lock = threading.Lock()
        self._async_openai: openai.AsyncOpenAI | None = None
        self._openai: openai.OpenAI | None = None
        self._compromised = False

    def __repr__(self) -> str:
        return f"<Scope {self.request_id} calls={len(self._calls)} sensitive={sorted(self._sensitive)}>"

    # -- clients -------------------------------------------------------------------------------------------------

    @property
    def async_openai(self) -> openai.AsyncOpenAI:
        """An ``openai.AsyncOpenAI`` that is bound to this scope for life. Its ``model`` arguments name tasks."""
        if self._async_openai is None:
            self._async_openai = self._clients.async_openai(self)
        return self._async_openai

    @property
    def openai(self) -> openai.OpenAI:
        """An ``openai.OpenAI`` that is bound to this scope for life. Its ``model`` arguments name tasks."""
        if self._openai is None:
            self._openai = self._clients.openai(self)
        return self._openai

    def wrap(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """``function``, plain or async, with this scope as the current one wherever it then runs (an executor, say)."""
        if asyncio.iscoroutinefunction(function):

            @functools.wraps(function)
            async def run_async(*args: _P.args, **kwargs: _P.kwargs) -> object:
                with self.active():
                    return await function(*args, **kwargs)

            return cast("Callable[_P, _R]", run_async)

        @functools.wraps(function)
        def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            with self.active():
                return function(*args, **kwargs)

        return run

    # -- being the current scope -----------------------------------------------------------------------------------

    @contextmanager
    def active(self) -> Iterator[Scope]:
        """Make this the current scope of the context for a while."""
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)

    def __enter__(self) -> Scope:
        self._token = _current.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        _current.reset(self._token)

    # -- calls -----------------------------------------------------------------------------------------------------

    @property
    def calls(self) -> tuple[Call, ...]:
        """The latest calls, oldest first: each from its start, the last 256 of them."""
        return tuple(self._calls)

    def call_for(self, reply: object) -> Call:
        """The call that gave ``reply``: a parsed answer, a stream, a raw response, or an error of ours.

        Raises LookupError: the reply is none of this scope's, or older than its last 256.

        Example::

            scope.call_for(reply).attempts
        """
        for candidate in _reply_ids(reply):
            call = self._by_reply.get(candidate)
            if call is not None:
                return call
        call = getattr(reply, "call", None)
        if isinstance(call, Call):
            return call
        raise LookupError(
            f"this reply ({type(reply).__name__}) belongs to none of the last {CALLS_KEPT} calls of scope "
            f"{self.request_id}; ask the scope whose client made it"
        )

    def add_call(self, call: Call) -> None:
        """Remember a call from its start (the router calls this)."""
        self._calls.append(call)

    def answered(self, reply_id: str, call: Call) -> None:
        """Remember under which id the app will know the reply (the router calls this)."""
        with self._lock:
            for key in (reply_id, call.id):
                self._by_reply[key] = call
            while len(self._by_reply) > 2 * CALLS_KEPT:
                self._by_reply.popitem(last=False)

    def ordinal(self, digest: bytes) -> int:
        """How many identical calls this scope has made, this one included: 1, 2, ..."""
        with self._lock:
            count = self._ordinals.get(digest, 0) + 1
            self._ordinals[digest] = count
        return count

    # -- sensitivity -----------------------------------------------------------------------------------------------

    @property
    def sensitive(self) -> frozenset[str]:
        """The categories that this scope's calls fall under, whatever their task adds."""
        return self._sensitive

    @property
    def compromised(self) -> bool:
        """Whether sensitivity rose after a call had gone out: from then on every call fails closed."""
        return self._compromised

    def raise_sensitivity(self, *categories: str) -> None:
        """Add categories. There is no way back: nothing takes one away.

        Raised after a call has gone out, the scope fails closed from there on, and an error is logged.
        """
        with self._lock:
            added = frozenset(categories) - self._sensitive
            if not added:
                return
            self._sensitive |= added
            late = bool(self._calls)
            self._compromised = self._compromised or late
        if late:
            _log.error(
                "scope %s became sensitive (%s) after a call had gone out; its further calls fail closed. "
                "Mark the endpoint itself, so that the mark is known before the first call.",
                self.request_id,
                ", ".join(sorted(added)),
                extra={"request_id": self.request_id, "categories": sorted(added)},
            )


def current_scope() -> Scope | None:
    """The scope of the request that is being served, from anywhere in it; ``None`` outside of any."""
    return _current.get()


def _reply_ids(reply: object) -> Iterator[str]:
    own = getattr(reply, "_request_id", None)
    if isinstance(own, str):
        yield own
    for holder in (reply, getattr(reply, "response", None), getattr(reply, "_response", None)):
        headers = getattr(holder, "headers", None)
        if headers is not None:
            for name in ("x-understudy-call-id", "x-request-id"):
                value = headers.get(name)
                if isinstance(value, str):
                    yield value
