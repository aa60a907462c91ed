"""Version 0002: cases that wait for a person."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from lanewise._ledger.schema.tables import Instant

__all__ = ["upgrade"]

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "reviews",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("call_id", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("api", sa.Text, nullable=False),
        sa.Column("sensitive", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("expires_at", Instant, nullable=False),
        sa.Column("texts_until", Instant, nullable=False),
        sa.Column("keep_seconds", sa.Double, nullable=False),
        sa.Column("decided_by", sa.Text),
        sa.Column("decided_at", Instant),
        sa.Column("draft_route", sa.Text),
        sa.Column("sealed_data", sa.LargeBinary),
        sa.Column("sealed_question", sa.LargeBinary),
        sa.Column("sealed_draft", sa.LargeBinary),
        sa.Column("sealed_answer", sa.LargeBinary),
    )
    op.create_index("reviews_created_at", "reviews", ["created_at"])
    op.create_index("reviews_texts_until", "reviews", ["texts_until"])
    op.create_index("reviews_request_id", "reviews", ["request_id"])
