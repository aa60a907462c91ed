"""Answers kept to be given again within one process: bounded in bytes, and gone with it."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from typing import Final

import msgspec

from lanewise._replay.replays import Claimed, Unclaimed

__all__ = ["ReplaysInMemory"]

BYTES: Final = 64_000_000
"""How much is kept at most, in sealed bytes: the oldest answers go first."""

CLAIMS: Final = 10_000
"""How many claims there are before those whose time is over are looked for."""


class _Claim(msgspec.Struct):
    """A claim; ``until`` is by the monotonic clock."""

    owner: str
    sign: bytes
    until: float


class _Kept(msgspec.Struct, frozen=True):
    """An answer; ``until`` is by the monotonic clock."""

    sealed: bytes
    until: float


class ReplaysInMemory:
    """The :class:`~lanewise._replay.replays.Replays` for the calls of one router in one process."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._process = os.getpid()
        self._lock = threading.RLock()  # re-entrant: collecting garbage closes streams, wherever that happens
        self._claims: dict[str, _Claim] = {}
        self._answers: OrderedDict[str, _Kept] = OrderedDict()
        self._size = 0

    async def claim(
        self, key: str, owner: str, sign: bytes, *, lease: float, within: float
    ) -> Unclaimed | Claimed | bytes:
        """The answer of a key; or whose turn it is to make it. Waits for nothing."""
        self._check_process()
        now = time.monotonic()
        with self._lock:
            self._drop_expired(now)
            kept = self._answers.get(key)
            if kept is not None:
                return kept.sealed
            claimed = self._claims.get(key)
            if claimed is not None and claimed.until > now:
                return Claimed(claimed.owner, claimed.sign)
            self._claims[key] = _Claim(owner, sign, now + lease)
            return Unclaimed.OURS

    def answer(self, key: str, owner: str, sealed: bytes, *, keep: float) -> None:
        """Keep an answer, unless another owner has claimed the key since, or has answered."""
        self._check_process()
        with self._lock:
            claimed = self._claims.get(key)
            if key in self._answers or (claimed is not None and claimed.owner != owner):
                return
            self._claims.pop(key, None)
            self._answers[key] = _Kept(sealed, time.monotonic() + keep)
            self._size += len(sealed)
            while self._size > BYTES:
                self._drop_oldest()

    def renew(self, key: str, owner: str, sign: bytes, *, lease: float) -> None:
        """Let a claim last for longer, with another sign of life, if it is the owner's."""
        self._check_process()
        with self._lock:
            if self._is_owner(key, owner):
                self._claims[key] = _Claim(owner, sign, time.monotonic() + lease)

    def release(self, key: str, owner: str) -> None:
        """Give a claim up, if it is the owner's."""
        self._check_process()
        with self._lock:
            if self._is_owner(key, owner):
                del self._claims[key]

    def _is_owner(self, key: str, owner: str) -> bool:
        claimed = self._claims.get(key)
        return claimed is not None and claimed.owner == owner

    def _drop_expired(self, now: float) -> None:
        """Answers are kept equally long, so the oldest are the first to go; a claim mostly goes with its call."""
        if len(self._claims) > CLAIMS:
            self._claims = {key: claimed for key, claimed in self._claims.items() if claimed.until > now}
        while self._answers and next(iter(self._answers.values())).until <= now:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        _, kept = self._answers.popitem(last=False)
        self._size -= len(kept.sealed)

    def _check_process(self) -> None:
        """In the child of a fork the calls that run, and whoever holds the lock, are the parent's."""
        if self._process != os.getpid():
            self._forget()
