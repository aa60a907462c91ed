"""Version 0005: what was odd in an answer and was let pass."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["upgrade"]

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column. It may be NULL: an older release writes on without it."""
    op.add_column("attempts", sa.Column("lenient", sa.Text))
