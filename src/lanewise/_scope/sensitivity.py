"""How sensitive a scope is: it only rises, and what was sent before a rise is told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

from lanewise.types import Call

__all__ = ["Ratchet", "required", "required_sensitivity"]

required: Final[ContextVar[frozenset[str]]] = ContextVar("lanewise_sensitivity", default=frozenset())
"""Categories that any scope opened in this context falls under: a marked function that runs outside of any request."""
_log: Final = logging.getLogger("lanewise")


class Ratchet:
    """The sensitivity of one scope, and of the one that it was made within (``outer``), whatever that becomes later."""

    def __init__(
        self,
        request_id: str,
        outer: Ratchet | None,
        sensitive: frozenset[str],
        undeclared: str | None,
        late_marks: Callable[[], frozenset[str] | None] | None,
    ) -> None:
        self._request_id = request_id
        self._outer = outer
        self._sensitive = sensitive | required.get()
        self._undeclared = undeclared
        self._late_marks = late_marks
        self._compromised = False
        self._call_went_out = False
        self._lock = threading.Lock()

    @property
    def sensitive(self) -> frozenset[str]:
        """The categories that this scope's calls fall under, whatever their task adds.

        Where an adapter opened the scope, an endpoint that turns out to carry no mark counts as the router's
        ``undeclared`` says.
        """
        if self._late_marks is not None:
            marks = self._late_marks()
            if marks is not None:
                self._undeclared = None
                self.raise_sensitivity(*marks)
        own = self._sensitive
        if self._undeclared is not None and not own and self._undeclared.startswith("sensitive:"):
            own = frozenset((self._undeclared.removeprefix("sensitive:"),))
        return own if self._outer is None else own | self._outer.sensitive

    @property
    def refusal(self) -> str | None:
        """Why every call of this scope is refused from now on, or ``None``."""
        if self._compromised:
            return (
                "this request became sensitive after a call had already gone out. Mark the endpoint itself, so that "
                "the mark is known before the first call"
            )
        if self._undeclared == "refuse" and not self._sensitive:
            return (
                "this endpoint does not say whether it is sensitive, and the config refuses such (undeclared = "
                '"refuse"). Mark it with @sensitive(...) or @standard, or by a path under [endpoints]'
            )
        return None if self._outer is None else self._outer.refusal

    def look_at(self, late_marks: Callable[[], frozenset[str] | None]) -> None:
        """Have the marks looked up elsewhere, where more is known of the endpoint (adapters call this)."""
        self._late_marks = late_marks

    def declare(self) -> None:
        """Note that the endpoint says what it is: ``undeclared`` is not for it."""
        self._undeclared = None

    def raise_sensitivity(self, *categories: str) -> None:
        """Add categories. There is no way back: nothing takes one away.

        Raised after a call has gone out, the scope fails closed from there on, and an error is logged.
        """
        with self._lock:
            added = frozenset(categories) - self._sensitive
            if not added:
                return
            self._sensitive |= added
            self._undeclared = None
            late = self._call_went_out
            self._compromised = self._compromised or late
        if late:
            _log.error(
                "scope %s became sensitive (%s) after a call had gone out; its further calls fail closed. "
                "Mark the endpoint itself, so that the mark is known before the first call.",
                self._request_id,
                ", ".join(sorted(added)),
                extra={"request_id": self._request_id, "categories": sorted(added)},
            )

    def admits(self, call: Call) -> bool:
        """Whether a call of this scope may go on: it doesn't, once the scope is more sensitive than when it began.

        The router asks before each attempt and before each answer.
        """
        if self._sensitive and not self._sensitive.issubset(call.sensitive):
            return False
        return self._outer is None or self._outer.admits(call)

    def note_call(self) -> None:
        """Note that a call goes out in this scope: from now on it is too late to raise its sensitivity."""
        with self._lock:
            self._call_went_out = True
        if self._outer is not None:
            self._outer.note_call()


def required_sensitivity() -> frozenset[str]:
    """The categories of what is marked and runs here outside of any scope."""
    return required.get()
