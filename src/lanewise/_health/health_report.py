"""The health report of a router, for people: each circuit's state, since when, why, and when it is tried again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from lanewise._health.breakers.circuit import Circuit
from lanewise._health.circuit_names import account_circuit, route_circuit
from lanewise._health.router_health import RouterHealth
from lanewise.config import Config
from lanewise.types import Api, BreakerStatus, Failure, HealthReport, HealthState, RouteStatus

__all__ = ["breaker_status", "health_report", "reason", "untried"]

_SEVERITY: Final = {state: rank for rank, state in enumerate(HealthState)}
_WELL: Final = BreakerStatus()
_OFF: Final = BreakerStatus(state=HealthState.OFF, why="its key is not set")


def health_report(config: Config, health: RouterHealth, off: Collection[str] = ()) -> HealthReport:
    """All that this process knows now, what other workers have sent it included. Asks nobody."""
    at = datetime.now(UTC)
    now, known = health.circuits_now()
    found = {name: breaker_status(circuit, now, at, probing=probing) for name, (circuit, probing) in known.items()}
    return _report(config, found, at, off, shared=health.shared.is_connected)


def untried(config: Config) -> HealthReport:
    """The report of a router that was never opened: nothing is known against any route."""
    return _report(config, {}, datetime.now(UTC), (), shared=False)


def breaker_status(circuit: Circuit, now: float, at: datetime, *, probing: bool = False) -> BreakerStatus:
    """How a circuit stands ``now``, by the clock of its times, which is ``at`` by the calendar.

    ``probing``: an attempt of this process tries it.

    Example::

        assert breaker_status(Circuit(), now, datetime.now(UTC)).state is HealthState.CLOSED
    """

    def when(time: float | None) -> datetime | None:
        return None if time is None else at + timedelta(seconds=time - now)

    if circuit.by_hand:
        return _status(HealthState.OPEN, circuit.why, when(circuit.opened_at), why="by hand", by_hand=True)
    if circuit.throttled_at is not None:
        why = _in_a_row(circuit.unanswered, circuit.why)
        slot = when(max(now, circuit.slot_at))
        return _status(HealthState.THROTTLED, circuit.why, when(circuit.throttled_at), slot, why=why)
    if circuit.is_open(now):
        return _status(HealthState.OPEN, circuit.why, when(circuit.opened_at), when(circuit.open_until))
    if circuit.open_until is not None:
        is_tried = probing or (circuit.holder != "" and circuit.lease_until > now)
        return _status(HealthState.HALF_OPEN, circuit.why, when(circuit.opened_at), None if is_tried else at)
    if circuit.is_limited(now):
        return _status(
            HealthState.LIMITED, circuit.limited_by, when(circuit.limited_since), when(circuit.limited_until)
        )
    row = circuit.unanswered or circuit.consecutive_failures
    if row:
        since = when(circuit.unanswered_since) if circuit.unanswered else None
        return _status(HealthState.FAILING, circuit.unanswered_by, since, why=_in_a_row(row, circuit.unanswered_by))
    return _WELL


def _in_a_row(count: int, failure: Failure | None) -> str:
    what = "1 failure" if count == 1 else f"{count} failures in a row"
    return what if failure is None else f"{what}: {reason(failure)}"


def reason(failure: Failure | None) -> str:
    """Why a circuit is not closed, in a few words of ours.

    Example::

        reason(failure)  # "outage, HTTP 503"
    """
    if failure is None:
        return ""
    parts = [str(failure.kind)]
    if failure.http_status is not None:
        parts.append(f"HTTP {failure.http_status}")
    if failure.code:
        parts.append(failure.code)
    if len(parts) == 1 and (failure.cause or failure.detail):
        parts.append(failure.cause or failure.detail)
    return ", ".join(parts)


def _status(
    state: HealthState,
    failure: Failure | None,
    since: datetime | None,
    next_probe: datetime | None = None,
    *,
    why: str = "",
    by_hand: bool = False,
) -> BreakerStatus:
    return BreakerStatus(
        state=state,
        since=since,
        why=why or reason(failure),
        failure=None if failure is None or by_hand else failure.kind,
        next_probe=next_probe,
        by_hand=by_hand,
    )


def _report(
    config: Config, found: Mapping[str, BreakerStatus], at: datetime, off: Collection[str], *, shared: bool
) -> HealthReport:
    accounts = {
        provider.account: found.get(account_circuit(provider.account), _WELL) for provider in config.providers.values()
    }
    routes = {}
    for name, route in config.routes.items():
        provider = config.providers[route.provider]
        apis = {api: found.get(route_circuit(name, api), _WELL) for api in Api if api in route.api}
        breakers = (_OFF,) if name in off else (accounts[provider.account], *apis.values())
        worst = max(breakers, key=lambda status: _SEVERITY[status.state])  # the account's, where several are as bad
        routes[name] = RouteStatus(
            route=name,
            provider=provider.name,
            account=provider.account,
            apis=apis,
            state=worst.state,
            since=worst.since,
            why=worst.why,
            failure=worst.failure,
            next_probe=worst.next_probe,
            by_hand=worst.by_hand,
        )
    return HealthReport(at=at, routes=routes, accounts=accounts, shared=shared)
