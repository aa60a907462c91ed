"""Who opened or closed a route by hand, and why: written when it is done, and read by the dashboard."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection, insert, select

from lanewise._ledger.schema.tables import interventions

__all__ = ["Intervention", "add_intervention", "latest_interventions"]


class Intervention(msgspec.Struct, frozen=True, kw_only=True):
    """What a person did to a route: ``action`` is ``open`` or ``close``; ``at`` is UTC."""

    at: datetime
    route: str
    action: str
    decided_by: str
    reason: str


def add_intervention(connection: Connection, intervention: Intervention) -> None:
    """Write one down, in a transaction that writes."""
    connection.execute(insert(interventions), msgspec.structs.asdict(intervention))


def latest_interventions(connection: Connection, most: int) -> list[Intervention]:
    """The latest, newest first."""
    asked = select(interventions).order_by(interventions.c.at.desc()).limit(most)
    return [Intervention(**row._mapping) for row in connection.execute(asked)]
