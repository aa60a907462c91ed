"""Where a call may go: the lane that it starts in, the routes in their order, and which of them can take it."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Final

import msgspec

from lanewise._failures import failure_table as failures
from lanewise._health.route_latencies import RouteLatencies
from lanewise._openai.encodings import encoding_of
from lanewise._openai.request_body import binding, bound_by
from lanewise._openai.token_estimate import text_bytes
from lanewise._prices.price_book import PriceBook, asked_tier
from lanewise._routing.call_progress import NO_ROUTE
from lanewise._routing.selection.candidates import Candidate, candidates, home_provider, marked, static_candidates
from lanewise._routing.selection.context_window import TokenDemand, TokenLimits, fitting, undecided
from lanewise._routing.selection.conversations import Conversation, Conversations, conversation_key, pinned_first
from lanewise._routing.selection.ordering import (
    SAME_IN_ALL_WORKERS,
    Arrange,
    order_of,
    subject_picks,
)
from lanewise._routing.selection.request_attributes import RequestAttributes, asked_output, likely_tokens
from lanewise._routing.selection.start_rules import compile_rule
from lanewise._runtime.messages import Caller
from lanewise._runtime.response_affinity import ResponseAffinity
from lanewise._runtime.upstreams import Upstream
from lanewise._transform.request_transform import RequestBody
from lanewise.config import Config, Route, Task
from lanewise.types import Api, Failure, LaneName

__all__ = ["CandidateSelector", "NeedsTokenCount", "Selection", "SelectorContext"]

ASSUMED_OUTPUT: Final = 500
"""Tokens that an answer is taken to have where the app sets no limit: for the order of routes by cost alone."""

_HOUR: Final = 3600
_HOURS: Final = 24


class NeedsTokenCount(msgspec.Struct, frozen=True):
    """A call for which an estimate does not decide whether it fits the routes of ``models``, and a count would."""

    found: tuple[Candidate, ...]
    need: TokenDemand
    token_limits: Mapping[str, TokenLimits]
    models: Mapping[str, str]

    def fitting(self, counts: Mapping[str, int]) -> tuple[Candidate, ...]:
        """The candidates by the question's tokens for each route."""
        return fitting(self.found, self.need, self.token_limits, counts)


class Selection(msgspec.Struct, frozen=True):
    """The routes of a call. ``start``: the lane that it begins in, and by which rule; ``bound``: why it stays;
    ``no_candidate``: how it fails if no route can take it."""

    candidates: tuple[Candidate, ...]
    start: str | None
    bound: str | None
    no_candidate: Failure
    needs_count: NeedsTokenCount | None = None
    conversation: Conversation | None = None
    """What its conversation is known by, where the task's calls stick to that."""


class SelectorContext(msgspec.Struct, frozen=True):
    """What the selectors of a router's tasks have in common."""

    config: Config
    upstreams: Mapping[str, Upstream]
    off: Mapping[str, str]
    secret: bytes | None
    affinity: ResponseAffinity
    token_limits: Mapping[str, TokenLimits]
    prices: PriceBook
    latencies: RouteLatencies
    conversations: Conversations | None = None

    def __repr__(self) -> str:
        return f"<SelectorContext of {len(self.config.tasks)} tasks>"


