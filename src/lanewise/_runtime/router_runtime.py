"""What all calls of a router share: its config, upstreams, health, limits, budgets, and what was learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lanewise._contracts.contract import DeclaredContract
from lanewise._contracts.format_cache import FormatCache
from lanewise._contracts.isolated_checks import IsolatedChecks
from lanewise._health.breaker_changes import watch_breakers
from lanewise._health.hedge_budget import HedgeBudget
from lanewise._health.rate_limits.client_limit import ClientLimit
from lanewise._health.rate_limits.gcra_limit import Caps
from lanewise._health.rate_limits.rate_limiter import RateLimiter
from lanewise._health.route_latencies import RouteLatencies
from lanewise._health.router_health import RouterHealth
from lanewise._health.sharing.shared_health import share
from lanewise._openai.parameters import OUTPUT_LIMITS
from lanewise._prices.price_book import PriceBook, context_window
from lanewise._replay.replays import Replays
from lanewise._replay.replays_in_memory import ReplaysInMemory
from lanewise._replay.sealed_replays import HEADERS_BYTES, SealedReplays
from lanewise._replay.shared_replays import SharedReplays
from lanewise._reviews import ReviewQueue
from lanewise._routing.selection.context_window import TokenLimits
from lanewise._routing.selection.conversations import Conversations
from lanewise._routing.selection.ordering import wants_costs, wants_latencies
from lanewise._runtime.budget_store import router_budgets
from lanewise._runtime.call.attempts.attempt_types import ByteLimits
from lanewise._runtime.candidate_selector import CandidateSelector, SelectorContext
from lanewise._runtime.loops.lifecycle import BackgroundServices
from lanewise._runtime.response_affinity import ResponseAffinity
from lanewise._runtime.review_callbacks import ReviewHooks
from lanewise._runtime.shared_affinity import SharedAffinity
from lanewise._runtime.shared_pins import SharedPins
from lanewise._runtime.sinks import Recording
from lanewise._runtime.upstreams import Upstream
from lanewise.config import Config, Credentials

__all__ = ["Learned", "RouterRuntime"]

LEARNED_FOR: Final = 3600.0
"""Seconds for which a refused parameter is left out before it is tried again."""

_NOTHING: Final[frozenset[str]] = frozenset()


class Learned:
    """Parameters and additions that a route refused, for an hour each."""

    def __init__(self) -> None:
        self._until: dict[str, dict[str, float]] = {}
        self._suspected_until: dict[tuple[str, str], float] = {}

    def of(self, route: str, now: float) -> frozenset[str]:
        """What is left out on a route now."""
        until = self._until.get(route)
        if not until:
            return _NOTHING
        return frozenset(parameter for parameter, end in until.items() if end > now)

    def add(self, route: str, parameter: str, now: float) -> bool:
        """Leave a parameter out on a route from now on. Whether this is the first time in this process."""
        self._suspected_until.pop((route, parameter), None)
        is_new = parameter not in self._until.get(route, {})
        self._until[route] = {**self._until.get(route, {}), parameter: now + LEARNED_FOR}
        return is_new

    def suspect(self, route: str, parameter: str, now: float) -> bool:
        """Note that a route answered without a parameter, after it had refused the request and not said why.

        Whether that was so before, within the hour.
        """
        before = self._suspected_until.get((route, parameter), 0.0) > now
        self._suspected_until[route, parameter] = now + LEARNED_FOR
        return before


class RouterRuntime:
    """Shared by all calls of a router, in both of its homes."""

    def __init__(
        self,
        config: Config,
        upstreams: dict[str, Upstream],
        credentials: Credentials,
        *,
        contracts: Mapping[str, DeclaredContract],
        services: BackgroundServices,
        recording: Recording,
        review_hooks: ReviewHooks,
    ) -> None:
        off = credentials.off_routes
        self.config = config
        self.upstreams = upstreams
        self.off = off
        self.secret = credentials.secret
        self.seal = credentials.seal
        self.store = credentials.store
        self.contracts = contracts
        self.services = services
        self.health = RouterHealth(config, off)
        watch_breakers(config, self.health, recording.breaker)
        self.limiters = _limiters(config)
        self.client_limits = _client_limits(config)
        services.follow(self.health, *self.limiters.values(), *self.client_limits.values())
        if credentials.store is not None and (config.router.health.breakers or self.limiters or self.client_limits):
            services.add(share(config, credentials.store, self.health, self.limiters, self.client_limits))
        self.recording = recording
        self.prices = PriceBook(config)
        self.prices.load()
        self.budgets = router_budgets(config, self.prices, credentials, services)
        self.review_hooks = review_hooks
        self.reviews: ReviewQueue | None = None
        if credentials.ledger is not None and credentials.seal is not None:
            self.reviews = ReviewQueue(credentials.ledger, credentials.seal)
            services.add(self.reviews)
            if any(category.on_failure == "review" for category in config.sensitive.values()):
                self.reviews.load()
        self.learned = Learned()
        shared_affinity = None if credentials.store is None else SharedAffinity(credentials.store)
        if shared_affinity is not None:
            services.add(shared_affinity)
        self.affinity = ResponseAffinity(shared_affinity)
        tasks = config.tasks.values()
        self.latencies = RouteLatencies() if any(map(wants_latencies, tasks)) else None
        self.hedges = {task.name: HedgeBudget(task.hedge) for task in tasks if task.hedge is not None}
        wants_shares = any(task.sticky == "conversation" or wants_costs(task) for task in tasks)
        pins = SharedPins(credentials.store) if credentials.store is not None and wants_shares else None
        if pins is not None:
            services.add(pins)
        self.conversations = Conversations(self.secret, pins) if wants_shares else None
        shared = SelectorContext(
            config,
            upstreams,
            off,
            self.secret,
            self.affinity,
            _token_limits(config),
            self.prices,
            RouteLatencies() if self.latencies is None else self.latencies,
            self.conversations,
        )
        self.selectors = {task.name: CandidateSelector(task, shared) for task in tasks}
        self.replay = _replay(config, credentials, services)
        self.formats = FormatCache()
        self.checks = IsolatedChecks()
        services.add(self.checks)
        settings = config.router
        self.limits = ByteLimits(settings.max_answer_bytes, settings.max_embeddings_bytes, settings.max_event_bytes)


def _limiters(config: Config) -> dict[str, RateLimiter]:
    """A rate limiter for each provider that has a cap; providers of one account share theirs."""
    accounts: dict[str, RateLimiter] = {}
    limiters = {}
    for provider in config.providers.values():
        if provider.rpm is not None or provider.tpm is not None or provider.max_concurrency is not None:
            caps = Caps(provider.rpm, provider.tpm, provider.max_concurrency)
            limiters[provider.name] = accounts.setdefault(f"{provider.account} {caps}", RateLimiter(caps))
    return limiters


def _client_limits(config: Config) -> dict[str, ClientLimit]:
    """A limit for each client of the app's own endpoint that has one."""
    return {
        name: ClientLimit(Caps(rpm=client.rpm, max_concurrency=client.max_concurrency))
        for name, client in config.clients.items()
        if client.rpm is not None or client.max_concurrency is not None
    }


def _replay(config: Config, credentials: Credentials, services: BackgroundServices) -> SealedReplays | None:
    """The replay of answers; ``None`` without a storage key: they are stored sealed only, which the config requires."""
    keep, largest = config.router.replay, config.router.max_replay_bytes
    if keep is None or credentials.seal is None:
        return None
    replays: Replays = ReplaysInMemory()
    if credentials.store is not None:
        replays = shared = SharedReplays(credentials.store, largest + HEADERS_BYTES)
        services.add(shared)
    return SealedReplays(replays, credentials.seal, keep=keep, largest=largest)


def _token_limits(config: Config) -> dict[str, TokenLimits]:
    """What each route can take. One that sets the limit of its answers itself gets no other, whatever the app asks."""
    return {
        route.name: TokenLimits(
            context_window(route, config.providers[route.provider]),
            route.context_window is not None,
            None if route.set.keys() & set(OUTPUT_LIMITS) else route.max_output,
        )
        for route in config.routes.values()
    }
