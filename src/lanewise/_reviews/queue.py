"""The queue of cases: in the ledger's database, every text sealed, every write committed when it returns."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from lanewise._reviews.case_seal import CaseSeal
from lanewise._reviews.cases import (
    Case,
    Draft,
    Review,
    ReviewDecided,
    ReviewNotFound,
    ReviewStatus,
    ReviewsUnavailable,
)
from lanewise._routing import idempotency as keys
from lanewise._sealing import Seal
from lanewise.types import Api, Call

if TYPE_CHECKING:
    from lanewise._ledger.review_table import ReviewRow, ReviewTable

__all__ = ["NewCase", "ReviewQueue"]

_T = TypeVar("_T")

THREADS: Final = 2
"""Threads that wait for the database: when it hangs, no more of them hang with it."""
LISTED: Final = 100
"""Cases that a list has at the most, where nothing else is asked for."""
LONGEST_NAME: Final = 200

_log: Final = logging.getLogger("lanewise")


class NewCase(msgspec.Struct, frozen=True):
    """A case to be opened. ``data`` and ``question`` are JSON; ``expires`` and ``keep`` are in seconds."""

    call: Call
    why: str
    data: bytes | None
    question: bytes
    expires: float
    keep: float

    def __repr__(self) -> str:
        return f"NewCase({self.call.id})"


class ReviewQueue:
    """The cases of one router, or of one command. A service of the engine's. Its methods block, and may be called from
    any thread; :meth:`submit` has one done in a thread of the queue's own.

    They raise ReviewsUnavailable: the database can't be reached, or has not the tables of this release.

    Example::

        queue = ReviewQueue("sqlite:////srv/shop/lanewise.db", Seal([os.environ["STORAGE_KEY"]]))
        for review in queue.latest(ReviewStatus.PENDING):
            print(review.id, review.task)
    """

    def __init__(self, url: str, seal: Seal) -> None:
        self._url = url
        self._seal = CaseSeal(seal)
        self._lock = threading.RLock()
        self._table: ReviewTable | None = None
        self._left_behind: list[object] = []
        self._threads: ThreadPoolExecutor | None = None

    def load(self) -> None:
        """Import what the database needs now (0.3 s), so that no call has to wait for that. Connects to nothing."""
        with contextlib.suppress(ImportError):  # reported at the first case, which fails closed
            import lanewise._ledger.review_table  # noqa: F401 - of the extra `ledger`

    # -- for the router ----------------------------------------------------------------------------------------------

    def open(self, new: NewCase, wanted: Callable[[], bool] = lambda: True) -> Review | None:
        """Open a case. ``None``: there is none, since ``wanted`` was false just before the commit: nobody waits."""
        from lanewise._ledger.review_table import ReviewRow, Unwanted

        review_id = keys.new_request_id(time.time_ns() // 1_000_000, os.urandom(10))
        now = datetime.now(UTC)
        expires_at = now + timedelta(seconds=new.expires)
        row = ReviewRow(
            id=review_id,
            request_id=new.call.request_id,
            call_id=new.call.id,
            task=new.call.task,
            api=new.call.api.value,
            sensitive=",".join(new.call.sensitive),
            why=new.why,
            status=ReviewStatus.PENDING.value,
            created_at=now,
            expires_at=expires_at,
            texts_until=expires_at,
            keep_seconds=new.keep,
            sealed_data=None if new.data is None else self._seal.sealed(new.data, review_id, "data"),
            sealed_question=self._seal.sealed(new.question, review_id, "question"),
        )
        row = self._seal.with_seal(row)
        with self._reached() as table:
            table.forget(now)
            try:
                table.add(row, wanted)
            except Unwanted:
                return None
        return self._review(row)

    def add_draft(self, review_id: str, text: str, route: str) -> bool:
        """Put a draft into a case. Whether the case still waits."""
        sealed = self._seal.sealed(text.encode("utf-8", "replace"), review_id, "draft")
        row = msgspec.structs.replace(self._row(review_id), sealed_draft=sealed, draft_route=route)
        with self._reached() as table:
            return table.add_draft(self._seal.with_seal(row), datetime.now(UTC))

    def submit(self, work: Callable[[], _T]) -> Future[_T]:
        """Have something done in a thread of the queue's own."""
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="lanewise-reviews")
            return self._threads.submit(work)

    # -- for the app, and for the person -----------------------------------------------------------------------------

    def get(self, review_id: str) -> Review:
        """What the app may know of a case. Raises ReviewNotFound."""
        return self._review(self._row(review_id))

    def case(self, review_id: str) -> Case:
        """All of a case, for the person who decides. Raises ReviewNotFound."""
        row = self._row(review_id)
        question = self._seal.opened(row.sealed_question, row, "question")
        draft = self._seal.opened(row.sealed_draft, row, "draft")
        return Case(
            review=self._review(row),
            question=None if question is None else msgspec.json.decode(question, type=dict[str, object]),
            draft=None if draft is None else Draft(text=draft.decode(), route=row.draft_route or ""),
        )

    def latest(self, status: ReviewStatus | None = None, most: int = LISTED) -> list[Review]:
        """The cases of a status (``None``: of any), newest first and without texts."""
        with self._reached() as table:
            table.forget(datetime.now(UTC))
            rows = table.latest(status, most)
        return [self._review(row) for row in rows if self._is_unchanged(row)]

    def approve(self, review_id: str, *, by: str, answer: str | None = None) -> Review:
        """Let the caller have an answer: the person's, or without one the draft.

        Raises ReviewNotFound, ReviewDecided. ValueError: there is neither a draft nor an answer, or ``by`` is empty.
        """
        text = answer.encode("utf-8", "replace") if answer is not None else None
        row = self._row(review_id)
        if text is None:
            text = self._seal.opened(row.sealed_draft, row, "draft")
        if not text and row.status == ReviewStatus.PENDING:
            raise ValueError("the case has no draft to approve: give the answer")
        return self._decide(row, ReviewStatus.APPROVED, by, text)

    def reject(self, review_id: str, *, by: str) -> Review:
        """Let the caller have none. Raises ReviewNotFound, ReviewDecided. ValueError: ``by`` is empty."""
        return self._decide(self._row(review_id), ReviewStatus.REJECTED, by, None)

    def forget(self) -> int:
        """Let cases expire, and delete texts that were kept long enough. How many cases that were."""
        with self._reached() as table:
            return table.forget(datetime.now(UTC))

    # -- a service's life ----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Finish what is being written, and let go of the database. It may be used again."""
        with self._lock:
            threads, self._threads = self._threads, None
            table, self._table = self._table, None
        if threads is not None:
            threads.shutdown(wait=True)
        if table is not None:
            table.close()

    def after_fork(self) -> None:
        """In the child of a fork: threads and connections are the parent's."""
        self._lock = threading.RLock()
        if self._table is not None:
            self._table.leave_behind()
        self._left_behind += [self._threads, self._table]
        self._threads = self._table = None

    # -- inside --------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _reached(self) -> Iterator[ReviewTable]:
        """The table; what goes wrong with the database comes out in our words."""
        try:
            from lanewise._ledger.review_table import ReviewTable, Unwanted
            from lanewise._ledger.sink import why_unavailable
        except ImportError:
            raise ReviewsUnavailable("the reviews need SQLAlchemy: pip install 'lanewise[ledger]'") from None
        try:
            with self._lock:
                if self._table is None:
                    self._table = ReviewTable(self._url)
                table = self._table
            yield table
        except Unwanted:
            raise
        except Exception as error:  # noqa: BLE001 - the border of foreign databases: whatever they raise, it fails closed
            reason = why_unavailable(error) or type(error).__name__
        else:
            return
        raise ReviewsUnavailable(f"the database of the reviews can't be used: {reason}") from None

    def _row(self, review_id: str) -> ReviewRow:
        with self._reached() as table:
            row = table.get(review_id)
        if row is None:
            raise ReviewNotFound("no case has this id")
        self._seal.verify(row)
        return _as_of(row, datetime.now(UTC))

    def _decide(self, row: ReviewRow, status: ReviewStatus, by: str, answer: bytes | None) -> Review:
        who = "".join(character for character in by if character.isprintable()).strip()[:LONGEST_NAME]
        if not who:
            raise ValueError("say who decides, in printable characters: it is kept with the decision")
        now = datetime.now(UTC)
        decision = msgspec.structs.replace(
            row,
            status=status.value,
            decided_by=who,
            decided_at=now,
            texts_until=now + timedelta(seconds=row.keep_seconds),
            sealed_answer=None if answer is None else self._seal.sealed(answer, row.id, "answer"),
        )
        with self._reached() as table:
            table.forget(now)
            decided = table.decide(self._seal.with_seal(decision), now)
        found = self.get(row.id)
        if not decided:
            by_whom = f" by {found.decided_by}" if found.decided_by else ""
            raise ReviewDecided(f"the case does not wait any more: it is {found.status}{by_whom}")
        return found

    def _review(self, row: ReviewRow) -> Review:
        data = self._seal.opened(row.sealed_data, row, "data")
        approved = row.status == ReviewStatus.APPROVED
        answer = self._seal.opened(row.sealed_answer, row, "answer") if approved else None
        return Review(
            id=row.id,
            request_id=row.request_id,
            call_id=row.call_id,
            task=row.task,
            api=Api(row.api),
            sensitive=tuple(row.sensitive.split(",")),
            why=row.why,
            status=ReviewStatus(row.status),
            created_at=row.created_at,
            expires_at=row.expires_at,
            has_draft=row.draft_route is not None,
            decided_by=row.decided_by,
            decided_at=row.decided_at,
            data=None if data is None else _object(data),
            answer=None if answer is None else answer.decode(),
        )

    def _is_unchanged(self, row: ReviewRow) -> bool:
        try:
            self._seal.verify(row)
        except ReviewsUnavailable as changed:
            _log.error("%s", changed, extra={"review_id": row.id})
            return False
        return True


def _as_of(row: ReviewRow, now: datetime) -> ReviewRow:
    """The row as it counts now: its time may be over, and the database not updated yet."""
    if now < row.texts_until:
        return row
    status = ReviewStatus.EXPIRED.value if row.status == ReviewStatus.PENDING else row.status
    gone = {"sealed_data": None, "sealed_question": None, "sealed_draft": None, "sealed_answer": None}
    return msgspec.structs.replace(row, status=status, **gone)


def _object(data: bytes) -> Mapping[str, object]:
    return msgspec.json.decode(data, type=dict[str, object])
