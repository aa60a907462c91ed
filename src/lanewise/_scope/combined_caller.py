"""The caller of a call: the one place where the marks, the subject and the scopes of what runs here are read.

Sensitivity belongs to what runs, not to the client that it happens to hold: a call falls under everything that the
client's scope, and each scope that is entered where it is made, falls under.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from lanewise._scope.entered import began_here, entered_states
from lanewise._scope.sensitivity import required_sensitivity, with_their_outers
from lanewise._scope.state import ScopeState
from lanewise.errors import NotInScope
from lanewise.scope import OVER, Scope, state_of
from lanewise.types import Call, LaneName, Outcome

__all__ = ["CombinedCaller", "FindScope", "caller_of", "scopes_here"]

FindScope = Callable[[], Scope | None]
"""Finds the scope of the request that is being served by what the framework knows, where no context variable has it."""

_NO_SCOPE: Final = (
    "an AI call was made outside any request, so nothing tells whether it is sensitive, and nothing was sent. In a "
    "thread of your own take the request's scope along: `executor.submit(scope.wrap(function))`. A job that belongs to "
    "no request opens a scope of its own: `with router.scope(detached=True) as scope:` (`router.scope()` alone is "
    "part of the request around it)"
)


def scopes_here(finders: tuple[FindScope, ...]) -> tuple[ScopeState, ...]:
    """The scopes that this runs in, the current one last: by the context, and by what the frameworks know."""
    scopes = entered_states()
    for find in finders:
        found = find()
        if found is not None and state_of(found) not in scopes:
            scopes = (state_of(found), *scopes)
    return scopes


def caller_of(
    bound: Scope | None, finders: tuple[FindScope, ...], open_scope: Callable[[], Scope] | None
) -> ScopeState | CombinedCaller:
    """Who makes a call through a client of the scope ``bound``, or through one that is bound to none.

    All ways into the engine lead through here, in the app's own thread. ``open_scope`` opens a scope for a call outside
    of any; ``None`` where such calls are refused.

    Raises NotInScope: the call is made outside of any scope, or in one whose request is over and did not begin this.

    Example::

        reply = await engine.ask(ask, caller_of(scope, (), router.scope))
    """
    here = scopes_here(finders) if finders else entered_states()
    owner = state_of(bound) if bound is not None else here[-1] if here else None
    if owner is None:
        if open_scope is None:
            raise NotInScope(_NO_SCOPE)
        return state_of(open_scope())
    for state in (owner, *here):
        if state.finished and not began_here(state) and not any(_finds(find, state) for find in finders):
            raise NotInScope(OVER % state.request_id)
    owner.resolve_subject()
    required = required_sensitivity()
    if not required and (not here or here == (owner,)) and not owner.was_entered_elsewhere:
        return owner
    return CombinedCaller(owner, here, required)


def _finds(find: FindScope, state: ScopeState) -> bool:
    found = find()
    return found is not None and state_of(found) is state


class CombinedCaller:
    """A call made in several scopes: the sensitivity of all of them holds.

    Everything else is the business of the scope that the client is bound to: its id, its calls, its hang-up.
    """

    def __init__(self, owner: ScopeState, here: tuple[ScopeState, ...], required: frozenset[str]) -> None:
        self.request_id = owner.request_id
        self.subject: str | None = owner.subject
        self.labels: Mapping[str, str] = owner.labels
        self.start: LaneName | None = owner.start
        self.forwarded = owner.forwarded
        self.client = owner.client
        self.named = owner.named
        self._owner = owner
        self._scopes = here if owner in here else (owner, *here)
        self._all = with_their_outers(self._scopes)
        self._required = required

    @property
    def review(self) -> bytes | None:
        """What a person is to know: of the scope's own call, or else of what it is made in."""
        scopes = (self._owner, *reversed(self._scopes))
        return next((review for scope in scopes if (review := scope.review) is not None), None)

    @property
    def sensitive(self) -> frozenset[str]:
        """The categories of all the scopes, and of the marks.

        Where no request is known, those of all that the scopes were ever entered in: it may be any of them.
        """
        found = self._required.union(*(scope.sensitive for scope in self._scopes))
        if any(scope.is_request for scope in self._scopes):
            return found
        return found.union(*(scope.surroundings() for scope in self._scopes))

    @property
    def refusal(self) -> str | None:
        """Why the call is refused, by any of the scopes."""
        return next((refusal for scope in self._scopes if (refusal := scope.refusal) is not None), None)

    def close_under(self, categories: frozenset[str]) -> None:
        """Have all further calls in the request fall under these categories; outside of any, those in the scopes."""
        in_request = [scope for scope in self._scopes if scope.in_request]
        for scope in in_request or self._scopes:
            scope.close_under(categories if in_request else categories - scope.surroundings())

    def still_allowed(self, call: Call) -> bool:
        """Whether all the scopes still let the call go on."""
        return all(scope.still_allowed(call) for scope in self._scopes)

    def add_running(self, hang_up: Callable[[], None]) -> None:
        """Remember a call that runs in each of the scopes: the end of the request that any belongs to ends it."""
        for scope in self._all:
            scope._add_running(hang_up, self._owner)

    def remove_running(self, hang_up: Callable[[], None]) -> None:
        """Forget a call that no longer runs in each of the scopes."""
        for scope in self._all:
            scope._remove_running(hang_up, self._owner)

    def add_call(self, call: Call) -> None:
        """Remember a call in its own scope; in the others, a mark that comes later is too late for it."""
        self._owner.add_call(call)
        for scope in self._all:
            if scope is self._owner or scope in self._owner._outers:
                continue
            scope._add_inner_call(call)
            if call.outcome is not Outcome.REFUSED:
                scope.note_call(call)

    def answered(self, reply_id: str, call: Call) -> None:
        """Note under which id a reply of the scope is known."""
        self._owner.answered(reply_id, call)

    def ordinal(self, digest: bytes) -> int:
        """How many calls of the scope had this digest before: its request id is in the idempotency key."""
        return self._owner.ordinal(digest)
