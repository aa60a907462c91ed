"""Which routes may answer a call, and in which order.

Nothing here looks at health: a plan asks for that when it comes to a route.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from lanewise._routing.selection.ordering import Arrange, as_declared
from lanewise._transform.request_transform import may_stand_in
from lanewise.types import Api, FailureKind, LaneName

if TYPE_CHECKING:
    from lanewise.config import Lane, LaneEntry, Route, Task

__all__ = ["Candidate", "StaticCandidates", "candidates", "home_provider", "marked", "static_candidates"]

FIRST_TOKEN: Final = 20.0
FIRST_TOKEN_REASONING: Final = 60.0
"""Seconds to a stream's first content, where the route does not say."""

_RANKS: Final = {lane: rank for rank, lane in enumerate(LaneName)}

Incapable = Callable[[str], str | None]
"""Tells why a route can't take the call at hand, or ``None`` if it can."""


class Candidate(msgspec.Struct, frozen=True):
    """A route that a call may get to. ``timeout`` and ``first_token`` are in seconds, ``context_window`` in tokens.
    A timeout that is not ``timeout_declared`` holds only while another route could be used.

    ``on`` is the failures that may move the call here. A candidate that is ``incapable`` is never sent to; the text
    says why, for the trace, and ``too_small`` that it is for the length of the question or of the answer.
    """

    route: str
    lane: LaneName
    on: frozenset[FailureKind]
    timeout: float
    first_token: float | None
    context_window: int | None
    incapable: str | None = None
    too_small: bool = False
    timeout_declared: bool = True


StaticCandidates = Mapping[tuple[Api, LaneName | None, bool], tuple[Candidate, ...]]
"""A task's candidates by kind of API, starting lane, and whether the call asks for reasoning."""


def candidates(
    task: Task,
    routes: Mapping[str, Route],
    *,
    api: Api,
    arrange: Arrange = as_declared,
    start: LaneName | None = None,
    approved: frozenset[str] | None = None,
    off: Mapping[str, str] | None = None,
    incapable: Incapable | None = None,
    bound_to: str | None = None,
    provider: str | None = None,
    windows: Mapping[str, int] | None = None,
    reasoning: bool = False,
) -> tuple[Candidate, ...]:
    """The routes of a task for one call: the lanes from ``start`` on, then those before it.

    ``arrange`` gives the order within a lane. ``approved`` are the only routes that a sensitive call may get to: others
    are left out altogether. ``off`` says which routes have no key, and why. A call that is bound to a provider's memory
    has the route in ``bound_to``, or where that is unknown a ``provider``. ``windows`` are the context windows that are
    known of routes which don't declare theirs. ``reasoning`` says that the call asks for it, so its first token comes
    later.

    Embeddings stay with the vectors of the task's first usable route, wherever the call starts.

    Example::

        candidates(task, config.routes, api=Api.CHAT)
    """
    off = off or {}
    windows = windows or {}
    entries = [
        (lane, entry)
        for lane in _turned(task.lanes, start)
        for entry in arrange(lane)
        if approved is None or entry.route in approved
    ]
    model = _vectors_of(task, routes, approved, off) if api is Api.EMBEDDINGS else None

    def reason(route: Route) -> str | None:
        if route.name in off:
            return off[route.name]
        if api not in route.api:
            return f"does not offer {api}"
        if bound_to is not None and route.name != bound_to:
            return f"the call is bound to {bound_to}"
        if provider is not None and route.provider != provider:
            return f"the call is bound to what {provider} keeps"
        if model is not None and not may_stand_in(model, route):
            return f"gives other embeddings than {model.name}"
        return incapable(route.name) if incapable is not None else None

    def candidate(lane: Lane, entry: LaneEntry) -> Candidate:
        route = routes[entry.route]
        window = route.context_window or windows.get(route.name)
        return _candidate(lane, entry, route, reason(route), window, reasoning)

    return tuple(candidate(lane, entry) for lane, entry in entries)


def static_candidates(
    task: Task,
    routes: Mapping[str, Route],
    *,
    off: Mapping[str, str] | None = None,
    windows: Mapping[str, int] | None = None,
) -> StaticCandidates:
    """What :func:`candidates` gives for all plain calls of a task, made once.

    A plain call is not bound, not sensitive, and the transform of each of its routes takes it (else:
    :func:`marked`). A task whose calls each have their own order has no such table: it is empty.

    Example::

        found = table.get((Api.CHAT, None, body.asks_reasoning)) or candidates(...)
    """
    if task.select != "order":
        return {}
    return {
        (api, start, reasoning): candidates(
            task, routes, api=api, start=start, off=off, windows=windows, reasoning=reasoning
        )
        for api in Api
        for start in (None, *LaneName)
        for reasoning in (False, True)
    }


def marked(found: tuple[Candidate, ...], incapable: Incapable) -> tuple[Candidate, ...]:
    """The candidates, with those that can't take the call at hand marked; the same tuple if all can.

    Example::

        found = marked(found, lambda route: ways[route].recipe.incapable(body, Api.CHAT))
    """
    reasons = [candidate.incapable or incapable(candidate.route) for candidate in found]
    if all(reason is candidate.incapable for reason, candidate in zip(reasons, found, strict=True)):
        return found
    return tuple(
        msgspec.structs.replace(candidate, incapable=reason) for reason, candidate in zip(reasons, found, strict=True)
    )


def home_provider(task: Task, routes: Mapping[str, Route]) -> str:
    """The provider of a task's first route: where a bound call goes if nobody knows what made the memory.

    Example::

        assert home_provider(config.tasks["ticket-summary"], config.routes) == "openai"
    """
    return routes[task.primary.entries[0].route].provider


def _turned(lanes: tuple[Lane, ...], start: LaneName | None) -> tuple[Lane, ...]:
    rank = _RANKS[start] if start is not None else 0
    later = tuple(lane for lane in lanes if _RANKS[lane.name] >= rank)
    return later + tuple(lane for lane in lanes if _RANKS[lane.name] < rank)


def _vectors_of(
    task: Task, routes: Mapping[str, Route], approved: frozenset[str] | None, off: Mapping[str, str]
) -> Route | None:
    """The route whose embeddings the task's calls must keep to: the first declared that can answer at all."""
    for lane in task.lanes:
        for entry in lane.entries:
            route = routes[entry.route]
            usable = route.name not in off and Api.EMBEDDINGS in route.api
            if usable and (approved is None or route.name in approved):
                return route
    return None


def _candidate(
    lane: Lane, entry: LaneEntry, route: Route, incapable: str | None, window: int | None, reasoning: bool
) -> Candidate:
    return Candidate(
        route=route.name,
        lane=lane.name,
        on=lane.moves_on(entry),
        timeout=route.timeout,
        first_token=route.first_token or (FIRST_TOKEN_REASONING if reasoning or route.reasoning else FIRST_TOKEN),
        context_window=window,
        incapable=incapable,
        timeout_declared="timeout" in route.model_fields_set,
    )
