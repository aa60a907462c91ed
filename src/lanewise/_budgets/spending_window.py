"""The span of time that a budget looks back over, in slots: a day of UTC's, or one that rolls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

__all__ = ["DAY", "SpendingWindow"]

DAY: Final = 86400.0
"""Seconds. A window of exactly this length is a day of UTC's; any other rolls."""
SLOTS: Final = 60
"""Into how many slots a rolling window is cut: what was spent in one counts until all of it is older than the window,
so for up to a sixtieth longer than it has to."""


class SpendingWindow(msgspec.Struct, frozen=True):
    """``seconds`` long. Times are seconds since 1970, slots are numbered from there.

    Example::

        window = SpendingWindow(86400.0)
        assert window.slot(86400.0 * 3 - 1) == 2 and window.slot(86400.0 * 3) == 3
    """

    seconds: float

    @property
    def slot_seconds(self) -> float:
        """How long a slot is."""
        return self.seconds if self.seconds == DAY else self.seconds / SLOTS

    def slot(self, now: float) -> int:
        """The slot that is written to now."""
        return int(now // self.slot_seconds)

    def oldest(self, now: float) -> int:
        """The oldest slot that counts now. Later ones than now's count too, for clocks that were set back."""
        if self.seconds == DAY:
            return self.slot(now)
        return int((now - self.seconds) // self.slot_seconds)

    def spent(self, slots: Mapping[int, int], now: float) -> int:
        """What counts now of what was spent, by slot."""
        oldest = self.oldest(now)
        return sum(amount for slot, amount in slots.items() if slot >= oldest)

    def forget(self, slots: dict[int, int], now: float) -> None:
        """Drop the slots that do not count any more."""
        oldest = self.oldest(now)
        for slot in [slot for slot in slots if slot < oldest]:
            del slots[slot]

    def room_in(self, slots: Mapping[int, int], amount: int, limit: int, now: float) -> float:
        """The seconds until ``amount`` more would keep to the limit, if nothing else is spent meanwhile.

        Of an amount that is larger than the limit: until nothing of what was spent counts any more.
        """
        over = self.spent(slots, now) + amount - limit
        oldest = self.oldest(now)
        wait = 0.0
        for slot in sorted(slot for slot in slots if slot >= oldest and slots[slot] > 0):
            if over <= 0:
                break
            over -= slots[slot]
            wait = self._ends(slot) - now
        return max(0.0, wait)

    def _ends(self, slot: int) -> float:
        """When a slot does not count any more."""
        end = (slot + 1) * self.slot_seconds
        return end if self.seconds == DAY else end + self.seconds
