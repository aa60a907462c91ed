"""Version 0006: the indexes that lists of past calls are paged by, and who opened or closed a route by hand."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from lanewise._ledger.schema.tables import Instant

__all__ = ["upgrade"]

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the table and the indexes. Those in whose place they come are dropped: the new ones begin as they did."""
    op.create_table(
        "interventions",
        sa.Column("at", Instant, primary_key=True),
        sa.Column("route", sa.Text, primary_key=True),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("decided_by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("calls_lately", "calls", ["started_at", "task", "lane", "outcome", "total_ms"])
    op.drop_index("calls_started_at", "calls")
    op.create_index("calls_task", "calls", ["task", "started_at"])
    op.create_index("calls_route", "calls", ["route", "started_at"])
    _create_partial("calls_by_fallback", "calls", ["lane", "started_at"], "lane <> 'primary'")
    _create_partial("calls_not_answered", "calls", ["outcome", "started_at"], "outcome <> 'answered'")
    op.create_index("attempts_lately", "attempts", ["started_at", "task", "cost_usd"])
    op.drop_index("attempts_started_at", "attempts")
    _create_partial("attempts_failed", "attempts", ["started_at", "call_id"], "failure IS NOT NULL")
    _create_partial("attempts_failure", "attempts", ["failure", "started_at", "call_id"], "failure IS NOT NULL")


def _create_partial(name: str, table: str, columns: list[str], condition: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(condition), postgresql_where=sa.text(condition))
