"""Cases that wait for a person: sensitive calls that no approved route answered, each with its texts sealed."""

from lanewise._reviews.cases import (
    Case,
    Draft,
    Review,
    ReviewDecided,
    ReviewError,
    ReviewNotFound,
    ReviewStatus,
    ReviewsUnavailable,
)
from lanewise._reviews.desk import Reviews, SyncReviews
from lanewise._reviews.queue import NewCase, ReviewQueue

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
