"""What keeps answers, in memory or shared: one owner at a time, nothing of another's touched, all for a time only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

from busy_machine import LONG_ENOUGH
from lanewise._replay import replays_in_memory as replays_in_memory
from lanewise._replay import shared_replays as replays_shared
from lanewise._replay.replays import Claimed, ReplaysUnavailable, Unclaimed
from lanewise._replay.replays_in_memory import ReplaysInMemory
from lanewise._replay.shared_replays import PREFIX, SharedReplays
from lanewise.config.environment.store_address import StoreAddress
from real_valkey import Valkey

pytestmark = pytest.mark.anyio

LONG = 100.0


@pytest.fixture(params=["memory", "shared"])
def replays(request: pytest.FixtureRequest) -> Iterator[Any]:
    """What keeps answers."""
    if request.param == "memory":
        yield ReplaysInMemory()
        return
    shared = SharedReplays(StoreAddress(request.getfixturevalue("valkey").url), 1000)
    yield shared
    shared.close()


async def claim(replays: Any, owner: str, *, key: str = "k", lease: float = LONG) -> object:
    result = await replays.claim(key, owner, b"sign", lease=lease, within=20.0)
    assert isinstance(result, Unclaimed | Claimed | bytes)
    return result


async def until(probe: Callable[[], Any], wanted: object) -> None:
    """Ask until it is so: what is not waited for happens soon."""
    with anyio.fail_after(LONG_ENOUGH):
        while await probe() != wanted:
            await anyio.sleep(0.01)


async def test_one_owner_has_the_turn_until_it_answers(replays: Any) -> None:
    """The others see that it is another's, and then the answer."""
    assert await claim(replays, "a") is Unclaimed.OURS
    assert await claim(replays, "b") == Claimed("a", b"sign")
    assert await claim(replays, "b", key="another") is Unclaimed.OURS
    replays.answer("k", "a", b"sealed", keep=LONG)
    await until(lambda: claim(replays, "b"), b"sealed")
    assert await claim(replays, "c") == b"sealed"


async def test_of_many_that_claim_at_once_one_has_the_turn(replays: Any) -> None:
    """However many there are."""
    turns: list[object] = []

    async def one(owner: str) -> None:
        turns.append(await claim(replays, owner))

    async with anyio.create_task_group() as group:
        for number in range(200):
            group.start_soon(one, str(number))
    assert turns.count(Unclaimed.OURS) == 1
    assert sum(isinstance(turn, Claimed) for turn in turns) == 199


async def test_a_released_turn_is_the_next_ones(replays: Any) -> None:
    """But only its owner can release it."""
    assert await claim(replays, "a") is Unclaimed.OURS
    replays.release("k", "b")
    assert await claim(replays, "b") == Claimed("a", b"sign")
    replays.release("k", "a")
    await until(lambda: claim(replays, "b"), Unclaimed.OURS)


async def test_a_lease_ends(replays: Any) -> None:
    """Of an owner that was killed nothing is heard any more."""
    assert await claim(replays, "a", lease=0.2) is Unclaimed.OURS
    assert await claim(replays, "b") == Claimed("a", b"sign")
    await until(lambda: claim(replays, "b"), Unclaimed.OURS)


async def test_a_renewed_lease_lasts(replays: Any) -> None:
    """But only its owner can renew it."""
    assert await claim(replays, "a", lease=30.0) is Unclaimed.OURS
    assert await claim(replays, "a", key="l", lease=30.0) is Unclaimed.OURS
    replays.renew("k", "b", b"later", lease=0.001)
    replays.renew("l", "a", b"later", lease=0.001)
    await until(lambda: claim(replays, "b", key="l"), Unclaimed.OURS)
    assert await claim(replays, "b") == Claimed("a", b"sign")


async def test_who_has_lost_the_turn_does_not_answer_for_its_new_owner(replays: Any) -> None:
    """Whoever has it now is waited for; but an answer that nobody else makes is welcome, late as it is."""
    assert await claim(replays, "a", lease=0.001) is Unclaimed.OURS
    await until(lambda: claim(replays, "b"), Unclaimed.OURS)
    replays.answer("k", "a", b"late", keep=LONG)
    replays.answer("unclaimed", "a", b"late", keep=LONG)
    await until(lambda: claim(replays, "c", key="unclaimed"), b"late")
    assert await claim(replays, "c") == Claimed("b", b"sign")
    replays.answer("k", "b", b"in time", keep=LONG)
    await until(lambda: claim(replays, "c"), b"in time")
    replays.answer("k", "a", b"late", keep=LONG)
    replays.release("k", "a")
    assert await claim(replays, "c") == b"in time"


