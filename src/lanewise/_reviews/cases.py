"""What a case is: the question that waits for a person, and what the app may know of it before and after."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import NoReturn

import msgspec

from lanewise.types import Api

__all__ = [
    "Case",
    "Draft",
    "Review",
    "ReviewDecided",
    "ReviewError",
    "ReviewNotFound",
    "ReviewStatus",
    "ReviewsUnavailable",
]


class ReviewStatus(StrEnum):
    """Where a case stands."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"


class ReviewError(Exception):
    """Something about a case can't be done. The text names no address and quotes nothing."""


class ReviewNotFound(ReviewError, LookupError):
    """No case has this id."""


class ReviewDecided(ReviewError):
    """The case does not wait any more: a person has decided it, or it has expired."""


class ReviewsUnavailable(ReviewError):
    """The database of the cases can't be reached, or there is none."""


class _Unpicklable(msgspec.Struct, frozen=True, kw_only=True):
    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} may hold sensitive texts and is not pickled: pass its id on")


class Review(_Unpicklable, frozen=True, kw_only=True):
    """A case as the app may know it: never with a draft, and with the answer only once a person has approved it.

    ``data`` is what the app gave to ``scope.for_review`` or ``router.scope(review=...)``. Times are UTC. Texts are
    ``None`` once they were deleted: ``keep`` of the category after the decision, or when the case has expired.
    """

    id: str
    request_id: str
    call_id: str
    task: str
    api: Api
    sensitive: tuple[str, ...]
    why: str
    status: ReviewStatus
    created_at: datetime
    expires_at: datetime
    has_draft: bool
    decided_by: str | None = None
    decided_at: datetime | None = None
    data: Mapping[str, object] | None = None
    answer: str | None = None

    def __repr__(self) -> str:
        return f"<Review {self.id} of {self.task}: {self.status}>"


class Draft(_Unpicklable, frozen=True, kw_only=True):
    """What one of the ``review_routes`` would answer. For the person's eyes."""

    text: str
    route: str

    def __repr__(self) -> str:
        return f"<Draft by {self.route}>"


class Case(_Unpicklable, frozen=True, kw_only=True):
    """A case as the person who decides it sees it. ``question`` is the body of the app's call.

    Never show it to the caller of the request: nobody has approved the draft.
    """

    review: Review
    question: Mapping[str, object] | None
    draft: Draft | None

    def __repr__(self) -> str:
        return f"<Case {self.review.id}>"
