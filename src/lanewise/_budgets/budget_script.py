"""Budgets in Valkey or Redis: one script takes from all buckets of an attempt or from none, another puts one right.

A bucket is a hash: slot of its window to what was spent in it, and ``reset`` to when a person emptied it. Time is the
store's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, cast

import msgspec

from lanewise._budgets.claims import MOST, Bucket, Claim, OverBudget, Reservation
from lanewise._budgets.spending_window import DAY, SpendingWindow

if TYPE_CHECKING:
    import redis

__all__ = [
    "ADJUST",
    "GARBLED",
    "PREFIX",
    "RESERVE",
    "Answer",
    "adjust_arguments",
    "empty_bucket",
    "read_reply",
    "reserve_arguments",
    "stored_buckets",
]

PREFIX: Final = "lanewise:budget:"

RESERVE: Final = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local over, taken = {}, {}
for i, key in ipairs(KEYS) do
  local at = (i - 1) * 5
  local length, seconds, amount, limit = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]),
    tonumber(ARGV[at + 4])
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'hash' and kind ~= 'none' then return {'garbled'} end
  local slot = math.floor(now / length)
  local oldest = slot
  if seconds > 0 then oldest = math.floor((now - seconds) / length) end
  local spent = 0
  local reset = '0'
  local held = redis.call('HGETALL', key)
  for n = 1, #held, 2 do
    local number, value = tonumber(held[n]), tonumber(held[n + 1])
    if held[n] == 'reset' then reset = held[n + 1]
    elseif not number or not value or not (value >= 0 and value < 9007199254740992) then return {'garbled'}
    elseif number < oldest then redis.call('HDEL', key, held[n])
    else spent = spent + value end
  end
  if ARGV[at + 5] == '1' and spent + amount > limit then
    over[#over + 1] = {string.format('%d', i), string.format('%.0f', spent), reset, held}
  end
  taken[i] = {string.format('%.0f', slot), string.format('%.0f', spent + amount), reset}
end
local clock = string.format('%.6f', now)
if #over > 0 then return {'over', clock, over} end
for i, key in ipairs(KEYS) do
  local at = (i - 1) * 5
  redis.call('HINCRBY', key, taken[i][1], ARGV[at + 3])
  redis.call('EXPIRE', key, math.ceil(tonumber(ARGV[at + 1]) + tonumber(ARGV[at + 2])) + 60)
end
return {'taken', clock, taken}
"""
"""Of each key the length of a slot, that of a window that rolls (0: only this slot counts), the amount, the limit and
whether it is enforced."""

GARBLED: Final = [b"garbled"]
"""The reply of :data:`RESERVE` for a key that is no bucket."""

ADJUST: Final = """
local left = redis.call('HINCRBY', KEYS[1], ARGV[1], ARGV[2])
if left < 0 then redis.call('HSET', KEYS[1], ARGV[1], 0) end
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""
"""A slot never falls below nothing: what is put right may have been forgotten meanwhile."""


def reserve_arguments(claims: Sequence[Claim]) -> list[str]:
    """The keys, and then the arguments, of :data:`RESERVE`."""
    keys = [PREFIX + claim.bucket.key for claim in claims]
    arguments: list[str] = []
    for claim in claims:
        window = claim.bucket.window
        arguments += [repr(window.slot_seconds), repr(_rolls(window)), str(claim.amount), str(claim.bucket.limit)]
        arguments.append("1" if claim.enforced else "0")
    return keys + arguments


def adjust_arguments(bucket: Bucket, slot: int, amount: int) -> list[str]:
    """The key, and then the arguments, of :data:`ADJUST`."""
    window = bucket.window
    kept = int(window.slot_seconds + _rolls(window)) + 61
    return [PREFIX + bucket.key, str(slot), str(amount), str(kept)]


class Answer(msgspec.Struct, frozen=True):
    """What :data:`RESERVE` did. ``resets`` is of each bucket when a person last emptied it (0: never)."""

    result: tuple[Reservation, ...] | tuple[OverBudget, ...]
    resets: tuple[int, ...]

    @property
    def by_claim(self) -> Iterator[tuple[Reservation | OverBudget, int]]:
        """What became of each claim, with when its bucket was last emptied."""
        result: tuple[Reservation | OverBudget, ...] = self.result
        return zip(result, self.resets, strict=True)


def read_reply(reply: object, claims: Sequence[Claim]) -> Answer | None:
    """What was done. ``None`` if that is nothing that the script could have said: then it is not known."""
    try:
        kind, clock, rows = cast("tuple[bytes, bytes, list[list[bytes]]]", reply)
        now = float(clock)
        if kind == b"taken" and len(rows) == len(claims):
            taken = zip(claims, rows, strict=True)
            granted = tuple(Reservation(claim, int(row[0]), _sane(row[1])) for claim, row in taken)
            return Answer(granted, tuple(_sane(row[2]) for row in rows))
        if kind == b"over" and rows:
            over = tuple(_over(claims[int(row[0]) - 1], _sane(row[1]), row[3], now) for row in rows)
            return Answer(over, tuple(_sane(row[2]) for row in rows))
    except (TypeError, ValueError, IndexError, OverflowError):
        pass
    return None


def stored_buckets(store: redis.Redis, key: str) -> Iterator[tuple[str, dict[int, int]]]:
    """The buckets whose keys begin so: each key with what was spent, by slot. Of what is garbled nothing is.

    Raises redis.RedisError.
    """
    for name in store.scan_iter(match=f"{PREFIX}{key}*", count=500):
        is_bucket = store.type(name) == b"hash"
        held = cast("dict[bytes, bytes]", store.hgetall(name)) if is_bucket else {}
        yield name.decode("utf-8", "replace").removeprefix(PREFIX), _slots(held)


def empty_bucket(store: redis.Redis, key: str, window: SpendingWindow) -> None:
    """Have nothing of a bucket be spent. Workers that remember otherwise see that a person wanted it.

    Raises redis.RedisError.
    """
    seconds, micros = store.time()  # whoever empties it next is later by the same clock
    pipe = store.pipeline(transaction=True)
    pipe.delete(PREFIX + key)
    pipe.hset(PREFIX + key, "reset", str(seconds * 1000 + micros // 1000))
    pipe.expire(PREFIX + key, int(window.slot_seconds + _rolls(window)) + 61)
    pipe.execute()


def _over(claim: Claim, spent: int, held: object, now: float) -> OverBudget:
    flat = cast("list[bytes]", held)
    slots = _slots(dict(zip(flat[::2], flat[1::2], strict=True)))
    bucket = claim.bucket
    return OverBudget(claim, spent, bucket.window.room_in(slots, claim.amount, bucket.limit, now))


def _slots(held: dict[bytes, bytes]) -> dict[int, int]:
    slots = {}
    for slot, amount in held.items():
        try:
            slots[int(slot)] = _sane(amount)
        except ValueError:
            continue
    return slots


def _sane(amount: bytes) -> int:
    value = int(amount)
    if not 0 <= value < MOST:
        raise ValueError("no amount that was ever spent")
    return value


def _rolls(window: SpendingWindow) -> float:
    return 0.0 if window.seconds == DAY else window.seconds
