"""The scope of an inbound request: its id, its subject, its clients, and the calls made in it."""

from __future__ import annotations

import asyncio
import functools
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar, cast

import msgspec

from lanewise._scope.reply_ids import reply_ids
from lanewise._scope.sensitivity import Ratchet
from lanewise.types import Call, LaneName, Outcome

if TYPE_CHECKING:
    import openai

__all__ = ["Clients", "Scope", "current_scope"]

CALLS_KEPT = 256
"""How many of a scope's latest calls stay readable."""

_P = ParamSpec("_P")
_R = TypeVar("_R")

_entered: ContextVar[tuple[Scope, ...]] = ContextVar("lanewise_scopes", default=())
"""The scopes that this context is in, the current one last. No tokens: a scope may be entered by several tasks at once,
and left in another context than it was entered in (a generator's)."""


class Clients(Protocol):
    """Makes SDK clients that are bound to a scope."""

    def async_openai(self, scope: Scope) -> openai.AsyncOpenAI: ...

    def openai(self, scope: Scope) -> openai.OpenAI: ...


class Scope(Ratchet):
    """One inbound request or job. Made by ``router.scope()``; usable from any thread or task, also after it was closed.

    ``request_id`` becomes part of the idempotency keys, ``subject`` (a user or session) only feeds their digest,
    ``labels`` are the app's own words for rules and records. ``late_subject`` is asked at the first call, since who
    the user is may be found out while the request is being served.

    A scope that is made within another one falls under that one's sensitivity too, whatever it becomes later.

    Example::

        with router.scope(request_id="req-2026-000042", subject="user-7") as scope:
            reply = scope.openai.chat.completions.create(model="ticket-summary", messages=messages)
            print(scope.call_for(reply).route)
    """

    _outer: Scope | None

    def __init__(
        self,
        clients: Clients,
        request_id: str,
        *,
        subject: str | None = None,
        labels: Mapping[str, str] | None = None,
        sensitive: frozenset[str] = frozenset(),
        start: LaneName | None = None,
        review: Mapping[str, object] | None = None,
        forwarded: tuple[tuple[str, str], ...] = (),
        undeclared: str | None = None,
        late_marks: Callable[[], frozenset[str] | None] | None = None,
        late_subject: Callable[[], str | None] | None = None,
    ) -> None:
        scopes = _entered.get()
        super().__init__(request_id, scopes[-1] if scopes else None, sensitive, undeclared, late_marks)
        self._subject = subject
        self._labels: Mapping[str, str] = labels or {}
        self._start = start
        self._forwarded = forwarded
        self._clients = clients
        self._late_subject = late_subject
        self._calls: deque[Call] = deque(maxlen=CALLS_KEPT)
        self._by_reply: OrderedDict[str, Call] = OrderedDict()
        self._ordinals: dict[bytes, int] = {}
        self._closed: dict[bytes, frozenset[str]] = {}
        self._running: set[Callable[[], None]] = set()
        self.on_busy: Callable[[], None] | None = None
        self.ends_at_hang_up = True
        self._async_openai: openai.AsyncOpenAI | None = None
        self._openai: openai.OpenAI | None = None
        self._review: bytes | None = None
        if review is not None:
            self.for_review(review)

    def __repr__(self) -> str:
        return f"<Scope {self.request_id} calls={len(self._calls)} sensitive={sorted(self._sensitive)}>"

    @property
    def request_id(self) -> str:
        """The id of the inbound request: what the caller sent, if it is harmless, else a fresh UUIDv7."""
        return self._request_id

    @property
    def subject(self) -> str | None:
        """The user or session: only ever used in digests."""
        return self._subject

    @property
    def labels(self) -> Mapping[str, str]:
        """The app's own words for rules and records."""
        return self._labels

    def label(self, **labels: str) -> None:
        """Add labels, or change them, for the calls that are made from now on.

        An adapter opens a request's scope before the app knows what the request is about.

        Example::

            ai.scope.label(size="short")  # for a rule: { when = "labels.size == 'short'", lane = "degraded" }
        """
        with self._lock:
            self._labels = {**self._labels, **labels}

    @property
    def start(self) -> LaneName | None:
        """The lane that calls begin in, if it is not the first."""
        return self._start

    @property
    def forwarded(self) -> tuple[tuple[str, str], ...]:
        """Headers that go upstream with each attempt."""
        return self._forwarded

    @property
    def review(self) -> bytes | None:
        """What a person is to know if a call of this scope is left to one, as JSON (the router asks for it)."""
        return self._review if self._review is not None or self._outer is None else self._outer.review

    def for_review(self, data: Mapping[str, object]) -> None:
        """Say what a person is to know of this request, if a sensitive call of it is left to one.

        It is stored encrypted, only in such a case, and comes back as ``review.data``. Raises TypeError: JSON can't
        say it.

        Example::

            current_scope().for_review({"ticket": 7, "customer": "c-120"})
        """
        try:
            self._review = msgspec.json.encode(dict(data))
        except (TypeError, ValueError, RecursionError) as error:
            problem = type(error).__name__
        else:
            return
        raise TypeError(f"what is given for a review must be what JSON can say, with texts as keys ({problem})")

    # -- clients -------------------------------------------------------------------------------------------------

    @property
    def async_openai(self) -> openai.AsyncOpenAI:
        """An ``openai.AsyncOpenAI`` that is bound to this scope for life. Its ``model`` arguments name tasks."""
        if self._async_openai is None:
            self.settle()
            self._async_openai = self._clients.async_openai(self)
        return self._async_openai

    @property
    def openai(self) -> openai.OpenAI:
        """An ``openai.OpenAI`` that is bound to this scope for life. Its ``model`` arguments name tasks."""
        if self._openai is None:
            self.settle()
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
        with self:
            yield self

    def __enter__(self) -> Scope:
        _entered.set((*_entered.get(), self))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        scopes = _entered.get()
        for position in range(len(scopes) - 1, -1, -1):
            if scopes[position] is self:
                _entered.set(scopes[:position] + scopes[position + 1 :])
                return

    # -- calls -----------------------------------------------------------------------------------------------------

    @property
    def calls(self) -> tuple[Call, ...]:
        """The latest calls, oldest first: each from its start, the last 256 of them."""
        return tuple(self._calls)

    def call_for(self, reply: object) -> Call:
        """The call that gave ``reply``: a parsed answer, a stream, a raw response, or an error of ours.

        Of a stream it is the stream itself that knows, not its chunks.

        Raises LookupError: the reply is none of this scope's, or older than its last 256.

        Example::

            scope.call_for(reply).attempts
        """
        for candidate in reply_ids(reply):
            call = self._by_reply.get(candidate)
            if call is not None:
                return call
        call = getattr(reply, "call", None)
        if isinstance(call, Call):
            return call
        raise LookupError(
            f"nothing in this reply ({type(reply).__name__}) tells which of the last {CALLS_KEPT} calls of scope "
            f"{self.request_id} gave it. Ask the scope whose client made it; of a stream, with the stream itself, not "
            "with a chunk or what was put together from them"
        )

    def settle(self) -> None:
        """Ask whose request it is, before the first call and in the app's own thread (clients and the router do so).

        Not earlier: the app itself may find out while the request runs, and a session that is read leaves its traces.
        """
        if self._late_subject is not None:
            self._subject = self._late_subject()
            self._late_subject = None

    def add_call(self, call: Call) -> None:
        """Remember a call from its start, or one that was refused before it (the router calls this)."""
        with self._lock:
            self._calls.append(call)
        if call.outcome is not Outcome.REFUSED:
            self.note_call()

    @property
    def closed_questions(self) -> Mapping[bytes, frozenset[str]]:
        """The questions that failed closed in this scope, each with the categories that it fell under."""
        return self._closed

    def close_question(self, question: bytes, categories: tuple[str, ...]) -> None:
        """Hold a question that failed closed to its categories, also under another task (the router calls this).

        A fallback layer above may catch any error and ask another model: through this scope it gets no further.
        """
        with self._lock:
            self._closed[question] = self._closed.get(question, frozenset()).union(categories)

    def answered(self, reply_id: str, call: Call) -> None:
        """Remember under which id the app will know the reply (the router calls this)."""
        with self._lock:
            for key in (reply_id, call.id):
                self._by_reply[key] = call
            while len(self._by_reply) > 2 * CALLS_KEPT:
                self._by_reply.popitem(last=False)

    def begun(self, hang_up: Callable[[], None]) -> None:
        """Remember how to end a call that runs (the router calls this)."""
        self._running.add(hang_up)
        if self.on_busy is not None:
            self.on_busy()

    def ended(self, hang_up: Callable[[], None]) -> None:
        """Forget a call that no longer runs (the router calls this)."""
        self._running.discard(hang_up)

    def survive_hang_up(self) -> None:
        """Let this request's calls run to their end, also if its caller hangs up: their answers are wanted anyway.

        Example::

            current_scope().survive_hang_up()  # the summary goes into the database
        """
        self.ends_at_hang_up = False

    def hang_up(self) -> None:
        """End the calls that run: the caller of the request has gone. They raise CallerGone; later ones are made.

        Adapters call this; it may come from any thread.
        """
        for end in tuple(self._running):
            end()

    def ordinal(self, digest: bytes) -> int:
        """How many identical calls this scope has made, this one included: 1, 2, ..."""
        with self._lock:
            count = self._ordinals.get(digest, 0) + 1
            self._ordinals[digest] = count
        return count


def current_scope() -> Scope | None:
    """The scope of the request that is being served, from anywhere in it; ``None`` outside of any."""
    scopes = _entered.get()
    return scopes[-1] if scopes else None
