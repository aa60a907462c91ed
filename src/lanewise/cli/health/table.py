"""The table of ``lanewise health``: a line a route, and one for each account that is not well."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final

from rich.table import Table
from rich.text import Text

from lanewise._health.breakers.circuit import Circuit
from lanewise._health.circuit_names import account_circuit, circuits_of
from lanewise._health.health_report import breaker_status
from lanewise._health.sharing.breaker_store import BreakerStore
from lanewise._health.sharing.shared_health import circuit_keys
from lanewise.config import Config
from lanewise.types import HealthState

__all__ = ["HealthRow", "read_rows", "table"]

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
    """The state of one circuit. ``since`` is UTC, ``next_probe`` in seconds from now."""

    name: str
    state: str
    since: datetime | None = None
    why: str = ""
    next_probe: float | None = None
    note: str = ""

    def as_data(self) -> dict[str, object]:
        """For JSON."""
        return {**asdict(self), "since": None if self.since is None else self.since.isoformat(timespec="seconds")}


def read_rows(config: Config, store: BreakerStore) -> tuple[HealthRow, ...]:
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
    shown = Table("route", "state", "since", "why")
    shown.add_column("next probe", no_wrap=True)
    for row in rows:
        since = "" if row.since is None else f"{row.since.astimezone():%H:%M:%S}"
        probe = row.note or ("" if row.next_probe is None else f"in {row.next_probe:.0f} s")
        shown.add_row(
            Text(row.name), Text(row.state, _STYLES.get(row.state, "red")), Text(since), Text(row.why), Text(probe)
        )
    return shown


def _read(store: BreakerStore, key: str) -> tuple[Circuit, float]:
    stored = store.read(key)
    return stored.circuit, time.monotonic() + stored.clock


def _row(name: str, circuit: Circuit, now: float) -> HealthRow:
    """The line of a circuit; ``now`` is the store's time, in which the circuit's times are."""
    at = datetime.fromtimestamp(now, UTC)
    status = breaker_status(circuit, now, at)
    seconds = None if status.next_probe is None else max(0.0, (status.next_probe - at).total_seconds())
    note = ""
    if status.by_hand:
        note = "none: close it by hand"
    elif status.state is HealthState.HALF_OPEN:
        note, seconds = ("under way" if seconds is None else "with the next call"), None
    return HealthRow(name.removeprefix("route "), status.state, status.since, status.why, seconds, note)
