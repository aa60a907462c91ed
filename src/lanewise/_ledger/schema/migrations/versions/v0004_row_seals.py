"""Version 0004: what a row says of a case is sealed too, so that a change of it is noticed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["upgrade"]

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column."""
    op.add_column("reviews", sa.Column("row_seal", sa.LargeBinary))
