"""The thread that talks to the store of budgets: what waits goes out together, what is owed before what is asked."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from lanewise import _store as connection
from lanewise._budgets.budget_script import ADJUST, GARBLED, RESERVE, adjust_arguments, reserve_arguments
from lanewise._budgets.claims import Bucket, Claim
from lanewise.config.environment.store_address import StoreAddress

if TYPE_CHECKING:
    import redis

__all__ = ["StoreThread", "Untold"]

PAUSE: Final = 1.0
"""Seconds for which a store that failed is left alone: attempts go on at once."""
CLOSE: Final = 3.0
"""Seconds that closing waits for the store at most."""
TOLD_EVERY: Final = 60.0
"""Seconds between two lines of the log about the same trouble."""


class Untold(msgspec.Struct, frozen=True):
    """What the store has not heard of one slot of a bucket; ``alone`` of it was granted by this worker itself."""

    bucket: Bucket
    slot: int
    amount: int
    alone: int


class _Wake(msgspec.Struct, frozen=True):
    """Something is to be told."""


class _Ask(_Wake, frozen=True):
    claims: Sequence[Claim]
    tell: Callable[[object | None], None]


_WAKE: Final = _Wake()


class StoreThread:
    """``untold`` gives what the store is to hear, ``told`` is given what of that it has heard."""

    def __init__(
        self,
        address: StoreAddress,
        untold: Callable[[], list[Untold]],
        told: Callable[[Sequence[Untold]], None],
        trouble: Callable[[str], None],
    ) -> None:
        self._address = address
        self._untold = untold
        self._told = told
        self._trouble = trouble
        self._queue: queue.SimpleQueue[_Wake | None] = queue.SimpleQueue()
        self._paused_until = 0.0
        self._again_at = 0.0
        self._doubted = True
        self._reported_at = -TOLD_EVERY
        self._thread = threading.Thread(target=self._serve, name="lanewise-budgets", daemon=True)

    @property
    def is_paused(self) -> bool:
        """Whether the store failed a moment ago. From any thread."""
        return time.monotonic() < self._paused_until

    def start(self) -> None:
        """Raises RuntimeError: no thread can be started."""
        self._thread.start()

    def ask(self, claims: Sequence[Claim], tell: Callable[[object | None], None]) -> None:
        """Have the store asked for an attempt; ``tell`` is called in the thread, with ``None`` if it can't be heard."""
        self._queue.put(_Ask(claims, tell))

    def wake(self) -> None:
        """Something is to be told."""
        self._queue.put(_WAKE)

    def close(self) -> None:
        """Tell what is to be told, and end. Waits some seconds at most."""
        self._queue.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join(CLOSE)

    def _serve(self) -> None:
        ended = False
        with contextlib.closing(connection.client(self._address)) as store:
            while not ended:
                asks, ended = self._next()
                if ended:
                    self._paused_until = 0.0  # the last chance of what is to be told
                self._round(store, asks)

    def _next(self) -> tuple[list[_Ask], bool]:
        """The attempts that ask, and whether that is all; none if it is time to tell again what failed before."""
        timeout = max(0.0, self._paused_until - time.monotonic(), self._again_at - time.monotonic()) or None
        batch, ended = connection.next_batch(self._queue, timeout)
        return [item for item in batch if isinstance(item, _Ask)], ended

    def _round(self, store: redis.Redis, asks: list[_Ask]) -> None:
        if self.is_paused:
            for ask in asks:
                ask.tell(None)
            return
        untold = self._untold()
        if not asks and not untold:
            return
        replies: list[object] = []
        sent = False
        try:
            if self._doubted:
                store.ping()
                self._doubted = False
            sent = True
            replies = self._send(store, untold, asks)
        except Exception as error:  # noqa: BLE001 - the border of a foreign store
            self._failed(error)
            if sent:  # it may have heard: what would be taken off twice is not told again
                self._told([each for each in untold if each.amount < 0])
        else:
            heard, replies = replies[: len(untold)], replies[len(untold) :]
            self._told([each for each, reply in zip(untold, heard, strict=True) if not isinstance(reply, Exception)])
            self._look_at((*heard, *replies))
        for ask, reply in zip(asks, replies or [None] * len(asks), strict=True):
            ask.tell(None if isinstance(reply, Exception) else reply)

    def _send(self, store: redis.Redis, untold: list[Untold], asks: list[_Ask]) -> list[object]:
        pipe = store.pipeline(transaction=False)
        for each in untold:
            pipe.eval(ADJUST, 1, *adjust_arguments(each.bucket, each.slot, each.amount))
        for ask in asks:
            pipe.eval(RESERVE, len(ask.claims), *reserve_arguments(ask.claims))
        return pipe.execute(raise_on_error=False)

    def _failed(self, error: Exception) -> None:
        self._paused_until = time.monotonic() + PAUSE
        self._doubted = True
        self._report(f"does not answer ({type(error).__name__})")

    def _look_at(self, replies: Sequence[object]) -> None:
        """Report what a store says that answers and takes nothing: a copy that may only be read, one that is full."""
        error = next((reply for reply in replies if isinstance(reply, Exception)), None)
        if error is not None:
            self._again_at = time.monotonic() + PAUSE
            self._report(f"refuses what it is told ({type(error).__name__})")
        elif GARBLED in replies:
            self._report("holds under a budget's key what no worker wrote (`lanewise budgets reset` empties it)")

    def _report(self, what: str) -> None:
        now = time.monotonic()
        if now - self._reported_at >= TOLD_EVERY:
            self._reported_at = now
            self._trouble(
                f"budgets are not shared: the store at {self._address} {what}. Each worker goes on with its part"
            )
