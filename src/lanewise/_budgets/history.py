"""What was spent before this process began, by the records of calls: so that a restart gives nobody a new budget."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

import msgspec

from lanewise._budgets.buckets import bucket_of
from lanewise._budgets.call_budgets import whose
from lanewise._budgets.claims import Bucket
from lanewise.config import Budget
from lanewise.config.budgets import Unit, nano_usd

__all__ = ["PastSpending", "spent_before"]


class PastSpending(msgspec.Struct, frozen=True):
    """What calls of one task, subject and set of labels took at about one time. ``usd`` has of what is not known how
    much it can be at the most."""

    at: datetime
    task: str
    subject_hash: str | None
    labels: Mapping[str, str]
    calls: int
    tokens: int
    usd: float


def spent_before(
    budgets: Iterable[Budget], past: Iterable[PastSpending], *, knows_subjects: bool
) -> Iterator[tuple[Bucket, float, int]]:
    """By bucket and time, in seconds since 1970, what was spent.

    Records don't tell clients apart, nor without a secret (``knows_subjects``) subjects: what these spent counts in no
    bucket.
    """
    refillable = tuple(
        budget for budget in budgets if budget.per != "client" and (knows_subjects or budget.per != "subject")
    )
    for each in past:
        for budget in refillable:
            if budget.covers(each.task):
                bucket = bucket_of(budget, whose(budget, each.task, each.subject_hash, None, each.labels))
                yield bucket, each.at.timestamp(), _amount(budget.limit.unit, each)


def _amount(unit: Unit, past: PastSpending) -> int:
    if unit is Unit.CALLS:
        return past.calls
    return past.tokens if unit is Unit.TOKENS else nano_usd(past.usd)
