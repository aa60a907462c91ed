"""Answers that are given again, as a store keeps them: sealed, and each bound to its key and its owner."""

from __future__ import annotations

import logging
from typing import Final

import msgspec

from lanewise._replay.replays import Claimed, Replays, ReplaysUnavailable
from lanewise._sealing import Seal, SealBroken
from lanewise._store import LogThrottle
from lanewise.types import LaneName

__all__ = ["HEADERS_BYTES", "KeptAnswer", "SealedReplays"]

HEADERS_BYTES: Final = 256 * 1024
"""What an answer may have beside its body, sealed: its headers, and the little that we add."""

_log: Final = logging.getLogger("lanewise")


class KeptAnswer(msgspec.Struct, frozen=True, array_like=True):
    """An answer as it is stored. ``body`` is that of a stream as the app read it, if ``stream``.

    Headers are bytes: what a provider writes there need not be text.
    """

    call_id: str
    route: str
    lane: LaneName
    headers: list[tuple[bytes, bytes]]
    body: bytes
    stream: bool
    status: int = 200

    def __repr__(self) -> str:
        return f"KeptAnswer({self.call_id})"


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(KeptAnswer).decode


class SealedReplays:
    """What the calls of one router share. ``keep`` is in seconds, ``largest`` in bytes of a body: more is not kept."""

    def __init__(self, replays: Replays, seal: Seal, *, keep: float, largest: int) -> None:
        self.replays = replays
        self.largest = largest
        self._seal = seal
        self._keep = keep
        self._throttle = LogThrottle()

    def sign(self, key: str, owner: str, number: int) -> bytes:
        """The sign of life with this number of an owner's claim. No store can make one."""
        return self._seal.seal(b"%d" % number, purpose=_claim_purpose(key, owner))

    def number(self, key: str, claimed: Claimed) -> int:
        """The number of a sign of life. Raises ReplaysUnavailable: no owner of ours has left it."""
        try:
            return int(self._seal.unseal(claimed.sign, purpose=_claim_purpose(key, claimed.owner)))
        except (SealBroken, ValueError):
            raise ReplaysUnavailable("the store has a claim that is none of ours") from None

    def keep(self, key: str, kept: KeptAnswer) -> None:
        """Keep the answer of a call, or let others make theirs if it is too large."""
        sealed = b"" if len(kept.body) > self.largest else self._seal.seal(_encode(kept), purpose=_purpose(key))
        if sealed and len(sealed) <= self.largest + HEADERS_BYTES:
            self.replays.answer(key, kept.call_id, sealed, keep=self._keep)
        else:
            self.replays.release(key, kept.call_id)

    def read(self, key: str, sealed: bytes) -> KeptAnswer:
        """What was kept. Raises ReplaysUnavailable: it can't be read."""
        try:
            return _decode(self._seal.unseal(sealed, purpose=_purpose(key)))
        except SealBroken as error:
            raise ReplaysUnavailable(str(error)) from None
        except msgspec.MsgspecError:
            raise ReplaysUnavailable("what is stored was written by another version") from None

    def complain(self, reason: str) -> None:
        """Log that calls go on without replay, once a minute at most."""
        if self._throttle.permits():
            _log.warning("calls go on without replay, and one that is repeated may be paid again: %s", reason)


def _claim_purpose(key: str, owner: str) -> str:
    return f"replay claim 1 {owner} {key}"


def _purpose(key: str) -> str:
    return f"replay 1 {key}"