async def test_an_answer_is_kept_for_its_time(replays: Any) -> None:
    """Then the next one makes it anew."""
    replays.answer("k", "a", b"sealed", keep=0.2)
    await until(lambda: claim(replays, "b"), Unclaimed.OURS)


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest answers go first."""
    monkeypatch.setattr(replays_in_memory, "BYTES", 1000)
    replays = ReplaysInMemory()
    for number in range(100):
        replays.answer(f"k{number}", "a", b"x" * 100, keep=LONG)
    kept = [await replays.claim(f"k{number}", "b", b"", lease=LONG, within=1) for number in range(100)]
    assert kept == [Unclaimed.OURS] * 90 + [b"x" * 100] * 10


@pytest.mark.parametrize("garbage", [b"", b"x", b"x" * 5000, b"a" * 5000, b"\xff\x00"])
async def test_garbage_is_none_of_ours(garbage: bytes, valkey: Valkey) -> None:
    """It is told as such, not read as an answer; nor is it overwritten."""
    with valkey.client() as client:
        client.set(PREFIX + "k", garbage)
        shared = SharedReplays(StoreAddress(valkey.url), 1000)
        with pytest.raises(ReplaysUnavailable, match="nothing of ours"):
            await claim(shared, "a")
        shared.answer("k", "a", b"sealed", keep=LONG)
        shared.release("k", "a")
        shared.close()
        assert client.get(PREFIX + "k") == garbage


async def test_a_value_of_another_kind_is_refused_alone(valkey: Valkey) -> None:
    """Other keys go on."""
    with valkey.client() as client:
        client.rpush(PREFIX + "k", "item")
    shared = SharedReplays(StoreAddress(valkey.url), 1000)
    with pytest.raises(ReplaysUnavailable, match="refused"):
        await claim(shared, "a")
    assert await claim(shared, "a", key="l") is Unclaimed.OURS
    shared.close()


async def test_a_store_without_room_keeps_no_answer_and_lets_others_go_on(valkey: Valkey) -> None:
    """Full is full: the claim is given up."""
    shared = SharedReplays(StoreAddress(valkey.url), 1000)
    assert await claim(shared, "a") is Unclaimed.OURS
    with valkey.client() as client:
        client.config_set("maxmemory", 1)
        try:
            shared.answer("k", "a", b"sealed", keep=LONG)
            shared.close()
            assert client.get(PREFIX + "k") is None
        finally:
            client.config_set("maxmemory", 0)


async def test_it_works_again_after_a_close_and_brings_what_was_put_before(valkey: Valkey) -> None:
    """A router that is opened again goes on."""
    shared = SharedReplays(StoreAddress(valkey.url), 1000)
    assert await claim(shared, "a") is Unclaimed.OURS
    shared.answer("k", "a", b"sealed", keep=LONG)
    shared.close()
    assert await claim(shared, "b") == b"sealed"
    shared.close()


async def test_what_a_failing_store_did_not_take_is_brought_when_it_is_back(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those who wait there need not wait for the lease."""
    monkeypatch.setattr(replays_shared, "PAUSE", 0.1)
    shared = SharedReplays(StoreAddress(valkey.url), 1000)
    assert await claim(shared, "a") is Unclaimed.OURS
    assert await claim(shared, "a", key="l") is Unclaimed.OURS
    send = replays_shared._StoreThread._send
    monkeypatch.setattr(replays_shared._StoreThread, "_send", _fail)
    shared.answer("k", "a", b"sealed", keep=LONG)
    shared.release("l", "a")
    with pytest.raises(ReplaysUnavailable, match="ConnectionError"):
        await claim(shared, "b")
    monkeypatch.setattr(replays_shared._StoreThread, "_send", send)
    with valkey.client() as client:

        async def stored() -> bytes | None:
            value: bytes | None = client.get(PREFIX + "k")
            return value

        async def left() -> bytes | None:
            value: bytes | None = client.get(PREFIX + "l")
            return value

        await until(stored, b"asealed")
        await until(left, None)  # in whichever order they are brought
    shared.close()


def _fail(*_: object) -> None:
    raise ConnectionError("no network")
