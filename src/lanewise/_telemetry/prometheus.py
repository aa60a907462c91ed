"""The sink of Prometheus: counters and histograms of calls and attempts. Needs the extra ``prometheus``."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from lanewise._telemetry import semconv as names
from lanewise.types import Attempt, Call, HealthState, Score
from lanewise.types.health import BreakerChange
from lanewise.types.sinks import Record

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ["PrometheusSink"]


_BREAKER: Final = ("route", "api", "account")


class _Metrics:
    """The metrics of one registry. Their labels are few: tasks, routes, lanes, failures."""

    def __init__(self, registry: CollectorRegistry) -> None:
        from prometheus_client import Counter, Gauge, Histogram

        self.calls = Histogram(
            "lanewise_call_seconds",
            "Duration of calls: attempts and waits, to the end of the answer.",
            ("task", "lane", "route", "outcome", "failure"),
            buckets=names.SECONDS,
            registry=registry,
        )
        self.attempts = Histogram(
            "lanewise_attempt_seconds",
            "Duration of attempts.",
            ("task", "lane", "route", "failure"),
            buckets=names.SECONDS,
            registry=registry,
        )
        self.tokens = Counter(
            "lanewise_tokens",
            "Tokens in and out, by the providers' count or estimated.",
            ("task", "route", "type", "counted"),
            registry=registry,
        )
        self.cost = Counter(
            "lanewise_cost_usd",
            "US dollars, where the cost is reported, known or estimated.",
            ("task", "route", "status"),
            registry=registry,
        )
        self.uncosted = Counter(
            "lanewise_attempts_of_unknown_cost",
            "Attempts that may have been billed, nobody knows how much.",
            ("task", "route"),
            registry=registry,
        )
        self.loop_lag = Histogram(
            "lanewise_loop_lag_seconds",
            "By how much the event loop was late, measured each 50 ms while attempts run.",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
            registry=registry,
        )
        self.breaker_open = Gauge(
            "lanewise_breaker_open",
            "1 while a breaker is open, half-open or throttled; of an account, route and api are empty.",
            _BREAKER,
            multiprocess_mode="livemax",
            registry=registry,
        )
        self.breaker_changes = Counter(
            "lanewise_breaker_changes",
            "Breakers that became open, throttled or closed, as this process heard of it.",
            (*_BREAKER, "state"),
            registry=registry,
        )
        self.scores = Histogram(
            "lanewise_score",
            "What the app found answers to be worth.",
            ("name",),
            buckets=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
            registry=registry,
        )


_metrics: Final[weakref.WeakKeyDictionary[CollectorRegistry, _Metrics]] = weakref.WeakKeyDictionary()
"""A registry takes a name once: the routers of a process share what is registered there."""
_lock: Final = threading.Lock()


class PrometheusSink:
    """Counts into a registry; the client's own default one unless given. What serves ``/metrics`` is the app's."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        from prometheus_client import REGISTRY

        chosen = REGISTRY if registry is None else registry
        with _lock:
            if chosen not in _metrics:
                _metrics[chosen] = _Metrics(chosen)
            self._of = _metrics[chosen]

    def observe_loop_lag(self, seconds: float) -> None:
        """Count one measurement."""
        self._of.loop_lag.observe(seconds)

    def breaker(self, change: BreakerChange) -> None:
        """Count a breaker that has opened or closed, at once."""
        labels = change.route or "", change.api or "", change.account
        self._of.breaker_changes.labels(*labels, change.state).inc()
        self._of.breaker_open.labels(*labels).set(change.state is not HealthState.CLOSED)

    def breakers(self, closed: Iterable[tuple[str, str, str]]) -> None:
        """Export the breakers that there are as closed, by route, api and account, before any of them opens."""
        for labels in closed:
            self._of.breaker_open.labels(*labels).set(0)

    def write(self, batch: Sequence[Record]) -> None:
        """Count them."""
        for record in batch:
            if isinstance(record, Score):
                self._of.scores.labels(record.name).observe(record.value)
            else:
                self._call(record)

    def close(self) -> None:
        """Do nothing: the registry is the app's."""

    def _call(self, call: Call) -> None:
        labels = call.task, call.lane or "", call.route or "", call.outcome or "", call.failure or ""
        self._of.calls.labels(*labels).observe((call.total_ms or 0.0) / 1000)
        for attempt in call.attempts:
            self._attempt(call.task, attempt)

    def _attempt(self, task: str, attempt: Attempt) -> None:
        metrics, route = self._of, attempt.route
        seconds = (attempt.total_ms or 0.0) / 1000
        metrics.attempts.labels(task, attempt.lane, route, attempt.failure or "").observe(seconds)
        counted = "estimated" if attempt.tokens_estimated else "provider"
        for kind, tokens in ("input", attempt.input_tokens), ("output", attempt.output_tokens):
            if tokens:
                metrics.tokens.labels(task, route, kind, counted).inc(tokens)
        if attempt.cost_usd is not None:
            metrics.cost.labels(task, route, attempt.cost_status).inc(attempt.cost_usd)
        elif attempt.cost_status == "unknown":
            metrics.uncosted.labels(task, route).inc()
