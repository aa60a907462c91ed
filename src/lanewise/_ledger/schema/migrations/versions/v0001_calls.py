"""Version 0001: calls, their attempts, and scores."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from lanewise._ledger.schema.tables import Instant

__all__ = ["upgrade"]

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "calls",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("api", sa.Text, nullable=False),
        sa.Column("stream", sa.Boolean, nullable=False),
        sa.Column("sensitive", sa.Text, nullable=False),
        sa.Column("subject_hash", sa.Text),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("route", sa.Text),
        sa.Column("lane", sa.Text),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("failure", sa.Text),
        sa.Column("attempts", sa.SmallInteger, nullable=False),
        sa.Column("started_at", Instant, nullable=False),
        sa.Column("total_ms", sa.Double),
        sa.Column("moves", sa.Text, nullable=False),
        sa.Column("notes", sa.Text, nullable=False),
        sa.Column("replayed_from", sa.Text),
    )
    op.create_index("calls_started_at", "calls", ["started_at"])
    op.create_index("calls_request_id", "calls", ["request_id"])
    op.create_table(
        "attempts",
        sa.Column("call_id", sa.Text, primary_key=True),
        sa.Column("attempt_number", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("subject_hash", sa.Text),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("route", sa.Text, nullable=False),
        sa.Column("lane", sa.Text, nullable=False),
        sa.Column("model_asked", sa.Text, nullable=False),
        sa.Column("model_answered", sa.Text),
        sa.Column("provider_host", sa.Text, nullable=False),
        sa.Column("http_status", sa.SmallInteger),
        sa.Column("timed_out", sa.Boolean, nullable=False),
        sa.Column("provider_error_code", sa.Text),
        sa.Column("failure", sa.Text),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("idempotency_key", sa.Text, nullable=False),
        sa.Column("dropped", sa.Text, nullable=False),
        sa.Column("adapted", sa.Text, nullable=False),
        sa.Column("input_tokens", sa.BigInteger),
        sa.Column("output_tokens", sa.BigInteger),
        sa.Column("cached_tokens", sa.BigInteger),
        sa.Column("reasoning_tokens", sa.BigInteger),
        sa.Column("tokens_estimated", sa.Boolean, nullable=False),
        sa.Column("cost_usd", sa.Double),
        sa.Column("cost_status", sa.Text, nullable=False),
        sa.Column("cost_upper_usd", sa.Double),
        sa.Column("first_byte_ms", sa.Double),
        sa.Column("first_content_ms", sa.Double),
        sa.Column("total_ms", sa.Double),
        sa.Column("started_at", Instant, nullable=False),
        sa.Column("answered", sa.Boolean, nullable=False),
        sa.Column("absorbed", sa.Boolean, nullable=False),
        sa.Column("first_on_route", sa.Boolean, nullable=False),
        sa.Column("first_in_lane", sa.Boolean, nullable=False),
    )
    op.create_index("attempts_started_at", "attempts", ["started_at"])
    op.create_table(
        "scores",
        sa.Column("call_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("at", Instant, primary_key=True),
        sa.Column("value", sa.Double, nullable=False),
    )
    op.create_index("scores_at", "scores", ["at"])
