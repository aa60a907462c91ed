"""The sensitivity of a scope: it only rises, and a rise after a call has gone out is logged and fails closed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Final, TypeVar, cast

from lanewise.types import Call

__all__ = ["SensitivityState", "UnusedMark", "required", "required_sensitivity", "with_their_outers"]

required: Final[ContextVar[frozenset[str]]] = ContextVar("lanewise_sensitivity", default=frozenset())
"""Categories that any scope opened in this context falls under: a marked function that runs outside of any request."""
_NONE: Final[frozenset[str]] = frozenset()
_log: Final = logging.getLogger("lanewise")
StateT = TypeVar("StateT", bound="SensitivityState")


class UnusedMark:
    """A mark that may not have been put on anything yet."""

    def __init__(self, category: str) -> None:
        self.category = category
        self.is_used = False


class SensitivityState:
    """The sensitivity of one scope, and of those that it was made within (``outers``), whatever that becomes later."""

    _closed_under: frozenset[str] = _NONE
    """Of the tasks whose calls failed closed: for the calls that are made after that."""
    _unused: tuple[UnusedMark, ...] = ()
    _compromised = False
    _sent_under: frozenset[str] | None = None
    """What each call that went out fell under; ``None``: none has."""

    def __init__(
        self,
        request_id: str,
        outers: tuple[SensitivityState, ...],
        sensitive: frozenset[str],
        undeclared: str | None,
        marks_resolver: Callable[[], frozenset[str] | None] | None,
        is_request: bool = False,
    ) -> None:
        self.is_request = is_request
        """Whether an adapter made it, for a request that it serves."""
        self.request_id = request_id
        """Of the inbound request: what the caller sent, if it is harmless, else a fresh UUIDv7."""
        self._outers = with_their_outers(outers) if outers else ()
        self._sensitive = sensitive | required.get()
        self._undeclared = undeclared
        self._late_marks = marks_resolver
        self._lock = threading.Lock()

    @property
    def sensitive(self) -> frozenset[str]:
        """The categories that this scope's calls fall under, whatever their task adds.

        Where an adapter opened the scope, an endpoint that turns out to carry no mark counts as the router's
        ``undeclared`` says.
        """
        found = _NONE
        for scope in (self, *self._outers):
            if scope._late_marks is not None:
                scope._look_marks_up()
            if scope._unused:
                scope._take_unused()
            own = scope._sensitive
            if scope._undeclared is not None and not own and scope._undeclared.startswith("sensitive:"):
                own = frozenset((scope._undeclared.removeprefix("sensitive:"),))
            found = found | own | scope._closed_under if found or scope._closed_under else own
        return found

    def _look_marks_up(self) -> None:
        if self._late_marks is not None:
            self.add_marks(self._late_marks())

    def add_marks(self, marks: frozenset[str] | None) -> None:
        """Add the marks of the endpoint; ``None``: it says nothing, and counts as ``undeclared``."""
        if marks is not None:
            self._undeclared = None
            self.raise_sensitivity(*marks)

    @property
    def refusal(self) -> str | None:
        """Why every call of this scope is refused from now on, or ``None``."""
        for scope in (self, *self._outers):
            if scope._compromised:
                return (
                    "this request became sensitive after a call had already gone out. Mark the endpoint itself, so "
                    "that the mark is known before the first call"
                )
            if scope._undeclared == "refuse" and not scope._sensitive:
                return (
                    "this endpoint does not say whether it is sensitive, and the config refuses such (undeclared = "
                    '"refuse"). Mark it with @sensitive(...) or @standard, or by a path under [endpoints]'
                )
        return None

    @property
    def in_request(self) -> bool:
        """Whether this is a request's scope, or was made in one."""
        return self.is_request or any(outer.is_request for outer in self._outers)

    @property
    def marks_resolver(self) -> Callable[[], frozenset[str] | None] | None:
        """Where the marks of the endpoint are looked up at each call; what an adapter gave."""
        return self._late_marks

    def settle_marks(self, marks: frozenset[str] | None) -> None:
        """Add the marks of the endpoint that the request was routed to, and look them up no more."""
        if marks is not None:
            self.add_marks(marks)
        self._late_marks = None

    def _note_unused(self, mark: UnusedMark) -> None:
        """Note a mark that was made in this scope: if it is on nothing when a call is made, the call falls under it."""
        with self._lock:
            self._unused = (*self._unused, mark)

    def _take_unused(self) -> None:
        with self._lock:
            unused, self._unused = self._unused, ()
        for mark in unused:
            if not mark.is_used:
                _log.warning(
                    "sensitive(%r) was made in request %s and put on nothing; it counts for all of the request. "
                    "A mark is put on an endpoint: @sensitive(...)",
                    mark.category,
                    self.request_id,
                    extra={"request_id": self.request_id},
                )
                self.raise_sensitivity(mark.category)

    def raise_sensitivity(self, *categories: str) -> None:
        """Add categories. There is no way back: nothing takes one away.

        Raised after a call has gone out that did not fall under them, the scope fails closed from there on, and an
        error is logged.
        """
        if self._sensitive.issuperset(categories):
            return
        with self._lock:
            added = frozenset(categories) - self._sensitive
            self._sensitive |= added
            self._undeclared = None
            late = self._sent_under is not None and not added <= self._sent_under
            self._compromised = self._compromised or late
        if late:
            _log.error(
                "scope %s became sensitive (%s) after a call had gone out; its further calls fail closed. "
                "Mark the endpoint itself, so that the mark is known before the first call.",
                self.request_id,
                ", ".join(sorted(added)),
                extra={"request_id": self.request_id, "categories": sorted(added)},
            )

    def close_under(self, categories: frozenset[str]) -> None:
        """Have all calls from now on, whatever their task, fall under what a call that failed closed fell under.

        A fallback layer above may catch any error and ask another model: through this request it gets no further. A
        scope that is used in many requests stays out of it.
        """
        for scope in (self, *([each for each in self._outers if each.in_request] or self._outers)):
            with scope._lock:
                scope._closed_under |= categories

    def still_allowed(self, call: Call) -> bool:
        """Whether a call of this scope may go on: it doesn't, once the scope is more sensitive than when it began.

        The router asks before each attempt, before each answer, and before each piece of a stream.
        """
        if self._sensitive and not self._sensitive.issubset(call.sensitive):
            return False
        for outer in self._outers:  # noqa: SIM110 - asked of each piece of a stream
            if outer._sensitive and not outer._sensitive.issubset(call.sensitive):
                return False
        return True

    def note_call(self, call: Call) -> None:
        """Note that a call goes out in this scope: for what it did not fall under, it is too late from now on."""
        under = frozenset(call.sensitive)
        for scope in (self, *self._outers):
            with scope._lock:
                scope._sent_under = under if scope._sent_under is None else scope._sent_under & under


def with_their_outers(scopes: Iterable[StateT]) -> tuple[StateT, ...]:
    """These scopes and all that they were made within, each once: the innermost last.

    Those of each are complete already, so nothing that asks them goes further: in scopes within scopes, each of which
    was made in all of those around it, there are more ways than anybody can go.
    """
    return tuple(
        dict.fromkeys(each for scope in scopes for each in (*cast("tuple[StateT, ...]", scope._outers), scope))
    )


def required_sensitivity() -> frozenset[str]:
    """The categories of what is marked and runs here outside of any scope."""
    return required.get()
