"""Reports each opening and closing of a router's breakers, whoever did it: this worker, another one, or a person."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from lanewise._health.breakers.circuit import Circuit
from lanewise._health.breakers.local_breaker import LocalBreaker
from lanewise._health.circuit_names import account_circuit, route_circuit
from lanewise._health.health_report import breaker_status
from lanewise._health.router_health import RouterHealth
from lanewise.config import Config
from lanewise.types import Api, HealthState
from lanewise.types.health import BreakerChange

__all__ = ["watch_breakers"]

_EPOCH: Final = datetime.fromtimestamp(0, UTC)


def watch_breakers(config: Config, health: RouterHealth, report: Callable[[BreakerChange], None]) -> None:
    """Have ``report`` called with each change from now on, under the lock of the router's health: it must not wait.

    Example::

        watch_breakers(config, health, recording.breaker_change)
    """
    for provider in config.providers.values():
        _Watch(health.breakers.get(account_circuit(provider.account)), provider.account, None, None, report)
    for name, route in config.routes.items():
        account = config.providers[route.provider].account
        for api in (api for api in Api if api in route.api):
            _Watch(health.breakers.get(route_circuit(name, api)), account, name, api, report)


class _Watch:
    """Reports on one breaker: its name, and since when it has been open, whatever became of its probes meanwhile."""

    def __init__(
        self,
        breaker: LocalBreaker | None,
        account: str,
        route: str | None,
        api: Api | None,
        report: Callable[[BreakerChange], None],
    ) -> None:
        self._account, self._route, self._api = account, route, api
        self._report = report
        self._opened_at = 0.0
        if breaker is not None:
            breaker.on_change = self._changed

    def _changed(self, before: Circuit, after: Circuit, heard: bool) -> None:
        now = time.monotonic()
        if after.open_until is None:
            self._report_state(HealthState.CLOSED, now - self._opened_at, heard, before)
            return
        if before.open_until is None:
            self._opened_at = now
        state = HealthState.THROTTLED if after.throttled_at is not None else HealthState.OPEN
        self._report_state(state, 0.0 if after.by_hand else max(0.0, after.open_until - now), heard, after)

    def _report_state(self, state: HealthState, seconds: float, heard: bool, circuit: Circuit) -> None:
        opened = circuit.opened_at or 0.0
        status = breaker_status(circuit, opened, _EPOCH)
        self._report(
            BreakerChange(
                state=state,
                account=self._account,
                route=self._route,
                api=self._api,
                why=status.why,
                failure=status.failure,
                seconds=seconds,
                by_hand=circuit.by_hand,
                heard=heard,
            )
        )
