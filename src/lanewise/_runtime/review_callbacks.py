"""The app's own functions that are called with each case that was opened."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from lanewise._reviews import Review
from lanewise._runtime.loops.lifecycle import BackgroundServices
from lanewise._telemetry.background_writer import Writer

__all__ = ["ReviewHooks"]

_log: Final = logging.getLogger("lanewise")


class ReviewHooks:
    """The hooks of one router, each with a writer of its own."""

    def __init__(self, services: BackgroundServices) -> None:
        self._services = services
        self._writers: tuple[Writer[Review], ...] = ()

    def add(self, hook: Callable[[Review], None]) -> None:
        """Have a function called from now on. Raises TypeError: an async one, which nothing would wait for."""
        if inspect.iscoroutinefunction(hook):
            raise TypeError(
                "on_review takes a plain function: it runs in a thread, where nothing waits for an async one"
            )
        name = getattr(hook, "__qualname__", type(hook).__name__)
        writer: Writer[Review] = Writer(f"the on_review hook {name}", partial(_Hook, hook))
        self._services.add(writer)
        self._writers = (*self._writers, writer)

    def opened(self, review: Review) -> None:
        """Tell of a case. Never waits, never raises."""
        for writer in self._writers:
            writer.put(review)


class _Hook:
    def __init__(self, hook: Callable[[Review], None]) -> None:
        self._hook = hook

    def write(self, batch: Sequence[Review]) -> None:
        """Call the function with each case of the batch. What it raises is logged: by its name, since it had data."""
        for review in batch:
            try:
                self._hook(review)
            except BaseException as error:  # noqa: BLE001 - the border of the app's own functions
                _log.error(
                    "an on_review hook raised %s; the case is not affected", type(error).__name__, extra=_extra(review)
                )

    def close(self) -> None:
        """Nothing is held."""


def _extra(review: Review) -> dict[str, str]:
    return {"review_id": review.id, "call_id": review.call_id, "request_id": review.request_id}
