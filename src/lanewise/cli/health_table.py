"""The table of ``lanewise health``: a line a route, and one for each account that is not well."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final

from rich.table import Table
from rich.text import Text

from lanewise._health.breaker_store import BreakerStore
from lanewise._health.circuit import Circuit
from lanewise._health.router_health import account_circuit
from lanewise._health.shared_health import circuit_keys, circuits_of
from lanewise.config import Config
from lanewise.types import Failure

__all__ = ["LEAST_WIDTH", "HealthRow", "look", "table"]

LEAST_WIDTH: Final = 120

_STYLES: Final = {
    "closed": "green",
    "limited": "yellow",
    "half-open": "yellow",
    "failing": "yellow",
    "open": "red",
    "throttled": "red",
}


@dataclass(frozen=True)
class HealthRow:
    """What is known of one circuit. ``since`` is UTC, ``next_probe`` in seconds from now."""

    name: str
    state: str
    since: datetime | None = None
    why: str = ""
    next_probe: float | None = None
    note: str = ""

    def as_data(self) -> dict[str, object]:
        """For JSON."""
        return {**asdict(self), "since": None if self.since is None else self.since.isoformat(timespec="seconds")}


def look(config: Config, store: BreakerStore) -> tuple[HealthRow, ...]:
    """The rows as they are now. Raises redis.RedisError."""
    keys = circuit_keys(config)

    def rows() -> Iterator[HealthRow]:
        for route in config.routes:
            found = {name: _row(name, *_read(store, keys[name])) for name in circuits_of(config, route)}
            unwell = [row for row in found.values() if row.state != "closed"]
            yield from unwell or [HealthRow(route, "closed")]
        for account in dict.fromkeys(provider.account for provider in config.providers.values()):
            name = account_circuit(account)
            if name in keys and (row := _row(name, *_read(store, keys[name]))).state != "closed":
                yield row

    return tuple(rows())


def table(rows: tuple[HealthRow, ...]) -> Table:
    """The rows, for a terminal."""
    shown = Table("route", "state", "since", "why", "next probe")
    for row in rows:
        since = "" if row.since is None else f"{row.since.astimezone():%H:%M:%S}"
        probe = row.note or ("" if row.next_probe is None else f"in {row.next_probe:.0f} s")
        shown.add_row(Text(row.name), Text(row.state, _STYLES.get(row.state, "red")), since, Text(row.why), Text(probe))
    return shown


def _read(store: BreakerStore, key: str) -> tuple[Circuit, float]:
    kept = store.read(key)
    return kept.circuit, time.monotonic() + kept.clock


def _row(name: str, circuit: Circuit, now: float) -> HealthRow:
    shown = name.removeprefix("route ")
    since = None if circuit.opened_at is None else datetime.fromtimestamp(circuit.opened_at, UTC)
    if circuit.by_hand:
        return HealthRow(shown, "open", since, "by hand", note="none: close it by hand")
    if circuit.throttled_at is not None:
        since = datetime.fromtimestamp(circuit.throttled_at, UTC)
        why = f"{circuit.unanswered} failures in a row: {_why(circuit.why)}"
        return HealthRow(shown, "throttled", since, why, max(0.0, circuit.slot_at - now))
    if circuit.is_open(now):
        return HealthRow(shown, "open", since, _why(circuit.why), (circuit.open_until or now) - now)
    if circuit.open_until is not None:
        probing = circuit.holder and circuit.lease_until > now
        return HealthRow(
            shown, "half-open", since, _why(circuit.why), note="under way" if probing else "with the next call"
        )
    if circuit.is_limited(now):
        return HealthRow(shown, "limited", None, _why(circuit.limited_by), (circuit.limited_until or now) - now)
    row = circuit.unanswered or circuit.consecutive_failures
    return HealthRow(shown, "failing", None, f"{row} in a row") if row else HealthRow(shown, "closed")


def _why(failure: Failure | None) -> str:
    if failure is None:
        return ""
    facts = [str(failure.kind)]
    if failure.http_status is not None:
        facts.append(f"HTTP {failure.http_status}")
    if failure.code:
        facts.append(failure.code)
    return ", ".join(facts)
