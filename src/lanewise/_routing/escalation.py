"""Whether a sensitive call that nobody answered is escalated to a person, and by which rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from lanewise.config.tables.sensitive import goes_to_review
from lanewise.types import Call, FailureKind, LocalTrouble, Stop

if TYPE_CHECKING:
    from lanewise.config import SensitiveCategory

__all__ = ["ReviewRule", "is_escalated", "reason_unanswered", "review_rule"]

_NOT_FOR_A_PERSON: Final = frozenset({FailureKind.LOCAL, FailureKind.CANCELLED})
"""The app's own bug, and a caller who has gone: a person has nothing to answer there."""


class ReviewRule(msgspec.Struct, frozen=True):
    """How a case is dealt with. ``expires`` and ``keep`` are in seconds; ``drafts_by`` may be empty."""

    drafts_by: tuple[str, ...]
    expires: float
    keep: float


def review_rule(categories: Sequence[SensitiveCategory]) -> ReviewRule | None:
    """The rule of a call under all of these categories; ``None``: it fails closed.

    One category that fails makes the call fail, whatever the others say. A draft is written only by routes that every
    category lets write one, in the order of the first; of the times the shortest holds.

    Example::

        review_rule([config.sensitive["payment"]])
    """
    if not goes_to_review(categories):
        return None
    first = categories[0].review_routes
    return ReviewRule(
        drafts_by=tuple(route for route in first if all(route in category.review_routes for category in categories)),
        expires=min(category.expires for category in categories),
        keep=min(category.keep for category in categories),
    )


def is_escalated(failure: FailureKind, trouble: LocalTrouble | None = None) -> bool:
    """Whether a call that ended by this failure is left to a person, where its rule asks for that.

    What this process lacked (``trouble``) is for the app no better than a provider that can't be reached.

    Example::

        assert is_escalated(FailureKind.OUTAGE) and not is_escalated(FailureKind.LOCAL)
    """
    return trouble is not None or failure not in _NOT_FOR_A_PERSON


def reason_unanswered(call: Call, stop: Stop | None) -> str:
    """Why nobody answered, in a line without any text of the prompt or of a provider.

    Example::

        reason_unanswered(call, stop)  # "flagship: outage; sonnet: timeout"
    """
    tried = dict.fromkeys(f"{attempt.route}: {attempt.failure}" for attempt in call.attempts if attempt.failure)
    skips = [] if stop is None else [skip for _, move in call.moves for skip in getattr(move, "skipped", ())]
    skipped = dict.fromkeys(f"{skip.route}: {skip.reason}" for skip in skips)
    if tried or skipped:
        return "; ".join((*tried, *skipped))
    return "no route is approved" if stop is None else stop.reason
