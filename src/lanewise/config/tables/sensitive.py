"""``[sensitive.NAME]``: a category of calls that only approved routes may answer."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, Literal

from pydantic import BaseModel, Field

from lanewise.config.tables.model_config import DECLARED
from lanewise.config.values.durations import PositiveSeconds
from lanewise.config.values.scalars import Names

__all__ = ["SensitiveCategory", "approved_routes", "goes_to_review"]

_DAY: Final = 86400.0


class SensitiveCategory(BaseModel):
    """A kind of call that only approved routes may answer. ``expires`` and ``keep`` are in seconds."""

    model_config = DECLARED

    routes: Names = Field(description="The only routes that may answer.")
    on_failure: Literal["fail", "review"] = Field(default="fail", description="Fail, or leave the case to a person.")
    review_routes: Names = Field(default=(), description="Routes that may write a draft into a person's case.")
    expires: PositiveSeconds = Field(default=7 * _DAY, description="How long a case waits for a person.")
    keep: PositiveSeconds = Field(default=30 * _DAY, description="How long a decided case's texts are kept.")


def approved_routes(categories: Iterable[SensitiveCategory]) -> frozenset[str]:
    """The routes that may answer a call under all of these categories, of which there is one at least."""
    return frozenset.intersection(*(frozenset(category.routes) for category in categories))


def goes_to_review(categories: Collection[SensitiveCategory]) -> bool:
    """Whether a call under all of these categories is left to a person where it fails: one that fails beats others."""
    return bool(categories) and all(category.on_failure == "review" for category in categories)
