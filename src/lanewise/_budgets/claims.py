"""What an attempt takes of its budgets: asked for before it goes out, and put right once its cost is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from lanewise._budgets.spending_window import SpendingWindow

__all__ = ["MOST", "Bucket", "BudgetStore", "Claim", "OverBudget", "Reservation"]

MOST: Final = 2**53
"""No amount is as large: the store's scripts count in double floats."""


class Bucket(msgspec.Struct, frozen=True):
    """What one subject, task or client has of a budget. ``key`` names it in all workers, and holds no subject.

    Amounts are whole numbers: billionths of a US dollar, tokens or calls.
    """

    budget: str
    key: str
    limit: int
    window: SpendingWindow


class Claim(msgspec.Struct, frozen=True):
    """An amount of one bucket. One that is not ``enforced`` is only counted: its budget lets such attempts go on."""

    bucket: Bucket
    amount: int
    enforced: bool = True


class Reservation(msgspec.Struct, frozen=True):
    """A claim that was granted. ``slot`` is where it stands in its window, ``spent`` what is spent with it.

    ``reset`` is when a person had last emptied the bucket, as far as was known. ``alone``: it was granted by this
    worker itself, since the store could not be heard: how often the store had been told of such by then, from 1 on.
    """

    claim: Claim
    slot: int
    spent: int
    reset: int = 0
    alone: int = 0


class OverBudget(msgspec.Struct, frozen=True):
    """A claim that was refused. ``spent`` is what is spent without it; there may be room in ``retry_after`` seconds."""

    claim: Claim
    spent: int
    retry_after: float


class BudgetStore(Protocol):
    """Grants claims, and keeps what was spent."""

    async def reserve(self, claims: Sequence[Claim]) -> tuple[Reservation, ...] | tuple[OverBudget, ...]:
        """Grant all of the claims, or none: then those that are over their budget."""
        ...

    def settle(self, reservation: Reservation, amount: int) -> None:
        """Put what an attempt has cost in the place of what was reserved. Doesn't wait."""
        ...