class CandidateSelector:
    """Lists the candidates of one task's calls. What does not depend on the call is worked out once."""

    def __init__(self, task: Task, shared: SelectorContext) -> None:
        self._task = task
        self._shared = shared
        routes, upstreams, token_limits = shared.config.routes, shared.upstreams, shared.token_limits
        self._windows = {route: window for route in task.routes if (window := token_limits[route].window) is not None}
        self._static = static_candidates(task, routes, off=shared.off, windows=self._windows)
        self._takes_all = all(upstreams[route].transform.takes_all for route in task.routes if route in upstreams)
        self._conversations = shared.conversations if task.sticky == "conversation" else None
        self._may_start_elsewhere = task.start is not None
        self._always, self._rules = _start_of(task)
        has_caps = any(token_limits[route].max_output is not None for route in task.routes)
        self._measured_from = 0 if has_caps else min(self._windows.values(), default=math.inf)
        """Bytes of a body: a shorter one has room anywhere, and need not be measured."""
        self._home_provider = home_provider(task, routes)
        self._countable = _countable(task, routes)

    def list(self, body: RequestBody, api: Api, caller: Caller, approved: frozenset[str] | None) -> Selection:
        """The candidates of a call. ``approved`` are the only routes that may answer it, if it is sensitive."""
        lane, reason = None, ""
        if self._may_start_elsewhere or caller.start is not None:
            lane, reason = self._starting_lane(body, api, caller)
        bound = binding(body, api)
        if approved is None and bound is None:
            found = self._unrestricted(body, api, caller, lane)
        else:
            found = self._restricted(body, api, caller, lane, approved, bound=bound is not None)
        start = None if lane is None else f"{lane}: {reason}"
        conversation = None
        if self._conversations is not None and bound is None:
            key = conversation_key(body, api, caller.labels)
            if key is not None:
                home = found[0].route if found and self._task.select in SAME_IN_ALL_WORKERS else None
                found = pinned_first(found, self._conversations.route_of(self._task.name, key, time.monotonic()), lane)
                conversation = Conversation(key, home, found[0].route if found else None)
        if len(body.raw) > self._measured_from:
            return self._measured(found, body, api, start, bound, conversation)
        no_candidate = NO_ROUTE if bound is None else _no_candidate(found, bound, body, api)
        return Selection(found, start, bound, no_candidate, conversation=conversation)

    def _measured(
        self,
        found: tuple[Candidate, ...],
        body: RequestBody,
        api: Api,
        start: str | None,
        bound: str | None,
        conversation: Conversation | None,
    ) -> Selection:
        """The candidates, with those marked that the question, or the answer that is asked for, does not fit."""
        token_limits = self._shared.token_limits
        need = TokenDemand.estimated(text_bytes(body.raw), asked_output(body))
        fits = fitting(found, need, token_limits)
        models = {
            route: self._countable[route] for route in undecided(found, need, token_limits) if route in self._countable
        }
        doubt = NeedsTokenCount(found, need, token_limits, models) if models else None
        return Selection(fits, start, bound, _no_candidate(fits, bound, body, api), doubt, conversation)

    def _starting_lane(self, body: RequestBody, api: Api, caller: Caller) -> tuple[LaneName | None, str]:
        """The lane to start in, and why. A drill comes first, then the rules in their order."""
        if caller.start is not None:
            return caller.start, "its scope says so"
        if not self._rules:
            return self._always, "its task says so"
        attributes = RequestAttributes(
            body, api, task=self._task.name, labels=caller.labels, subject=caller.subject is not None, hour=_hour
        )
        for condition, lane, text in self._rules:
            if condition(attributes):
                return lane, text
        return None, ""

    def _unrestricted(
        self, body: RequestBody, api: Api, caller: Caller, start: LaneName | None
    ) -> tuple[Candidate, ...]:
        """The candidates of a call that may go to any route: mostly a look-up."""
        found = self._static.get((api, start, body.asks_reasoning))
        if found is None:
            return self._restricted(body, api, caller, start, None, bound=False)
        return found if self._takes_all else marked(found, self._incapable(body, api))

    def _restricted(
        self,
        body: RequestBody,
        api: Api,
        caller: Caller,
        start: LaneName | None,
        approved: frozenset[str] | None,
        *,
        bound: bool,
    ) -> tuple[Candidate, ...]:
        """The candidates of a call that is sensitive, bound to one provider's memory, or has an order of its own."""
        bound_to, provider = self._bound_to(body) if bound else (None, None)
        return candidates(
            self._task,
            self._shared.config.routes,
            api=api,
            arrange=self._arranged(body, api, caller),
            start=start,
            approved=approved,
            off=self._shared.off,
            incapable=self._incapable(body, api),
            bound_to=bound_to,
            provider=provider,
            windows=self._windows,
            reasoning=body.asks_reasoning,
        )

    def _arranged(self, body: RequestBody, api: Api, caller: Caller) -> Arrange:
        """The order within the lanes for this call."""
        task, routes, latencies = self._task, self._shared.config.routes, self._shared.latencies
        sticks_to = None
        if task.sticky is not None:
            is_subject = task.sticky == "subject"
            sticks_to = caller.subject if is_subject else conversation_key(body, api, caller.labels)
        return order_of(
            task,
            routes,
            picks=_random_pick if sticks_to is None else subject_picks(sticks_to, self._shared.secret),
            costs=lambda: self._cost_of(body, api),
            speed=lambda route: latencies.seconds(route, api, stream=body.stream),
            fails=lambda route: latencies.fails(route, api),
        )

    def _cost_of(self, body: RequestBody, api: Api) -> Callable[[str], float | None]:
        """What a route takes for the call, in US dollars: estimated, for one order of the routes."""
        output = 0 if api is Api.EMBEDDINGS else asked_output(body) or ASSUMED_OUTPUT
        input_tokens = likely_tokens(body)
        prices, routes, conversations = self._shared.prices, self._shared.config.routes, self._shared.conversations

        def cost(route: str) -> float | None:
            share = 0.0 if conversations is None else conversations.cache_share(route)
            return prices.rough_cost(route, input_tokens, output, asked_tier(routes[route], body), share)

        return cost

    def _incapable(self, body: RequestBody, api: Api) -> Callable[[str], str | None]:
        upstreams = self._shared.upstreams
        return lambda route: upstreams[route].transform.incapable(body, api) if route in upstreams else None

    def _bound_to(self, body: RequestBody) -> tuple[str | None, str | None]:
        """The route, or else the provider, that a bound call has to stay with."""
        made = self._shared.affinity.made_for(body)
        route = None if made is None else made.route
        if route is None or route not in self._shared.config.routes:
            return None, self._home_provider
        if route in self._task.routes:
            return route, None
        return None, self._shared.config.routes[route].provider


def _no_candidate(found: tuple[Candidate, ...], bound: str | None, body: RequestBody, api: Api) -> Failure:
    """The failure of a call that no candidate can take."""
    if bound is not None:
        return failures.BOUND_GONE.failure(code="bound_provider_gone", param=bound_by(body, api), detail=bound)
    if any(candidate.too_small for candidate in found):
        return failures.TOO_LONG.failure(code="context_length_exceeded")
    return NO_ROUTE


def _countable(task: Task, routes: Mapping[str, Route]) -> dict[str, str]:
    """The routes whose models' tokens can be counted here, with the models: OpenAI's, if the extra is installed."""
    if find_spec("tiktoken") is None:
        return {}
    return {route: routes[route].model for route in task.routes if encoding_of(routes[route].model) is not None}


def _start_of(
    task: Task,
) -> tuple[LaneName | None, tuple[tuple[Callable[[RequestAttributes], bool], LaneName, str], ...]]:
    """The lane that all calls start in, or the rules that pick it."""
    if task.start is None or isinstance(task.start, LaneName):
        return task.start, ()
    return None, tuple((compile_rule(rule.when), rule.lane, rule.when) for rule in task.start)


def _random_pick(_: str) -> float:
    """Another number each time: for calls that stick to nothing."""
    return random.random()


def _hour() -> int:
    return int(time.time()) // _HOUR % _HOURS
