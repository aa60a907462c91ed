"""A client used elsewhere than in the scope it was made for: kept from another request, say."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lanewise._scope.sensitivity import required_sensitivity
from lanewise.scope import Scope, current_scope
from lanewise.types import Call, LaneName, Outcome

__all__ = ["Lent", "caller_here"]


def caller_here(scope: Scope) -> Scope | Lent:
    """Who calls through a client of ``scope``: the scope itself, unless it is called in another one or under a mark.

    Example::

        reply = await engine.ask(ask, caller_here(scope))
    """
    here = current_scope()
    if here is scope:
        return scope
    required = required_sensitivity()
    return Lent(scope, here, required) if here is not None or required else scope


class Lent:
    """A scope whose client is used elsewhere: the sensitivity of both places holds.

    Everything else is the business of the scope that the client is bound to: its id, its calls, its hang-up.
    """

    def __init__(self, scope: Scope, here: Scope | None, required: frozenset[str]) -> None:
        self.request_id = scope.request_id
        self.subject: str | None = scope.subject
        self.labels: Mapping[str, str] = scope.labels
        self.review = scope.review if here is None or scope.review is not None else here.review
        self.start: LaneName | None = scope.start
        self.forwarded = scope.forwarded
        self._scope = scope
        self._here = here
        self._scopes = (scope,) if here is None else (scope, here)
        self._required = required

    @property
    def sensitive(self) -> frozenset[str]:
        """The categories of both scopes, and of the marks."""
        return self._required.union(*(scope.sensitive for scope in self._scopes))

    @property
    def refusal(self) -> str | None:
        """Why the call is refused, by either scope."""
        return next((refusal for scope in self._scopes if (refusal := scope.refusal) is not None), None)

    @property
    def closed_questions(self) -> Mapping[bytes, frozenset[str]]:
        """As the scope's own."""
        return self._scope.closed_questions

    def close_question(self, question: bytes, categories: tuple[str, ...]) -> None:
        """As the scope's own."""
        self._scope.close_question(question, categories)

    def admits(self, call: Call) -> bool:
        """Whether both scopes still let the call go on."""
        return all(scope.admits(call) for scope in self._scopes)

    def begun(self, hang_up: Callable[[], None]) -> None:
        """As the scope's own: its request's end is the call's."""
        self._scope.begun(hang_up)

    def ended(self, hang_up: Callable[[], None]) -> None:
        """As the scope's own."""
        self._scope.ended(hang_up)

    def add_call(self, call: Call) -> None:
        """As the scope's own; here, a mark that comes later is late."""
        self._scope.add_call(call)
        if self._here is not None and call.outcome is not Outcome.REFUSED:
            self._here.note_call()

    def answered(self, reply_id: str, call: Call) -> None:
        """As the scope's own."""
        self._scope.answered(reply_id, call)

    def ordinal(self, digest: bytes) -> int:
        """As the scope's own: its id is in the key."""
        return self._scope.ordinal(digest)
