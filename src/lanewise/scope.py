"""The scope of an inbound request: its id, its subject, its clients, and the calls made in it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar, cast

from lanewise._scope.entered import Entry, began_here, entered, entered_states
from lanewise._scope.state import ScopeState
from lanewise._scope.wrapping import wrap
from lanewise.errors import NotInScope
from lanewise.types import Call, LaneName

if TYPE_CHECKING:
    import openai

__all__ = ["OVER", "Clients", "Scope", "begin_serving", "current_scope", "end_serving", "serving", "state_of"]

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


class Scope:
    """One inbound request or job. Made by ``router.scope()``; usable from any thread or task, also after it was closed.

    A scope that is made or entered within others falls under their sensitivity too, whatever it becomes later. The
    scope of a request ends with it: from then on it makes calls only in what the request itself began, its tasks and
    what ``wrap`` wrapped. One that the app opened never ends by itself.

    Example::

        with router.scope(request_id="req-2026-000042", subject="user-7") as scope:
            reply = scope.openai.chat.completions.create(model="ticket-summary", messages=messages)
            print(scope.call_for(reply).route)
    """

    _async_openai: openai.AsyncOpenAI | None = None
    _openai: openai.OpenAI | None = None

    def __init__(self, clients: Clients, state: ScopeState) -> None:
        self._clients = clients
        self._state = state

    def __repr__(self) -> str:
        return f"<Scope {self.request_id} calls={len(self.calls)} sensitive={sorted(self._state._sensitive)}>"

    @property
    def request_id(self) -> str:
        """The id of the inbound request: what the caller sent, if it is harmless, else a fresh UUIDv7.

        It becomes part of the idempotency keys.
        """
        return self._state.request_id

    @property
    def subject(self) -> str | None:
        """The user or session: only ever used in digests."""
        return self._state.subject

    # -- clients and calls -----------------------------------------------------------------------------------------

    @property
    def async_openai(self) -> openai.AsyncOpenAI:
        """An ``openai.AsyncOpenAI`` that is bound to this scope for life. Its ``model`` arguments name tasks."""
        if self._async_openai is None:
            self._state.resolve_subject()
            self._async_openai = self._clients.async_openai(self)
        return self._async_openai

    @property
    def openai(self) -> openai.OpenAI:
        """An ``openai.OpenAI`` that is bound to this scope for life. Its ``model`` arguments name tasks."""
        if self._openai is None:
            self._state.resolve_subject()
            self._openai = self._clients.openai(self)
        return self._openai

    @property
    def calls(self) -> tuple[Call, ...]:
        """The latest calls, oldest first: each from its start, the last 256 of them."""
        return self._state.calls

    def call_for(self, reply: object) -> Call:
        """The call that gave ``reply``: a parsed answer, a stream, a raw response, or an error of ours.

        Of a stream it is the stream itself that knows, not its chunks.

        Raises LookupError: the reply is none of this scope's, or older than its last 256.

        Example::

            scope.call_for(reply).attempts
        """
        return self._state.call_for(reply)

    @property
    def lanes(self) -> tuple[LaneName, ...]:
        """The lanes that have answered calls so far, here and in scopes within: each once, the best one first.

        A stream counts from its first content on.

        Example::

            if LaneName.EQUIVALENT in scope.lanes:
                print("a backup has answered")
        """
        return self._state.lanes

    @property
    def degraded(self) -> bool:
        """Whether the lane ``degraded`` has answered a call, here or in a scope within: so that a user can be told.

        Example::

            return {"summary": text, "note": "shorter than usual" if scope.degraded else None}
        """
        return LaneName.DEGRADED in self._state.lanes

    def survive_hang_up(self) -> None:
        """Let this scope's calls run to their end, also if the request's caller hangs up: their answers are wanted.

        Of a request's own scope it holds for those of all scopes within it.

        Example::

            current_scope().survive_hang_up()  # the summary goes into the database
        """
        self._state.ends_at_hang_up = False

    # -- what its calls are made with ------------------------------------------------------------------------------

    @property
    def labels(self) -> Mapping[str, str]:
        """The app's own words for rules and records."""
        return self._state.labels

    def label(self, **labels: str) -> None:
        """Add labels, or change them, for the calls that are made from now on.

        An adapter opens a request's scope before the app knows what the request is about. A scope has 64 labels at
        most, of 256 characters each. Raises ValueError: these are more, or longer. TypeError: one is no text.

        Example::

            ai.scope.label(size="short")  # for a rule: { when = "labels.size == 'short'", lane = "degraded" }
        """
        self._state.label(labels)

    @property
    def sensitive(self) -> frozenset[str]:
        """The categories that this scope's calls fall under, whatever their task adds.

        Where an adapter opened the scope, an endpoint that turns out to carry no mark counts as the router's
        ``undeclared`` says.
        """
        return self._state.sensitive

    def raise_sensitivity(self, *categories: str) -> None:
        """Add categories. There is no way back: nothing takes one away.

        Raised after a call has gone out that did not fall under them, the scope fails closed from there on, and an
        error is logged.
        """
        self._state.raise_sensitivity(*categories)

    def for_review(self, data: Mapping[str, object]) -> None:
        """Say what a person is to know of this request, if a sensitive call of it is left to one.

        It is stored encrypted, only in such a case, and comes back as ``review.data``. Raises TypeError: JSON can't
        say it.

        Example::

            current_scope().for_review({"ticket": 7, "customer": "c-120"})
        """
        self._state.review_with(data)

    # -- being the current scope -----------------------------------------------------------------------------------

    def wrap(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """``function``, of any kind, with this scope as the current one wherever it then runs (an executor, say).

        What a request wraps while it lasts belongs to it, however late it runs.
        """
        if self._state.finished and not began_here(self._state):
            return wrap(function, self.active)
        return wrap(function, lambda: serving(self))

    @contextmanager
    def active(self) -> Iterator[Scope]:
        """Make this the current scope of the context for a while."""
        with self:
            yield self

    def __enter__(self) -> Scope:
        """Make this the current scope. Raises NotInScope: its request is over, and this is nothing that it began."""
        state = self._state
        if state.finished and not began_here(state):
            raise NotInScope(OVER % state.request_id)
        entries = entered.get()
        if entries:
            state.note_around(entered_states())
        entered.set((*entries, (state, False, self)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        entries = entered.get()
        for position in range(len(entries) - 1, -1, -1):
            if entries[position] == (self._state, False, self):
                entered.set(entries[:position] + entries[position + 1 :])
                break
        if self._state.was_entered_elsewhere:
            self._state.note_left()


state_of: Callable[[Scope], ScopeState] = operator.attrgetter("_state")
"""What the router, the clients and the adapters know of a scope."""


def begin_serving(scope: Scope) -> Token[tuple[Entry, ...]]:
    """Make a scope current for what its request does (adapters call this, and :func:`end_serving` in the same task)."""
    entries = entered.get()
    if entries:
        scope._state.note_around(entered_states())
    return entered.set((*entries, (scope._state, True, scope)))


def end_serving(scope: Scope, token: Token[tuple[Entry, ...]]) -> None:
    """Leave a scope where it was entered."""
    entered.reset(token)
    if scope._state.was_entered_elsewhere:
        scope._state.note_left()


def serving(scope: Scope) -> AbstractContextManager[Scope]:
    """Make a scope current for what its request does: that may go on after the request's end."""
    return _Serving(scope)


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
    return cast("Scope", entries[-1][2]) if entries else None
