"""What a sink is: where the records of calls go. It is written to in a thread of its own, in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from lanewise.types.calls import Call, Score

__all__ = ["Record", "Sink", "SinkUnavailable"]

Record = Call | Score
"""What is recorded: a call that has ended, with its attempts; a score that the app gave to one."""

_Item = TypeVar("_Item", contravariant=True)


class Sink(Protocol[_Item]):
    """Takes what has happened. Both methods are called in the thread of one writer, never at the same time."""

    def write(self, batch: Sequence[_Item]) -> None:
        """Write them all, oldest first. May take its time: requests don't wait for it.

        Raises SinkUnavailable: the same batch is given again, after a pause. After anything else that it raises the
        batch counts as dropped.
        """
        ...

    def close(self) -> None:
        """Let go of connections and files: nothing more comes, until the router opens again or the app goes on."""
        ...


class SinkUnavailable(Exception):
    """The sink can't take anything now, and may later. The text is logged: it holds no data and no address.

    A batch may come again of which a part was written: a sink that raises this must bear that.
    """
