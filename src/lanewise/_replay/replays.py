"""Answers that are kept to be given again: who may make one, who waits for it, and where it is."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

__all__ = ["Replays", "ReplaysUnavailable", "Turn"]


class Turn(StrEnum):
    """Whose turn it is to make the answer of a key."""

    OURS = "ours"
    """Nobody makes it, and nobody has: the owner that asked has claimed it."""
    ANOTHERS = "another's"
    """Another owner makes it now."""


class ReplaysUnavailable(Exception):
    """Nothing is known of a key. The text says why, in our words, and quotes nothing of what is stored."""


class Replays(Protocol):
    """Answers by key, sealed by whoever brings them. Usable from any thread and loop.

    An owner is a text that nobody else has. ``lease`` and ``keep`` are in seconds: when they are over, the claim or the
    answer is gone. Only :meth:`claim` waits; the rest is done soon, and is forgotten if it can't be.
    """

    async def claim(self, key: str, owner: str, *, lease: float, within: float) -> Turn | bytes:
        """The answer of a key; or whose turn it is to make it. Waits for the store for ``within`` seconds at most.

        Raises ReplaysUnavailable: then the claim may have been made all the same.
        """
        ...

    def answer(self, key: str, owner: str, sealed: bytes, *, keep: float) -> None:
        """Keep an answer, unless another owner has claimed the key since, or has answered."""
        ...

    def renew(self, key: str, owner: str, *, lease: float) -> None:
        """Let a claim last for longer, if it is the owner's."""
        ...

    def release(self, key: str, owner: str) -> None:
        """Give a claim up, if it is the owner's."""
        ...
