"""Windows of time: a day of UTC's, and those that roll."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lanewise._budgets.spending_window import DAY, SLOTS, SpendingWindow

TIMES = st.floats(1.7e9, 1.9e9)
LENGTHS = st.floats(1.0, 90 * DAY)


@given(TIMES, LENGTHS)
def test_what_was_spent_counts_for_a_whole_window_and_little_longer(at: float, seconds: float) -> None:
    """Until all of the window has passed, and not for more than a sixtieth of it longer."""
    window = SpendingWindow(seconds)
    slots = {window.slot(at): 5}
    if seconds == DAY:
        return
    assert window.spent(slots, at) == 5
    assert window.spent(slots, at + seconds * 0.999) == 5
    assert window.spent(slots, at + seconds * (1 + 1.01 / SLOTS) + 0.001) == 0


@given(st.integers(19_000, 22_000), st.floats(0, DAY - 0.001), st.floats(0, DAY - 0.001))
def test_a_day_is_one_of_utc(day: int, early: float, late: float) -> None:
    """What is spent on a day counts on that day, and not on the next."""
    window = SpendingWindow(DAY)
    slots = {window.slot(day * DAY + early): 5}
    assert window.spent(slots, day * DAY + late) == 5
    assert window.spent(slots, (day + 1) * DAY + late) == 0


@given(TIMES, LENGTHS, st.floats(0, 3 * DAY))
def test_a_clock_that_is_set_back_forgets_nothing(at: float, seconds: float, back: float) -> None:
    """What was spent in what is now the future counts."""
    window = SpendingWindow(seconds)
    assert window.spent({window.slot(at): 5}, at - back) == 5


@given(TIMES, LENGTHS, st.lists(st.tuples(st.floats(0, 1), st.integers(1, 100)), min_size=1, max_size=20), st.data())
def test_there_is_room_when_it_says_so(
    now: float, seconds: float, spent: list[tuple[float, int]], data: st.DataObject
) -> None:
    """After the time that it tells the amount fits, and a moment before that it does not."""
    window = SpendingWindow(seconds)
    slots: dict[int, int] = {}
    for ago, amount in spent:
        slot = window.slot(now - ago * seconds)
        slots[slot] = slots.get(slot, 0) + amount
    limit = data.draw(st.integers(1, 300))
    amount = data.draw(st.integers(1, limit))
    wait = window.room_in(slots, amount, limit, now)
    assert window.spent(slots, now + wait + 0.01) + amount <= limit
    if wait > 0.01:
        assert window.spent(slots, now + wait - 0.01) + amount > limit
