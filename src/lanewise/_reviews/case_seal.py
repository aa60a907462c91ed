"""The seals of a case: each text encrypted under the case's id, and one over its row, so that a change is noticed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from lanewise._reviews.cases import ReviewStatus, ReviewsUnavailable
from lanewise._sealing import Seal, SealBroken

if TYPE_CHECKING:
    from lanewise._ledger.review_table import ReviewRow

__all__ = ["CaseSeal"]


class CaseSeal:
    """Seals and opens what a case holds, with the router's storage key.

    Example::

        row = seal.with_seal(row)
        seal.verify(row)
    """

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    def with_seal(self, row: ReviewRow) -> ReviewRow:
        """The row, sealed as it is: put on before each write."""
        return msgspec.structs.replace(row, row_seal=self.sealed(_fields(row), row.id, "row"))

    def verify(self, row: ReviewRow) -> None:
        """Raises ReviewsUnavailable: the row is not as it was written, by us, under the storage key."""
        sealed = self.opened(row.row_seal, row, "row")
        over = row.status == ReviewStatus.EXPIRED and row.texts_until <= datetime.now(UTC)
        as_written = msgspec.structs.replace(row, status=ReviewStatus.PENDING.value) if over else row
        if sealed != _fields(as_written):
            raise ReviewsUnavailable(f"the case {row.id} was changed in the database, and is not used")

    def sealed(self, text: bytes, review_id: str, what: str) -> bytes:
        """A text encrypted for one place: ``what`` it is, in one case."""
        return self._seal.seal(text, purpose=f"review {review_id} {what}")

    def opened(self, sealed: bytes | None, row: ReviewRow, what: str) -> bytes | None:
        """The text that was sealed for that place. Raises ReviewsUnavailable: under another key, or elsewhere."""
        if sealed is None:
            return None
        try:
            return self._seal.unseal(sealed, purpose=f"review {row.id} {what}")
        except SealBroken as broken:
            reason = str(broken)
        raise ReviewsUnavailable(f"the case {row.id} can't be opened: {reason}")


def _fields(row: ReviewRow) -> bytes:
    """The fields of a row beside its texts, which are sealed under its id. The same bytes from every database."""
    moments = [
        None if moment is None else moment.astimezone(UTC).isoformat(" ", "microseconds")
        for moment in (row.created_at, row.expires_at, row.texts_until, row.decided_at)
    ]
    words = row.id, row.request_id, row.call_id, row.task, row.api, row.sensitive, row.why
    return msgspec.json.encode([*words, row.status, row.decided_by, row.draft_route, row.keep_seconds, *moments])
