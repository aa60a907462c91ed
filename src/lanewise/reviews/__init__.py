"""Cases that wait for a person: sensitive calls that no approved route answered, each with its texts sealed."""

from lanewise.reviews.cases import (
    Case,
    Draft,
    Review,
    ReviewDecided,
    ReviewError,
    ReviewNotFound,
    ReviewStatus,
    ReviewsUnavailable,
)
from lanewise.reviews.desk import Reviews, SyncReviews
from lanewise.reviews.queue import NewCase, ReviewQueue

__all__ = [
    "Case",
    "Draft",
    "NewCase",
    "Review",
    "ReviewDecided",
    "ReviewError",
    "ReviewNotFound",
    "ReviewQueue",
    "ReviewStatus",
    "Reviews",
    "ReviewsUnavailable",
    "SyncReviews",
]
