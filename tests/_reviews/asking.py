"""What the tests of reviews share: the config of a desk, and looking at what is stored."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from busy_machine import LONG_ENOUGH
from lanewise import Review, Router
from router.driving import Stage, config

__all__ = ["DATA", "DRAFT", "STORAGE_KEY", "Desk", "draft_of"]

STORAGE_KEY = "canary-storage-key-of-at-least-32-characters"
DATA = {"ticket": 7, "note": "canary-data: the customer is angry"}
DRAFT = "canary-draft: refund it all"


@dataclass(frozen=True)
class Desk:
    """A queue, with the config of a router over the stage: ``both`` may be answered by the first route alone."""

    stage: Stage
    file: Path

    def config(self, *, review: Mapping[str, object] | None = None, **more: Any) -> dict[str, object]:
        """The first route is approved for ``payment``; what it can't answer waits for a person."""
        rule = {"routes": ["first"], "on_failure": "review", **(review or {})}
        tables = {
            "router": {"ledger": f"sqlite:///{self.file}", "storage_key_env": "STORAGE_KEY"},
            "sensitive": {"payment": rule, "medical": {"routes": ["first", "second"]}},
            **more,
        }
        return config(self.stage, more=tables)

    def router(self, **review: object) -> Router:
        """A router with this rule for ``payment``."""
        return Router.from_mapping(self.config(review=review))

    def stored(self) -> bytes:
        """All bytes of the database, its log included."""
        return b"".join(file.read_bytes() for file in self.file.parent.glob("ledger.db*"))

    def rows(self, columns: str = "*", table: str = "reviews") -> list[tuple[Any, ...]]:
        """What a stranger with SQL would see."""
        with closing(sqlite3.connect(self.file)) as connection:
            return connection.execute(f"SELECT {columns} FROM {table}").fetchall()


async def draft_of(router: Router, review_id: str) -> Review:
    """The case, once its draft has come."""
    with anyio.fail_after(LONG_ENOUGH):
        while not (review := await router.reviews.get(review_id)).has_draft:
            await anyio.sleep(0.02)
    return review
