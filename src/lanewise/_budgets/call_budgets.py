"""The budgets of a router's calls: what an attempt may cost is reserved before it goes out, and put right after it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Final

import msgspec

from lanewise._budgets.buckets import bucket_of, subject_name
from lanewise._budgets.budget_prices import ASSUMED_OUTPUT, LARGEST, BudgetPrices, bounded_nano_usd
from lanewise._budgets.claims import Bucket, BudgetStore, Claim, OverBudget, Reservation
from lanewise._failures import failure_table as failures
from lanewise._openai.request_body import RequestBody
from lanewise._recent_percentiles import RecentPercentiles
from lanewise._routing.selection.request_attributes import asked_output, likely_tokens
from lanewise.config import Budget, Config, Route, duration_text
from lanewise.config.tables.budgets import Unit
from lanewise.types import Api, Attempt, Call, CostStatus, Failure, LaneName, Send

__all__ = ["Beyond", "CallBudgets", "RouterBudgets", "UsualAmounts", "owner_of"]

_RANKS: Final = {name: rank for rank, name in enumerate(LaneName)}


class Beyond(msgspec.Struct, frozen=True):
    """An attempt that a budget does not let out: the call goes on in ``lane``, or ends by the failure."""

    failure: Failure
    lane: LaneName | None


class UsualAmounts:
    """What the attempts of a task on a route usually take: the 95th percentile of the latest ones, in this process.

    Example::

        usual.note(("ticket-summary", "flagship", "USD"), 1_200_000)
        usual.of(("ticket-summary", "flagship", "USD"))  # None until 20 are known
    """

    def __init__(self) -> None:
        self._amounts: RecentPercentiles[Hashable, int] = RecentPercentiles()

    def note(self, key: Hashable, amount: int) -> None:
        """Take in what an attempt took."""
        self._amounts.note(key, amount)

    def of(self, key: Hashable) -> int | None:
        """The 95th percentile; ``None`` while too little is known."""
        usual = self._amounts.of(key)
        if usual == 0 and self._amounts.largest(key):
            return 1  # mostly free, and not always: it may not go on beyond the limit as what is free does
        return usual


class RouterBudgets:
    """The budgets of a config. ``store`` grants what they allow; ``tier`` gives the service tier that a call asks a
    route for."""

    def __init__(
        self,
        config: Config,
        prices: BudgetPrices,
        tier: Callable[[Route, RequestBody], str | None],
        store: BudgetStore,
        secret: bytes | None,
    ) -> None:
        self._config = config
        self.prices = prices
        self._tier = tier
        self._secret = secret
        self.store = store
        self.usual = UsualAmounts()
        self._of_task: Mapping[str, tuple[Budget, ...]] = {
            task: tuple(budget for budget in config.budgets.values() if budget.covers(task)) for task in config.tasks
        }

    def of(
        self,
        call: Call,
        body: RequestBody,
        choices: int,
        *,
        subject: str | None,
        client: str | None,
        labels: Mapping[str, str],
    ) -> CallBudgets | None:
        """The budgets that a call falls under, if there are any. ``choices`` is how many answers it asks for."""
        budgets = self._of_task[call.task]
        if not budgets:
            return None
        name = subject_name(subject, self._secret)
        buckets = tuple(
            (budget, bucket_of(budget, owner_of(budget, call.task, name, client, labels))) for budget in budgets
        )
        return CallBudgets(self, buckets, call, body, choices)

    def tier(self, route: str, body: RequestBody) -> str | None:
        """The service tier that a call asks a route for."""
        return self._tier(self._config.routes[route], body)

    def most_output(self, route: str) -> int | None:
        """The most tokens that a route's answer may have by the config."""
        return self._config.routes[route].max_output


