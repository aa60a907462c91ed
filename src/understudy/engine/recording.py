"""Where the records of a router's calls go: to each sink by a writer of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial

from understudy.config import Config, Credentials
from understudy.engine.services import Services
from understudy.records.hooks import HookSink
from understudy.records.sinks import Record, Sink
from understudy.records.writer import Writer
from understudy.words import Call, Score

__all__ = ["Recording"]

MakeSink = Callable[[], Sink[Record]]


class Recording:
    """The writers of one router."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._writers: tuple[Writer[Record], ...] = ()

    def add(self, name: str, make_sink: MakeSink) -> None:
        """Have what happens from now on written to one more sink. ``name`` stands in the log's lines about it."""
        writer = Writer(name, make_sink)
        self._services.add(writer)
        self._writers = (*self._writers, writer)

    def add_hook(self, hook: Callable[[Call], None]) -> None:
        """Have a function of the app's called with each call that has ended."""
        name = getattr(hook, "__qualname__", type(hook).__name__)
        self.add(f"the on_call hook {name}", partial(HookSink, hook))

    def add_declared(self, config: Config, credentials: Credentials) -> None:
        """Add the sinks that the config asks for."""
        for name, make_sink in tuple(_declared(config, credentials)):
            self.add(name, make_sink)

    def call(self, call: Call) -> None:
        """Record a call that has ended. Never waits, never raises."""
        for writer in self._writers:
            writer.put(call)

    def score(self, score: Score) -> None:
        """Record a score. Never waits, never raises."""
        for writer in self._writers:
            writer.put(score)


def _declared(config: Config, credentials: Credentials) -> Iterator[tuple[str, MakeSink]]:
    """The sinks that the config asks for, each made in its writer's thread."""
    if credentials.ledger is not None:
        yield "the ledger", partial(_ledger_sink, credentials.ledger, timedelta(seconds=config.router.keep))


def _ledger_sink(url: str, keep: timedelta) -> Sink[Record]:
    from understudy.records.ledger.sink import LedgerSink  # of the extra `ledger`

    return LedgerSink(url, keep)
