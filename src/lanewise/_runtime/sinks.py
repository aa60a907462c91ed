"""Where the records of a router's calls go: to each sink by a writer of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from lanewise._prices.daily_cost import DailyCost
from lanewise._runtime.loops.lifecycle import BackgroundServices
from lanewise._telemetry.background_writer import Writer
from lanewise._telemetry.callback_sink import HookSink
from lanewise._telemetry.log import Log
from lanewise._telemetry.prometheus import PrometheusSink
from lanewise._telemetry.tracing import Traced, TracingSink, current_trace
from lanewise.config import Config, Credentials
from lanewise.types import Api, Call, LocalTrouble, Score
from lanewise.types.health import BreakerChange
from lanewise.types.sinks import Record, Sink

if TYPE_CHECKING:
    from opentelemetry.context import Context

__all__ = ["Recording"]

MakeSink = Callable[[], Sink[Record]]


class Recording:
    """The writers of one router."""

    def __init__(self, services: BackgroundServices) -> None:
        self._services = services
        self.log = Log(services.add)
        self._writers: tuple[Writer[Record], ...] = ()
        self._tracer: Writer[Traced | Score | BreakerChange] | None = None
        self._prometheus: PrometheusSink | None = None

    def add(self, name: str, make_sink: MakeSink) -> None:
        """Have what happens from now on written to one more sink. ``name`` stands in the log's lines about it."""
        writer = Writer(name, make_sink)
        self._services.add(writer)
        self._writers = (*self._writers, writer)

    def add_hook(self, hook: Callable[[Call], None]) -> None:
        """Have a function of the app's called with each call that has ended."""
        name = getattr(hook, "__qualname__", type(hook).__name__)
        self.add(f"the on_call hook {name}", partial(HookSink, hook))

    def add_declared(self, config: Config, credentials: Credentials) -> None:
        """Add what the config asks for. Raises ConfigError: something of it can't be had."""
        declared = tuple(_declared(config, credentials))
        for name, make_sink in declared:
            self.add(name, make_sink)
        if config.router.prometheus:
            self._prometheus = PrometheusSink()
            self._prometheus.breakers(_breakers(config))
        if config.router.opentelemetry:
            self._tracer = Writer("OpenTelemetry", TracingSink)
            self._services.add(self._tracer)
        spending = DailyCost(config.tasks, self.log.cost_alert)
        if spending.limits:
            self._services.follow(spending)
            self.add("the alerts of costs", lambda: spending)

    def trace(self) -> Context | None:
        """Where a call that is made here belongs, if anybody wants to know."""
        return None if self._tracer is None else current_trace()

    def call(self, call: Call, trace: Context | None) -> None:
        """Record a call that has ended. Never waits, never raises."""
        self.log.call(call)
        if self._tracer is not None and trace is not None:
            self._tracer.put(Traced(call, trace))
        for writer in self._writers:
            writer.put(call)

    def loop_lag(self, seconds: float) -> None:
        """Measure by how much a beat of a loop in which attempts run was late. Each 50 ms: it must be cheap."""
        if self._prometheus is not None:
            self._prometheus.observe_loop_lag(seconds)

    def breaker(self, change: BreakerChange) -> None:
        """Tell of a breaker that has opened or closed. Never waits, never raises."""
        self.log.breaker(change)
        if self._prometheus is not None:
            self._prometheus.breaker(change)
        if self._tracer is not None:
            self._tracer.put(change)

    def loop_late(self, lost: float) -> None:
        """Tell in the log, once a minute, that a loop in which attempts run was late by so many seconds."""
        self.log.trouble(LocalTrouble.LOOP, lost=lost)

    def score(self, score: Score) -> None:
        """Record a score. Never waits, never raises."""
        self.log.score(score)
        if self._tracer is not None:
            self._tracer.put(score)
        for writer in self._writers:
            writer.put(score)


def _breakers(config: Config) -> Iterator[tuple[str, str, str]]:
    """The labels of each breaker: those of the accounts have no route."""
    for account in dict.fromkeys(provider.account for provider in config.providers.values()):
        yield "", "", account
    for name, route in config.routes.items():
        for api in (api for api in Api if api in route.api):
            yield name, api, config.providers[route.provider].account


def _declared(config: Config, credentials: Credentials) -> Iterator[tuple[str, MakeSink]]:
    """The sinks that the config asks for, each made in its writer's thread."""
    if credentials.ledger is not None:
        from lanewise._ledger.sink import LedgerSink  # of the extra `ledger`; now, and not at the first call

        yield "the ledger", partial(LedgerSink, credentials.ledger, timedelta(seconds=config.router.keep))
    if config.router.prometheus:
        yield "Prometheus", PrometheusSink