class CallBudgets:
    """Of one call. One attempt is out at a time."""

    __slots__ = ("_body", "_buckets", "_call", "_choices", "_counted", "_own", "_reserved", "_size")

    def __init__(
        self,
        own: RouterBudgets,
        buckets: Sequence[tuple[Budget, Bucket]],
        call: Call,
        body: RequestBody,
        choices: int,
    ) -> None:
        self._own = own
        self._buckets = buckets
        self._call = call
        self._body = body
        self._choices = choices
        self._counted = bool(call.attempts) or call.draft_of is not None  # a draft belongs to the call of its case
        self._size: tuple[int, int | None] | None = None
        self._reserved: tuple[tuple[Budget, Reservation], ...] = ()

    async def reserve(self, send: Send) -> Beyond | str:
        """Reserve what an attempt may cost: what was reserved, for people, or why it may not go out."""
        claims: list[Claim] = []
        budgets: list[Budget] = []
        for budget, bucket in self._buckets:
            if budget.limit.unit is Unit.CALLS and self._counted:
                continue
            amount = self._amount(budget, send.route)
            lane = budget.lane
            enforced = amount > 0 and (lane is None or _RANKS[send.lane] < _RANKS[lane])
            claims.append(Claim(bucket, amount, enforced))  # of nothing too: what the attempt takes after all counts
            budgets.append(budget)
        if not claims:
            return ""
        result = await self._own.store.reserve(claims)
        granted: list[tuple[Budget, Reservation]] = []
        over: list[tuple[Budget, OverBudget]] = []
        by_name = {budget.name: budget for budget in budgets}
        for each in result:
            budget = by_name[each.claim.bucket.budget]
            if isinstance(each, Reservation):
                granted.append((budget, each))
            else:
                over.append((budget, each))
        if over:
            return _beyond(over)
        self._reserved = tuple(granted)
        self._counted = True
        return "; ".join(_reserved(budget, each) for budget, each in granted if each.claim.amount)

    def settle(self, attempt: Attempt | None) -> None:
        """Put what the attempt took in the place of what was reserved; ``None``: it was not sent. Does nothing if none
        is out."""
        reserved, self._reserved = self._reserved, ()
        for budget, reservation in reserved:
            amount = 0 if attempt is None else self._taken(budget, reservation.claim.amount, attempt)
            self._own.store.settle(reservation, amount)
        if attempt is None and reserved:
            self._counted = bool(self._call.attempts) or self._call.draft_of is not None

    # -- before --------------------------------------------------------------------------------------------------------

    def _amount(self, budget: Budget, route: str) -> int:
        unit = budget.limit.unit
        if unit is Unit.CALLS:
            return 1
        usual = self._own.usual.of((self._call.task, route, unit))
        if usual is not None:
            return usual
        input_tokens, output_tokens = self._likely_size(route)
        if unit is Unit.TOKENS:
            return input_tokens + output_tokens
        return self._own.prices.cost(budget, route, input_tokens, output_tokens, self._own.tier(route, self._body))

    def _likely_size(self, route: str) -> tuple[int, int]:
        """Tokens in and out, while nothing is known of the task."""
        if self._size is None:
            self._size = likely_tokens(self._body), asked_output(self._body)
        input_tokens, asked = self._size
        if self._call.api is Api.EMBEDDINGS:
            return input_tokens, 0
        caps = [cap for cap in (asked, self._own.most_output(route)) if cap is not None and cap >= 0]
        return input_tokens, min([ASSUMED_OUTPUT, *caps]) * self._choices

    # -- after ---------------------------------------------------------------------------------------------------------

    def _taken(self, budget: Budget, reserved: int, attempt: Attempt) -> int:
        """What an attempt took, in the budget's unit. Of one whose outcome is not known: what was reserved, or more."""
        unit = budget.limit.unit
        if unit is Unit.CALLS:
            return reserved
        status = attempt.cost_status
        if status is CostStatus.NOT_BILLED:
            return 0
        known = self._known(budget, unit, attempt)
        is_open = status is CostStatus.UNKNOWN and attempt.failure is not None
        if known is None or is_open:
            return max(reserved, known or 0)
        self._own.usual.note((self._call.task, attempt.route, unit), known)
        return known

    def _known(self, budget: Budget, unit: Unit, attempt: Attempt) -> int | None:
        input_tokens, output_tokens = attempt.input_tokens, attempt.output_tokens
        if unit is Unit.USD and attempt.cost_usd is not None:
            return bounded_nano_usd(attempt.cost_usd)
        if input_tokens is None and output_tokens is None:
            return None
        if unit is Unit.TOKENS:
            return min(LARGEST, max(0, input_tokens or 0) + max(0, output_tokens or 0))
        return self._own.prices.cost(budget, attempt.route, input_tokens or 0, output_tokens or 0)


def _reserved(budget: Budget, reservation: Reservation) -> str:
    limit = budget.limit
    amount, spent = limit.shown(reservation.claim.amount), limit.shown(reservation.spent)
    return f"reserves {amount} of budget {budget.name} ({spent} of {limit} with it)"


def _beyond(over: Sequence[tuple[Budget, OverBudget]]) -> Beyond:
    """What becomes of an attempt that is over these budgets: the strictest holds."""
    cause = "; ".join(_why(budget, each) for budget, each in over)
    refusing = [each for budget, each in over if budget.lane is None]
    wait = max(map(_wait, refusing)) if refusing else min(_wait(each) for _, each in over)
    lanes = [budget.lane for budget, _ in over if budget.lane is not None]
    failure = failures.OVER_BUDGET.failure(code="budget_exceeded", retry_after=wait, cause=cause)
    return Beyond(failure, None if refusing else max(lanes, key=_RANKS.__getitem__))


def _why(budget: Budget, over: OverBudget) -> str:
    limit = budget.limit
    per = "" if budget.per is None else f" per {budget.per}"
    window = duration_text(budget.window)
    if over.claim.amount > limit.amount:
        amount = limit.shown(over.claim.amount)
        return f"budget {budget.name} is too small for an attempt that may take {amount}: {limit}{per} in {window}"
    return (
        f"budget {budget.name} is used up: {limit.shown(over.spent)} of {limit}{per} in {window} are spent or "
        f"reserved, and this attempt may take {limit.shown(over.claim.amount)}"
    )


def _wait(over: OverBudget) -> float:
    """Seconds until there may be room; for what never finds any, a window's length."""
    bucket = over.claim.bucket
    return over.retry_after if over.claim.amount <= bucket.limit else bucket.window.seconds


def owner_of(
    budget: Budget, task: str, subject: str | None, client: str | None, labels: Mapping[str, str]
) -> str | None:
    """Whose bucket of a budget a call counts in; ``None``: that of all calls, and of those without such a name."""
    if budget.per is None:
        return None
    if budget.per == "subject":
        return subject
    if budget.per == "task":
        return task
    if budget.per == "client":
        return client
    return labels.get(budget.per.removeprefix("label."))
