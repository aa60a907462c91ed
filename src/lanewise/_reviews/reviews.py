"""What an app does with its cases: ``router.reviews`` for async code, ``router.sync_reviews`` for the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread

from lanewise._reviews.cases import Case, Review, ReviewStatus
from lanewise._reviews.queue import LISTED, ReviewQueue

__all__ = ["Reviews", "SyncReviews"]

_T = TypeVar("_T")
QueueOf = Callable[[], ReviewQueue]
"""Gives the queue, or raises: the router is closed, or has none."""


class SyncReviews:
    """The cases of a router's sensitive calls, for synchronous code; raises what :class:`Reviews` does."""

    def __init__(self, queue_of: QueueOf) -> None:
        self._queue_of = queue_of

    def get(self, review_id: str) -> Review:
        """What became of a case: its ``answer`` is there once a person has approved it. Raises ReviewNotFound."""
        return self._queue_of().get(review_id)

    def list(self, status: ReviewStatus | str | None = ReviewStatus.PENDING, *, limit: int = LISTED) -> list[Review]:
        """The latest cases of a status, those that wait by default, ``None`` for all; newest first, without texts."""
        return self._queue_of().latest(None if status is None else ReviewStatus(status), limit)

    def case(self, review_id: str) -> Case:
        """The question and the draft, for the person who decides: never for the caller. Raises ReviewNotFound."""
        return self._queue_of().case(review_id)

    def approve(self, review_id: str, *, by: str, answer: str | None = None) -> Review:
        """Let the caller have ``answer``, or without one the draft. Raises as :class:`Reviews` does."""
        return self._queue_of().approve(review_id, by=by, answer=answer)

    def reject(self, review_id: str, *, by: str) -> Review:
        """Let the caller have no answer. Raises ReviewNotFound, ReviewDecided."""
        return self._queue_of().reject(review_id, by=by)


class Reviews:
    """The cases of a router's sensitive calls: what became of one, and for a page of the app's own, what to decide.

    All raise :class:`ReviewsUnavailable`: the config has no ledger or no storage key, or the database can't be reached.

    Example::

        @app.get("/reviews/{review_id}")
        async def review(review_id: str) -> dict[str, object]:
            review = await router.reviews.get(review_id)     # see to it that only who asked may read it
            return {"status": review.status, "answer": review.answer}
    """

    def __init__(self, queue_of: QueueOf) -> None:
        self._sync = SyncReviews(queue_of)

    async def get(self, review_id: str) -> Review:
        """What became of a case: its ``answer`` is there once a person has approved it. Raises ReviewNotFound."""
        return await self._run(lambda: self._sync.get(review_id))

    async def list(
        self, status: ReviewStatus | str | None = ReviewStatus.PENDING, *, limit: int = LISTED
    ) -> list[Review]:
        """The latest cases of a status, those that wait by default, ``None`` for all; newest first, without texts."""
        return await self._run(lambda: self._sync.list(status, limit=limit))

    async def case(self, review_id: str) -> Case:
        """The question and the draft, for the person who decides: never for the caller. Raises ReviewNotFound."""
        return await self._run(lambda: self._sync.case(review_id))

    async def approve(self, review_id: str, *, by: str, answer: str | None = None) -> Review:
        """Let the caller have an answer: ``answer``, or without one the draft. ``by`` is kept with the decision.

        Raises ReviewNotFound. ReviewDecided: somebody was faster, or it has expired. ValueError: there is no draft.
        """
        return await self._run(lambda: self._sync.approve(review_id, by=by, answer=answer))

    async def reject(self, review_id: str, *, by: str) -> Review:
        """Let the caller have no answer. Raises ReviewNotFound, ReviewDecided."""
        return await self._run(lambda: self._sync.reject(review_id, by=by))

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await anyio.to_thread.run_sync(work)
