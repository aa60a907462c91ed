"""Version 0003: all that is billed of an attempt, and what its provider says that it costs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["upgrade"]

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns. Each may be NULL: an older release writes on without them."""
    for name in (
        "cache_write_tokens",
        "input_audio_tokens",
        "output_audio_tokens",
        "input_image_tokens",
        "output_image_tokens",
    ):
        op.add_column("attempts", sa.Column(name, sa.BigInteger))
    for name in ("cache_write_lifetimes", "tool_calls", "service_tier"):
        op.add_column("attempts", sa.Column(name, sa.Text))
    for name in ("reported_cost_usd", "upstream_cost_usd"):
        op.add_column("attempts", sa.Column(name, sa.Double))
