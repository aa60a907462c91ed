"""The scope of an inbound request: its id, its subject, its clients, and the calls made in it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar, cast

import msgspec

from lanewise._scope.calls import ScopeCalls
from lanewise._scope.entered import Entry, began_here, entered
from lanewise._scope.labels import checked_labels
from lanewise._scope.wrapping import wrap
from lanewise.errors import NotInScope
from lanewise.types import LaneName

if TYPE_CHECKING:
    import openai

__all__ = ["OVER", "Clients", "Scope", "begin_serving", "current_scope", "end_serving", "entered_scopes"]

_P = ParamSpec("_P")
_R = TypeVar("_R")

OVER = (
    "request %s is over, and this is nothing that it began, so that nothing tells whether the question is sensitive, "
    "and nothing was sent. Ask the request that is being served for its own client; take a request's scope along into "
    "a thread while it lasts, by `executor.submit(scope.wrap(function))`; or open a scope for a job that belongs to no "
    "request: `with router.scope(detached=True) as scope:`"
)


class Clients(Protocol):
    """Makes SDK clients that are bound to a scope."""

    def async_openai(self, scope: Scope) -> openai.AsyncOpenAI: ...

    def openai(self, scope: Scope) -> openai.OpenAI: ...


class Scope(ScopeCalls):
    """One inbound request or job. Made by ``router.scope()``; usable from any thread or task, also after it was closed.

    ``request_id`` becomes part of the idempotency keys, ``subject`` (a user or session) only feeds their digest,
    ``labels`` are the app's own words for rules and records. ``late_subject`` is asked at the first call, since who
    the user is may be found out while the request is being served.

    A scope that is made or entered within others falls under their sensitivity too, whatever it becomes later. The
    scope of a request ends with it: from then on it makes calls only in what the request itself began, its tasks and
    what ``wrap`` wrapped. One that the app opened never ends by itself.

    Example::

        with router.scope(request_id="req-2026-000042", subject="user-7") as scope:
            reply = scope.openai.chat.completions.create(model="ticket-summary", messages=messages)
            print(scope.call_for(reply).route)
    """

    _outers: tuple[Scope, ...]
    _finished = False
    _around: weakref.WeakSet[Scope] | None = None
    """Scopes that this one is entered in, and was not made in."""
    _was_under: frozenset[str] = frozenset()
    """The categories of those that it was entered in, and left again."""
    _async_openai: openai.AsyncOpenAI | None = None
    _openai: openai.OpenAI | None = None
    _review: bytes | None = None

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
        client: str | None = None,
        named: str | None = None,
        undeclared: str | None = None,
        marks_resolver: Callable[[], frozenset[str] | None] | None = None,
        late_subject: Callable[[], str | None] | None = None,
        outers: tuple[Scope, ...] = (),
        is_request: bool = False,
    ) -> None:
        super().__init__(request_id, outers, sensitive, undeclared, marks_resolver, is_request)
        self._subject = subject
        self._labels: Mapping[str, str] = {} if labels is None else checked_labels(labels)
        self._start = start
        self._forwarded = forwarded
        self._client = client
        self._named = named
        self._clients = clients
        self._late_subject = late_subject
        if review is not None:
            self.for_review(review)

    def __repr__(self) -> str:
        return f"<Scope {self.request_id} calls={len(self._calls)} sensitive={sorted(self._sensitive)}>"

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

        An adapter opens a request's scope before the app knows what the request is about. A scope has 64 labels at
        most, of 256 characters each. Raises ValueError: these are more, or longer. TypeError: one is no text.

        Example::

            ai.scope.label(size="short")  # for a rule: { when = "labels.size == 'short'", lane = "degraded" }
        """
        with self._lock:
            self._labels = checked_labels(self._labels, labels)

    @property
    def start(self) -> LaneName | None:
        """The lane that calls begin in, if it is not the first."""
        return self._start

    @property
    def forwarded(self) -> tuple[tuple[str, str], ...]:
        """Headers that go upstream with each attempt."""
        return self._forwarded

    @property
    def client(self) -> str | None:
        """The client of the app's own OpenAI endpoint whose request this is; ``None``: it is the app's."""
        return self._client

    @property
    def named(self) -> str | None:
        """What names the calls of this request for those that are tried again, if the caller named it (32 hex)."""
        return self._named

    @property
    def review(self) -> bytes | None:
        """What a person is to know if a call of this scope is left to one, as JSON (the router asks for it)."""
        if self._review is not None:
            return self._review
        return next((outer._review for outer in reversed(self._outers) if outer._review is not None), None)

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
            self.resolve_subject()
            self._async_openai = self._clients.async_openai(self)
        return self._async_openai

    @property
    def openai(self) -> openai.OpenAI:
        """An ``openai.OpenAI`` that is bound to this scope for life. Its ``model`` arguments name tasks."""
        if self._openai is None:
            self.resolve_subject()
            self._openai = self._clients.openai(self)
        return self._openai

    def wrap(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """``function``, of any kind, with this scope as the current one wherever it then runs (an executor, say).

        What a request wraps while it lasts belongs to it, however late it runs.
        """
        began = not self._finished or began_here(self)
        return wrap(function, self.serving if began else self.active)

    # -- being the current scope -----------------------------------------------------------------------------------

    @contextmanager
    def active(self) -> Iterator[Scope]:
        """Make this the current scope of the context for a while."""
        with self:
            yield self

    def serving(self) -> AbstractContextManager[Scope]:
        """As :meth:`active`, for what the request itself does, so that it may go on after its end (adapters do so)."""
        return _Serving(self)

    def __enter__(self) -> Scope:
        """Make this the current scope. Raises NotInScope: its request is over, and this is nothing that it began."""
        if self._finished and not began_here(self):
            raise NotInScope(OVER % self.request_id)
        entries = entered.get()
        if entries:
            self._note_around(entries)
        entered.set((*entries, (self, False)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        entries = entered.get()
        for position in range(len(entries) - 1, -1, -1):
            if entries[position] == (self, False):
                entered.set(entries[:position] + entries[position + 1 :])
                break
        if self._around is not None:
            self._note_left()

    def _note_around(self, entries: tuple[Entry, ...]) -> None:
        if self.is_request:
            return
        new = [cast("Scope", scope) for scope, _ in entries if scope is not self and scope not in self._outers]
        if new:
            with self._lock:
                if self._around is None:
                    self._around = weakref.WeakSet()
                self._around.update(new)

    def _note_left(self) -> None:
        self._was_under |= self.surroundings()

    @property
    def was_entered_elsewhere(self) -> bool:
        """Whether this scope was ever entered in one that it was not made in."""
        return self._around is not None

    def surroundings(self) -> frozenset[str]:
        """The categories of all that this scope was ever entered in: where nothing tells which it is, it may be any."""
        if self._around is None:
            return self._was_under
        with self._lock:
            around = tuple(self._around)
        return self._was_under.union(*(scope.sensitive for scope in around))

    def finish(self) -> None:
        """End the request: its scope makes calls only in what it began already (adapters call this)."""
        self._finished = True

    @property
    def finished(self) -> bool:
        """Whether the request that this is the scope of is over. A scope that the app opened never is."""
        return self._finished

    def resolve_subject(self) -> None:
        """Ask whose request it is, before the first call and in the app's own thread (clients and the router do so).

        Not earlier: the app itself may find out while the request runs, and a session that is read leaves its traces.
        """
        if self._late_subject is not None:
            self._subject = self._late_subject()
            self._late_subject = None


def begin_serving(scope: Scope) -> Token[tuple[Entry, ...]]:
    """Make a scope current for what its request does (adapters call this, and :func:`end_serving` in the same task)."""
    entries = entered.get()
    if entries:
        scope._note_around(entries)
    return entered.set((*entries, (scope, True)))


def end_serving(scope: Scope, token: Token[tuple[Entry, ...]]) -> None:
    """Leave a scope where it was entered."""
    entered.reset(token)
    if scope._around is not None:
        scope._note_left()


class _Serving:
    """Enters a scope for what its request does. It is left where it was entered, so that a token serves."""

    __slots__ = ("_scope", "_token")

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def __enter__(self) -> Scope:
        self._token = begin_serving(self._scope)
        return self._scope

    def __exit__(self, *raised: object) -> None:
        end_serving(self._scope, self._token)


def current_scope() -> Scope | None:
    """The scope of the request that is being served, from anywhere in it; ``None`` outside of any."""
    entries = entered.get()
    return cast("Scope", entries[-1][0]) if entries else None


def entered_scopes() -> tuple[Scope, ...]:
    """The scopes that this context is in, each once, the current one last."""
    entries = entered.get()
    if len(entries) < 2:
        return (cast("Scope", entries[0][0]),) if entries else ()
    return tuple(dict.fromkeys(cast("Scope", scope) for scope, _ in reversed(entries)))[::-1]
