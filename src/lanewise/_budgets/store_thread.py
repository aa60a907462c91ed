"""The thread that talks to the store of budgets, in batches: first what was spent, then what attempts ask for."""

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

__all__ = ["StoreThread", "UnsentSpending"]

PAUSE: Final = 1.0
"""Seconds for which a store that failed is left alone: attempts go on at once."""
CLOSE: Final = 3.0
"""Seconds that closing waits for the store at most."""


class UnsentSpending(msgspec.Struct, frozen=True):
    """What was spent in one slot of a bucket, and is not in the store yet: ``alone`` of it without its grant."""

    bucket: Bucket
    slot: int
    amount: int
    alone: int


class _Wake(msgspec.Struct, frozen=True):
    """Wakes the thread: something is to be sent."""


class _Ask(_Wake, frozen=True):
    claims: Sequence[Claim]
    deliver: Callable[[object | None], None]


_WAKE: Final = _Wake()


class StoreThread:
    """``unsent`` gives what the store has to be sent, ``mark_sent`` gets what of that it has taken."""

    def __init__(
        self,
        address: StoreAddress,
        unsent: Callable[[], list[UnsentSpending]],
        mark_sent: Callable[[Sequence[UnsentSpending]], None],
        trouble: Callable[[str], None],
    ) -> None:
        self._address = address
        self._unsent = unsent
        self._mark_sent = mark_sent
        self._trouble = trouble
        self._queue: queue.SimpleQueue[_Wake | None] = queue.SimpleQueue()
        self._paused_until = 0.0
        self._again_at = 0.0
        self._doubted = True
        self._throttle = connection.LogThrottle()
        self._thread = threading.Thread(target=self._serve, name="lanewise-budgets", daemon=True)

    @property
    def is_paused(self) -> bool:
        """Whether the store failed a moment ago. From any thread."""
        return time.monotonic() < self._paused_until

    def start(self) -> None:
        """Raises RuntimeError: no thread can be started."""
        self._thread.start()

    def ask(self, claims: Sequence[Claim], deliver: Callable[[object | None], None]) -> None:
        """Have the store asked for an attempt; ``deliver`` gets the reply in the thread: ``None`` if there is none."""
        self._queue.put(_Ask(claims, deliver))

    def wake(self) -> None:
        """Have the thread send what is unsent."""
        self._queue.put(_WAKE)

    def close(self) -> None:
        """Send what is not sent yet, and end. Waits some seconds at most."""
        self._queue.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join(CLOSE)

    def _serve(self) -> None:
        ended = False
        with contextlib.closing(connection.client(self._address)) as store:
            while not ended:
                asks, ended = self._next()
                if ended:
                    self._paused_until = 0.0  # the last chance of what is not sent yet
                self._round(store, asks)

    def _next(self) -> tuple[list[_Ask], bool]:
        """The attempts that ask, and whether that is all; none if it is time to send again what failed before."""
        timeout = max(0.0, self._paused_until - time.monotonic(), self._again_at - time.monotonic()) or None
        batch, ended = connection.next_batch(self._queue, timeout)
        return [item for item in batch if isinstance(item, _Ask)], ended

    def _round(self, store: redis.Redis, asks: list[_Ask]) -> None:
        if self.is_paused:
            for ask in asks:
                ask.deliver(None)
            return
        unsent = self._unsent()
        if not asks and not unsent:
            return
        replies: list[object] = []
        sent = False
        try:
            if self._doubted:
                store.ping()
                self._doubted = False
            sent = True
            replies = self._send(store, unsent, asks)
        except Exception as error:  # noqa: BLE001 - the border of a foreign store
            self._failed(error)
            if sent:  # it may have taken it: what would be taken off twice is not sent again
                self._mark_sent([each for each in unsent if each.amount < 0])
        else:
            heard, replies = replies[: len(unsent)], replies[len(unsent) :]
            self._mark_sent(
                [each for each, reply in zip(unsent, heard, strict=True) if not isinstance(reply, Exception)]
            )
            self._report_refusals((*heard, *replies))
        for ask, reply in zip(asks, replies or [None] * len(asks), strict=True):
            ask.deliver(None if isinstance(reply, Exception) else reply)

    def _send(self, store: redis.Redis, unsent: list[UnsentSpending], asks: list[_Ask]) -> list[object]:
        pipe = store.pipeline(transaction=False)
        for each in unsent:
            pipe.eval(ADJUST, 1, *adjust_arguments(each.bucket, each.slot, each.amount))
        for ask in asks:
            pipe.eval(RESERVE, len(ask.claims), *reserve_arguments(ask.claims))
        return pipe.execute(raise_on_error=False)

    def _failed(self, error: Exception) -> None:
        self._paused_until = time.monotonic() + PAUSE
        self._doubted = True
        self._report(f"does not answer ({type(error).__name__})")

    def _report_refusals(self, replies: Sequence[object]) -> None:
        """Report a store that answers and takes nothing: a replica that is read-only, one that is full."""
        error = next((reply for reply in replies if isinstance(reply, Exception)), None)
        if error is not None:
            self._again_at = time.monotonic() + PAUSE
            self._report(f"refuses writes ({type(error).__name__})")
        elif GARBLED in replies:
            self._report("holds under a budget's key what no worker wrote (`lanewise budgets reset` empties it)")

    def _report(self, what: str) -> None:
        if self._throttle.permits():
            self._trouble(
                f"budgets are not shared: the store at {self._address} {what}. Each worker goes on with its part"
            )
