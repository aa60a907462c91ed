"""What an attempt cost, and how far that is known: reckoned when it is first read, not while a call waits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import Any, Final

import msgspec

__all__ = ["COST_FIELDS", "Cost", "CostStatus", "PendingCost", "WhenRead"]

COST_FIELDS: Final = ("cost_usd", "cost_status", "cost_upper_usd")


class CostStatus(StrEnum):
    """How far an attempt's cost is known. An unknown cost is ``None``, never 0."""

    REPORTED = "reported"
    """What the provider itself says that it cost."""
    KNOWN = "known"
    """Reckoned from all that the provider says was used, each kind of it by its price."""
    ESTIMATED = "estimated"
    UNKNOWN = "unknown"
    NOT_BILLED = "not_billed"


class Cost(msgspec.Struct, frozen=True):
    """What an attempt cost in US dollars, and how far that is known; ``upper_usd`` is what it can be at the most."""

    usd: float | None
    status: CostStatus = CostStatus.UNKNOWN
    upper_usd: float | None = None


class PendingCost(ABC):
    """A cost that is reckoned when somebody first asks for it: that takes longer than a call may wait."""

    __slots__ = ()

    @abstractmethod
    def settle(self) -> Cost:
        """The cost. Several threads may ask at a time, and each gets the same."""


class WhenRead:
    """A field of a record that may hold a pending cost, which is settled when the field is first read.

    ``slots`` are those of all the record's fields that it is settled into, in the order of ``COST_FIELDS``.
    """

    def __init__(self, slot: Any, slots: tuple[Any, ...]) -> None:
        self._slot = slot
        self._slots = slots

    def __get__(self, record: msgspec.Struct | None, owner: type[msgspec.Struct]) -> object:
        """The field."""
        if record is None:
            return self
        value = self._slot.__get__(record, owner)
        if not isinstance(value, PendingCost):
            return value
        cost = value.settle()
        for slot, settled in zip(self._slots, (cost.usd, cost.status, cost.upper_usd), strict=True):
            slot.__set__(record, settled)
        return self._slot.__get__(record, owner)

    def __set__(self, record: msgspec.Struct, value: object) -> None:
        self._slot.__set__(record, value)
