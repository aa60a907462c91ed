"""What was spent before this process began, by the records of calls: so that a restart gives nobody a new budget."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

import msgspec

from lanewise._budgets.buckets import bucket_of
from lanewise._budgets.budget_prices import ASSUMED_OUTPUT, BudgetPrices, bounded_nano_usd
from lanewise._budgets.call_budgets import owner_of
from lanewise._budgets.claims import Bucket
from lanewise.config import Budget
from lanewise.config.tables.budgets import Unit
from lanewise.types import DRAFT_OF

__all__ = ["PastSpending", "spent_before"]


class PastSpending(msgspec.Struct, frozen=True):
    """What attempts on one route took at about one time, for calls of one task, subject and set of labels.

    ``usd`` is of those whose cost is known. Of ``unpriced`` ones only the tokens are, and of ``unclear`` ones (a
    time-out, a hedge's loser) nothing: ``upper_usd`` is what these can have cost at the most, ``None`` if that is not
    known either. Of ``counted`` attempts the tokens in are known, ``counted_input`` of them together.
    """

    at: datetime
    task: str
    route: str
    subject_hash: str | None
    labels: Mapping[str, str]
    calls: int
    tokens: int
    usd: float
    unpriced: int = 0
    unpriced_input: int = 0
    unpriced_output: int = 0
    unclear: int = 0
    upper_usd: float | None = None
    counted: int = 0
    counted_input: int = 0


def spent_before(
    budgets: Iterable[Budget], past: Iterable[PastSpending], prices: BudgetPrices, *, knows_subjects: bool
) -> Iterator[tuple[Bucket, float, int]]:
    """By bucket and time, in seconds since 1970, what was spent.

    Attempts of which nobody knows what they took count as they were reserved: the usual tokens in, and 1,000 out.
    Records don't tell clients apart, nor without a secret (``knows_subjects``) subjects: what these spent counts in no
    bucket.
    """
    refillable = tuple(
        budget for budget in budgets if budget.per != "client" and (knows_subjects or budget.per != "subject")
    )
    rows = list(past)
    usual_input = _usual_input(rows)
    for each in rows:
        for budget in refillable:
            if budget.covers(each.task):
                bucket = bucket_of(budget, owner_of(budget, each.task, each.subject_hash, None, each.labels))
                likely_input = usual_input.get((each.task, each.route), 0)
                yield bucket, each.at.timestamp(), _amount(budget, each, likely_input, prices)


def _usual_input(rows: Iterable[PastSpending]) -> Mapping[tuple[str, str], int]:
    """By task and route the tokens in of an attempt, on average."""
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for each in rows:
        count, tokens = sums.get((each.task, each.route), (0, 0))
        sums[each.task, each.route] = count + each.counted, tokens + each.counted_input
    return {key: tokens // count for key, (count, tokens) in sums.items() if count}


def _amount(budget: Budget, past: PastSpending, usual_input: int, prices: BudgetPrices) -> int:
    unit = budget.limit.unit
    if unit is Unit.CALLS:
        return 0 if DRAFT_OF in past.labels else past.calls
    if unit is Unit.TOKENS:
        return past.tokens + past.unclear * (usual_input + ASSUMED_OUTPUT)
    amount = bounded_nano_usd(past.usd)
    if past.unpriced:  # each by itself: a long prompt may have a price of its own
        mean = past.unpriced_input // past.unpriced, past.unpriced_output // past.unpriced
        amount += past.unpriced * prices.cost(budget, past.route, *mean)
    if past.unclear:
        likely = past.unclear * prices.cost(budget, past.route, usual_input, ASSUMED_OUTPUT)
        amount += likely if past.upper_usd is None else min(likely, bounded_nano_usd(past.upper_usd))
    return amount
