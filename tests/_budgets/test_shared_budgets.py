"""Budgets of several workers over one real Valkey: well, gone, emptied, lying, and reset by a person."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from _budgets.claiming import at_once, bucket, claim, shared, until_sent
from busy_machine import LONG_ENOUGH
from lanewise._budgets.budget_script import PREFIX, empty_bucket, read_reply, stored_buckets
from lanewise._budgets.budgets_in_memory import BudgetsInMemory
from lanewise._budgets.claims import Claim, OverBudget, Reservation
from lanewise._budgets.shared_budgets import SharedBudgets
from real_valkey import Valkey


async def granted(store: SharedBudgets, amount: int = 100, times: int = 1, **options: Any) -> int:
    """How many of so many claims were granted."""
    results = await asyncio.gather(*[claim(store, bucket(**options), amount) for _ in range(times)])
    return sum(isinstance(result, Reservation) for result in results)


def spent_in(valkey: Valkey) -> dict[str, int]:
    with valkey.client() as client:
        return {key: sum(slots.values()) for key, slots in stored_buckets(client, "")}


@pytest.mark.anyio
async def test_two_workers_have_one_budget(valkey: Valkey) -> None:
    """Whoever asks, and however many at once: as much as the limit allows, and what is settled is given back."""
    with shared(valkey.url) as (one, two):
        stores = (one, two) * 10
        results = await asyncio.gather(*[claim(store, bucket(), 100) for store in stores])
        won = [
            (store, result) for store, result in zip(stores, results, strict=True) if isinstance(result, Reservation)
        ]
        assert len(won) == 10
        assert all(result.spent == 1000 for result in results if isinstance(result, OverBudget))
        store, first = won[0]
        store.settle(first, 0)
        await until_sent(store)
        assert await granted(one if store is two else two, times=3) == 1


@pytest.mark.anyio
async def test_all_claims_of_an_attempt_are_granted_or_none(valkey: Valkey) -> None:
    """What one budget refuses is taken from no other; one that only counts refuses nothing."""
    wide, tight = bucket(10_000, key="1:wide:-"), bucket(100, key="2:tight:-")
    with shared(valkey.url) as (one, _):
        assert len(await one.reserve([Claim(wide, 100), Claim(tight, 100)])) == 2
        refused = await one.reserve([Claim(wide, 100), Claim(tight, 100)])
        assert [over.claim.bucket for over in refused] == [tight]
        assert spent_in(valkey) == {"1:wide:-": 100, "2:tight:-": 100}
        assert len(await one.reserve([Claim(wide, 100), Claim(tight, 100, enforced=False)])) == 2
        assert spent_in(valkey) == {"1:wide:-": 200, "2:tight:-": 200}


@pytest.mark.parametrize("workers", [1, 3, 10])
@pytest.mark.anyio
async def test_without_the_store_a_worker_spends_its_part(valkey: Valkey, workers: int) -> None:
    """The limit / expected_workers more, and no more than is left; the store hears of it when it is back."""
    part = 10 // workers
    with shared(valkey.url, workers) as (one, two):
        total = await granted(one, times=4) + await granted(two, times=1)
        assert total == 5
        valkey.kill()
        try:
            alone = [await granted(one, times=20), await granted(two, times=20)]
        finally:
            valkey.restart()
        assert alone == [min(part, 6), min(part, 5)]
        async with asyncio.timeout(LONG_ENOUGH):
            while one._unsent() or two._unsent():
                await asyncio.sleep(0.05)
        assert spent_in(valkey) == {bucket().key: 100 * sum(alone)}


@pytest.mark.anyio
async def test_a_store_that_forgot_is_told_again(valkey: Valkey) -> None:
    """A worker goes by what it spent itself, and so do the others once the store knows."""
    with shared(valkey.url) as (one, two):
        assert await granted(one, times=9) == 9
        valkey.clear()
        assert await granted(one, times=1) == 1
        await until_sent(one)
        assert await granted(one, times=1) == 0
        assert await granted(two, times=1) == 0


@pytest.mark.anyio
async def test_what_no_script_would_say_is_taken_for_silence(valkey: Valkey) -> None:
    """A key of another kind, amounts that are none: the worker goes on with its part, and refuses the rest."""
    for write in (
        lambda client, key: client.set(key, "0"),
        lambda client, key: client.hset(key, "7", "-5000"),
        lambda client, key: client.hset(key, "7", "nan"),
        lambda client, key: client.hset(key, "x", "5"),
        lambda client, key: client.hset(key, "7", "1e300"),
    ):
        valkey.clear()
        with valkey.client() as client:
            write(client, PREFIX + bucket().key)
        with shared(valkey.url, 4, 1) as (one,):
            assert await granted(one, times=10) == 2


@pytest.mark.anyio
async def test_under_a_key_of_another_kind_no_more_than_its_part_is_spent(valkey: Valkey) -> None:
    """However long that lasts: what the store does not take is not told. Given back by a person, it is shared again."""
    told: list[str] = []
    with valkey.client() as client:
        client.set(PREFIX + bucket().key, "0")
    with shared(valkey.url, 4, 1, told.append) as (one,):
        for _ in range(3):
            results = [await claim(one, bucket(), 100) for _ in range(5)]
            await asyncio.sleep(0.05)
        assert sum(isinstance(result, Reservation) for result in results) == 0
        assert one._unsent()
        assert "under a budget's key what no worker wrote" in told[0] or "refuses writes" in told[0]
        with valkey.client() as client:
            assert list(stored_buckets(client, "0:")) == [(bucket().key, {})]
            empty_bucket(client, bucket().key, bucket().window)
        assert await granted(one, times=20) == 8  # it is told now of the two that the worker granted


@pytest.mark.anyio
async def test_a_store_that_may_only_be_read_is_as_one_that_is_gone(valkey: Valkey) -> None:
    """A replica after a failover answers, and takes nothing: each worker spends its part, and tells of it later."""
    told: list[str] = []
    with shared(valkey.url, 4, 2, told.append) as (one, two):
        assert await granted(one, times=4) == 4
        with valkey.client() as client:
            client.replicaof("127.0.0.1", 1)
            try:
                alone = [sum([await granted(store) for _ in range(6)]) for store in (one, two)]
            finally:
                client.replicaof("no", "one")
        assert alone == [2, 2]
        assert len(told) == 2
        assert all("refuses writes (ReadOnlyError)" in line for line in told)
        await until_sent(one)
        await until_sent(two)
        assert await granted(one, times=20) + await granted(two, times=20) == 2


@pytest.mark.anyio
async def test_what_was_heard_long_ago_makes_no_room_for_what_is_granted_alone(valkey: Valkey) -> None:
    """What attempts take less than they reserved is no part of what a worker may spend while the store is gone."""
    with shared(valkey.url, 4, 1) as (one,):
        valkey.kill()
        try:
            first = [await claim(one, bucket(), 100) for _ in range(3)]
        finally:
            valkey.restart()
        async with asyncio.timeout(LONG_ENOUGH):
            while not isinstance(await claim(one, bucket(), 1), Reservation) or one._unsent():
                await asyncio.sleep(0.05)
        valkey.kill()
        try:
            for reservation in first:
                if isinstance(reservation, Reservation):
                    one.settle(reservation, 0)
            assert await granted(one, times=10) == 2
        finally:
            valkey.restart()


@pytest.mark.anyio
async def test_what_was_reserved_before_a_reset_changes_nothing_after_it(valkey: Valkey) -> None:
    """Its difference belongs to what a person gave back."""
    with shared(valkey.url) as (one, two):
        before = await claim(one, bucket(), 900)
        with valkey.client() as client:
            empty_bucket(client, bucket().key, bucket().window)
        assert await granted(two, times=8) == 8
        assert await granted(one) == 1
        assert isinstance(before, Reservation)
        one.settle(before, 100)
        await until_sent(one)
        assert spent_in(valkey) == {bucket().key: 900}


@given(
    st.recursive(st.none() | st.integers() | st.binary(max_size=8) | st.text(max_size=4), lambda each: st.lists(each))
)
def test_any_reply_is_read_or_is_none(reply: object) -> None:
    """Whatever a store says."""
    read_reply(reply, [Claim(bucket(), 5)])


@pytest.mark.anyio
async def test_a_person_gives_a_budget_back(valkey: Valkey) -> None:
    """All workers go on as if nothing had been spent, also those that remember what they spent."""
    with shared(valkey.url) as (one, two):
        assert await granted(one, times=20) == 10
        with valkey.client() as client:
            empty_bucket(client, bucket().key, bucket().window)
        assert await granted(two, times=3) == 3
        assert await granted(one, times=20) == 7


@pytest.mark.anyio
async def test_a_claim_that_nobody_waits_for_is_taken_back(valkey: Valkey) -> None:
    """The caller hung up while the store was asked."""
    with shared(valkey.url, 4, 1) as (one,):
        assert await granted(one) == 1
        for delay in (0.0, 0.0001, 0.0003, 0.001):
            task = asyncio.create_task(claim(one, bucket(), 100))
            await asyncio.sleep(delay)
            if not task.cancel():
                one.settle(task.result(), 0)  # type: ignore[arg-type]
            else:
                with pytest.raises(asyncio.CancelledError):
                    await task
        async with asyncio.timeout(LONG_ENOUGH):
            while spent_in(valkey) != {bucket().key: 100}:
                await asyncio.sleep(0.01)


@pytest.mark.anyio
async def test_closing_tells_what_is_left(valkey: Valkey) -> None:
    """What the last attempts took in the place of what was reserved."""
    with shared(valkey.url, 4, 1) as (one,):
        result = await claim(one, bucket(), 500)
        assert isinstance(result, Reservation)
        one.settle(result, 30)
    assert spent_in(valkey) == {bucket().key: 30}


STEPS = st.lists(st.tuples(st.sampled_from(["take", "count", "settle"]), st.integers(1, 400)), max_size=25)


def test_the_store_decides_as_the_memory_does(valkey: Valkey) -> None:
    """The script and the arithmetic that the simulation holds are one: the same steps are granted and refused."""

    @settings(max_examples=20)
    @given(STEPS, st.sampled_from([86400.0, 3600.0]))
    def check(steps: list[tuple[str, int]], seconds: float) -> None:
        asyncio.run(_steps(valkey, steps, seconds))

    check()


async def _steps(valkey: Valkey, steps: list[tuple[str, int]], seconds: float) -> None:
    valkey.clear()
    memory = BudgetsInMemory()
    with shared(valkey.url, 4, 1) as (store,):
        taken: list[tuple[Reservation, Reservation]] = []
        for step, amount in steps:
            if step == "settle" and taken:
                mine, theirs = taken.pop()
                memory.settle(mine, amount)
                store.settle(theirs, amount)
            if step == "settle":
                continue
            one = at_once(claim(memory, bucket(seconds=seconds), amount, enforced=step == "take"))
            two = await claim(store, bucket(seconds=seconds), amount, enforced=step == "take")
            assert type(one) is type(two)
            assert one.spent == two.spent
            if isinstance(one, Reservation) and isinstance(two, Reservation):
                taken.append((one, two))
