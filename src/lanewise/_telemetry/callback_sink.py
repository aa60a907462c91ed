"""The app's own functions that are called with each call that has ended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from lanewise.types import Call
from lanewise.types.sinks import Record

__all__ = ["HookSink"]

_log: Final = logging.getLogger("lanewise")


class HookSink:
    """Calls one function. What it raises is logged, with its traceback: it is the app's own, and so is its bug."""

    def __init__(self, hook: Callable[[Call], None]) -> None:
        self._hook = hook

    def write(self, batch: Sequence[Record]) -> None:
        """Call the function with each call of the batch."""
        for record in batch:
            if isinstance(record, Call):
                self._call_hook(record)

    def close(self) -> None:
        """Do nothing: the function is the app's."""

    def _call_hook(self, call: Call) -> None:
        try:
            self._hook(call)
        except BaseException as error:  # noqa: BLE001 - the border of foreign sinks; sys.exit() there ends nothing either
            _log.exception(
                "an on_call hook raised %s; the call is not affected [request %s, call %s]",
                type(error).__name__,
                call.request_id,
                call.id,
                extra={"call_id": call.id, "request_id": call.request_id, "task": call.task},
            )
