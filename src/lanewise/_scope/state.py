"""All that a scope is within: what its calls are made with, what it was entered in, and whether its request is over."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping

import msgspec

from lanewise._scope.calls import ScopeCalls
from lanewise._scope.labels import checked_labels
from lanewise.types import LaneName

__all__ = ["ScopeState"]


class ScopeState(ScopeCalls):
    """What the router, the clients and the adapters know of a scope; apps hold the ``Scope`` around it.

    Scopes that are made or entered within others fall under their sensitivity too, whatever it becomes later.
    """

    _outers: tuple[ScopeState, ...]
    finished = False
    """Whether the request that this is the scope of is over. A scope that the app opened never is."""
    was_entered_elsewhere = False
    """Whether this scope was ever entered in one that it was not made in."""
    _around: weakref.WeakSet[ScopeState] | None = None
    """Scopes that this one is entered in, and was not made in."""
    _was_under: frozenset[str] = frozenset()
    """The categories of those that it was entered in, and left again."""
    _review: bytes | None = None

    def __init__(
        self,
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
        outers: tuple[ScopeState, ...] = (),
        is_request: bool = False,
    ) -> None:
        super().__init__(request_id, outers, sensitive, undeclared, marks_resolver, is_request)
        self.subject = subject
        self.labels: Mapping[str, str] = {} if labels is None else checked_labels(labels)
        self.start = start
        """The lane that calls begin in, if it is not the first."""
        self.forwarded = forwarded
        """Headers that go upstream with each attempt."""
        self.client = client
        """The client of the app's own OpenAI endpoint whose request this is; ``None``: it is the app's."""
        self.named = named
        """What names the calls of this request for those that are tried again, if the caller named it (32 hex)."""
        self._late_subject = late_subject
        if review is not None:
            self.review_with(review)

    def label(self, labels: Mapping[str, str]) -> None:
        """Add labels, or change them, for the calls that are made from now on."""
        with self._lock:
            self.labels = checked_labels(self.labels, labels)

    @property
    def review(self) -> bytes | None:
        """What a person is to know if a call of this scope is left to one, as JSON."""
        if self._review is not None:
            return self._review
        return next((outer._review for outer in reversed(self._outers) if outer._review is not None), None)

    def review_with(self, data: Mapping[str, object]) -> None:
        """Keep what a person is to know. Raises TypeError: JSON can't say it."""
        try:
            self._review = msgspec.json.encode(dict(data))
        except (TypeError, ValueError, RecursionError) as error:
            problem = type(error).__name__
        else:
            return
        raise TypeError(f"what is given for a review must be what JSON can say, with texts as keys ({problem})")

    def resolve_subject(self) -> None:
        """Ask whose request it is, before the first call and in the app's own thread.

        Not earlier: the app itself may find out while the request runs, and a session that is read leaves its traces.
        """
        if self._late_subject is not None:
            self.subject = self._late_subject()
            self._late_subject = None

    def finish(self) -> None:
        """End the request: its scope makes calls only in what it began already."""
        self.finished = True

    # -- what it was entered in ------------------------------------------------------------------------------------

    def note_around(self, states: tuple[ScopeState, ...]) -> None:
        """Note in which scopes this one is entered. That of a request is what is around, wherever it is entered."""
        if self.is_request:
            return
        new = [state for state in states if state is not self and state not in self._outers]
        if new:
            with self._lock:
                if self._around is None:
                    self._around = weakref.WeakSet()
                    self.was_entered_elsewhere = True
                self._around.update(new)

    def note_left(self) -> None:
        """Note that this scope was left where it was entered: what it fell under there stays known."""
        self._was_under |= self.surroundings()

    def surroundings(self) -> frozenset[str]:
        """The categories of all that this scope was ever entered in: where nothing tells which it is, it may be any."""
        if self._around is None:
            return self._was_under
        with self._lock:
            around = tuple(self._around)
        return self._was_under.union(*(state.sensitive for state in around))
