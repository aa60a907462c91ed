"""Answers that are kept to be given again: who may make one, who waits for it, and where it is."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

import msgspec

__all__ = ["Claimed", "Replays", "ReplaysUnavailable", "Unclaimed"]


class Unclaimed(Enum):
    """The result of a claim where the key has neither an answer nor an owner."""

    OURS = "ours"


class Claimed(msgspec.Struct, frozen=True):
    """Another owner makes the answer of a key now. ``sign`` is the sign of life that it left last."""

    owner: str
    sign: bytes


class ReplaysUnavailable(Exception):
    """Nothing is known of a key. The text names the reason, and quotes nothing of what is stored."""


class Replays(Protocol):
    """Answers by key, sealed by their callers. Usable from any thread and loop.

    An owner is a text that nobody else has, and without a space. ``lease`` and ``keep`` are in seconds: when they are
    over, the claim or the answer is gone. ``sign`` is kept with a claim, for those who wait for its owner. Only
    :meth:`claim` waits; the rest is done soon, and is forgotten if it can't be.
    """

    async def claim(
        self, key: str, owner: str, sign: bytes, *, lease: float, within: float
    ) -> Unclaimed | Claimed | bytes:
        """The answer of a key; or whose turn it is to make it. Waits for the store for ``within`` seconds at most.

        Raises ReplaysUnavailable: then the claim may have been made all the same.
        """
        ...

    def answer(self, key: str, owner: str, sealed: bytes, *, keep: float) -> None:
        """Keep an answer, unless another owner has claimed the key since, or has answered."""
        ...

    def renew(self, key: str, owner: str, sign: bytes, *, lease: float) -> None:
        """Let a claim last for longer, with another sign of life, if it is the owner's."""
        ...

    def release(self, key: str, owner: str) -> None:
        """Give a claim up, if it is the owner's."""
        ...
