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
from lanewise._reviews.queue import NewCase, ReviewQueue
from lanewise._reviews.reviews import Reviews, SyncReviews

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
