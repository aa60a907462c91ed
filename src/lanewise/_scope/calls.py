"""The calls of a scope: the latest ones readable, found by their replies, and ended when the caller hangs up."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Final

from lanewise._scope.reply_ids import reply_ids
from lanewise._scope.sensitivity import SensitivityState
from lanewise.types import Call, LaneName, Outcome

__all__ = ["ScopeCalls"]

CALLS_KEPT: Final = 256
"""How many of a scope's latest calls stay readable."""


class ScopeCalls(SensitivityState):
    """The calls made in one scope, and its sensitivity, which each of them falls under.

    Those of a scope that is made within others end with their requests too, and are part of what went wrong in them.
    """

    _outers: tuple[ScopeCalls, ...]

    # What most requests never need is made when it is: nothing of this is of one instance until then.
    _calls: deque[Call] | tuple[()] = ()
    _inner_calls: deque[Call] | tuple[()] = ()
    _by_reply: OrderedDict[str, Call] | None = None
    _ordinals: dict[bytes, int] | None = None
    _running: set[tuple[Callable[[], None], ScopeCalls]] | None = None
    """How each call is ended that runs, and by which scope it was made: this one, or one within."""
    on_busy: Callable[[], None] | None = None
    ends_at_hang_up = True
    """Whether its calls end where the caller of the request hangs up."""
    _lanes_before: frozenset[LaneName] = frozenset()
    """The lanes that answered calls which are no longer among the latest."""
    has_calls = False
    """Whether any was made, here or in a scope within."""

    @property
    def calls(self) -> tuple[Call, ...]:
        """The latest calls, oldest first: each from its start, the last 256 of them."""
        return tuple(self._calls)

    @property
    def calls_within(self) -> tuple[Call, ...]:
        """The latest calls of this scope, and those of scopes that are within it (adapters ask for them)."""
        return (*self._inner_calls, *self._calls)

    @property
    def lanes(self) -> tuple[LaneName, ...]:
        """The lanes that have answered calls so far, here and in scopes within: each once, the best one first."""
        if not self.has_calls:
            return ()
        found = {call.lane for call in self.calls_within if not call.labels or call.draft_of is None}
        found.update(self._lanes_before)
        return tuple(lane for lane in LaneName if lane in found)

    def call_for(self, reply: object) -> Call:
        """The call that gave ``reply``. Raises LookupError: it is none of this scope's last ones."""
        known: Mapping[str, Call] = self._by_reply or {}
        for candidate in reply_ids(reply):
            call = known.get(candidate)
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

    def add_call(self, call: Call) -> None:
        """Remember a call from its start, or one that was refused before it (the router calls this)."""
        with self._lock:
            self._calls = self._appended(self._calls, call)
            self.has_calls = True
        for outer in self._outers:
            outer._add_inner_call(call)
        if call.outcome is not Outcome.REFUSED:
            self.note_call(call)

    def _add_inner_call(self, call: Call) -> None:
        with self._lock:
            self._inner_calls = self._appended(self._inner_calls, call)
            self.has_calls = True

    def _appended(self, calls: deque[Call] | tuple[()], call: Call) -> deque[Call]:
        found = calls if isinstance(calls, deque) else deque(maxlen=CALLS_KEPT)
        if len(found) == CALLS_KEPT and found[0].lane is not None and found[0].draft_of is None:
            self._lanes_before |= {found[0].lane}
        found.append(call)
        return found

    def answered(self, reply_id: str, call: Call) -> None:
        """Remember under which id the app will know the reply (the router calls this)."""
        with self._lock:
            if self._by_reply is None:
                self._by_reply = OrderedDict()
            for key in (reply_id, call.id):
                self._by_reply[key] = call
            while len(self._by_reply) > 2 * CALLS_KEPT:
                self._by_reply.popitem(last=False)

    def add_running(self, hang_up: Callable[[], None]) -> None:
        """Remember how to end a call that runs (the router calls this)."""
        for scope in (self, *self._outers):
            scope._add_running(hang_up, self)

    def remove_running(self, hang_up: Callable[[], None]) -> None:
        """Forget a call that no longer runs (the router calls this)."""
        for scope in (self, *self._outers):
            scope._remove_running(hang_up, self)

    def _add_running(self, hang_up: Callable[[], None], owner: ScopeCalls) -> None:
        """Remember a call that runs here or in a scope within: it ends with the request that either belongs to."""
        with self._lock:
            if self._running is None:
                self._running = set()
            self._running.add((hang_up, owner))
        if self.on_busy is not None:
            self.on_busy()

    def _remove_running(self, hang_up: Callable[[], None], owner: ScopeCalls) -> None:
        if self._running is not None:
            self._running.discard((hang_up, owner))

    @property
    def is_busy(self) -> bool:
        """Whether a call runs, or a stream of one is still being read."""
        return bool(self._running)

    def hang_up(self) -> None:
        """End the calls that run, here and in scopes within: the caller of the request has gone.

        They raise CallerGone; later ones are made. It may come from any thread.
        """
        if not self.ends_at_hang_up:
            return
        for end, owner in tuple(self._running or ()):
            if owner.ends_at_hang_up:
                end()

    def ordinal(self, digest: bytes) -> int:
        """How many identical calls this scope has made, this one included: 1, 2, ..."""
        with self._lock:
            if self._ordinals is None:
                self._ordinals = {}
            count = self._ordinals.get(digest, 0) + 1
            self._ordinals[digest] = count
        return count
