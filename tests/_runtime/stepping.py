"""Drives a coroutine step by step, so that it can be cancelled at the k-th await, for every k."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Generator
from functools import partial


class CancelAt:
    """Awaits a coroutine, and cancels at the k-th time that it waits for something.

    ``cancel`` is what cancels; the task itself unless given. ``later`` cancels once the task waits, as a caller that
    goes away does; else the cancellation is there before the wait begins.
    """

    def __init__(
        self,
        coroutine: Coroutine[object, None, None],
        k: int,
        *,
        cancel: Callable[[], object] | None = None,
        later: bool = True,
    ) -> None:
        self.waits = 0
        self.cancelled_at: float | None = None
        self._coroutine = coroutine
        self._k = k
        self._cancel = cancel
        self._later = later

    def __await__(self) -> Generator[object, None, None]:
        task = asyncio.current_task()
        assert task is not None
        steps = self._coroutine.__await__()
        step: Callable[[], object] = steps.__next__
        while True:
            try:
                waited_for = step()
            except StopIteration:
                return
            finally:
                step = steps.__next__  # what was thrown in holds frames, and they would hold it
            self.waits += 1
            if self.waits == self._k:
                self.cancelled_at = time.monotonic()
                cancel = self._cancel or task.cancel
                if self._later:
                    asyncio.get_running_loop().call_soon(cancel)
                else:
                    cancel()
            try:
                yield waited_for
            except BaseException as error:  # noqa: BLE001 - a driver hands on what is thrown in
                step = partial(steps.throw, error)
