"""The ledger as pages ask it: a connection of its own for reading, no statement longer than a person waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from lanewise._process_hooks import notify_of_forks
from lanewise.types import Call, Score
from lanewise.types.past_calls import CallFilter, CallPage, PageKey, RecentFacts

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from lanewise._ledger.queries.interventions import Intervention

__all__ = ["LedgerCalls", "LedgerSilent"]

PATIENCE: Final = 5.0
"""Seconds that a statement may take."""
FRESH: Final = 2.0
"""Seconds for which the recent calls that were read are shown again: many may look at a time."""
SETTLED: Final = timedelta(minutes=90)
"""After which no call of a day is likely to be recorded any more: costs of before are added up once in a while."""
_STEPS: Final = 20_000
"""Of SQLite's machine between two looks at the time."""


class LedgerSilent(Exception):
    """The ledger can't be read now. The text says why, and has no address."""


class LedgerCalls:
    """Reads one ledger. Blocking; from any thread. All methods raise LedgerSilent.

    Example::

        page = LedgerCalls("sqlite:////srv/shop/lanewise.db").page(CallFilter(task="ticket-summary"), None, 50)
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine: Engine | None = None
        self._lock = threading.Lock()
        self._facts: tuple[float, datetime, RecentFacts] | None = None
        self._settled: tuple[datetime, datetime, Mapping[str, float]] | None = None
        notify_of_forks(self)

    @staticmethod
    def load() -> None:
        """Import what the database needs now, so that no page has to wait for that. Connects to nothing."""
        with suppress(ImportError):  # the first page reports it
            import lanewise._ledger.queries.call_pages
            import lanewise._ledger.queries.recent
            import lanewise._ledger.queries.single_calls  # noqa: F401 - all three

    def facts(self, since: datetime, now: datetime) -> RecentFacts:
        """What happened since a moment of the last hours, and the cost of today."""
        with self._lock:  # one at a time: who waits gets what the one before has read
            known = self._facts
            if known is not None and known[1] == since and time.monotonic() - known[0] < FRESH:
                return known[2]
            with self._reading() as connection:
                facts = self._read_facts(connection, since, now)
            self._facts = (time.monotonic(), since, facts)
            return facts

    def _read_facts(self, connection: Connection, since: datetime, now: datetime) -> RecentFacts:
        import msgspec

        from lanewise._ledger.queries.recent import cost_by_task, recent_facts

        midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        later = now + timedelta(minutes=5)  # by the clock of another machine
        boundary = (now - SETTLED).replace(minute=(now - SETTLED).minute // 10 * 10, second=0, microsecond=0)
        costs: dict[str, float] = {}
        if boundary > midnight:
            if self._settled is None or self._settled[:2] != (midnight, boundary):
                self._settled = (midnight, boundary, cost_by_task(connection, midnight, boundary))
            costs.update(self._settled[2])
        for task, cost in cost_by_task(connection, max(midnight, boundary), later).items():
            costs[task] = costs.get(task, 0.0) + cost
        return msgspec.structs.replace(recent_facts(connection, since, later), cost_today=costs)

    def page(self, wanted: CallFilter, after: PageKey | None, size: int) -> CallPage:
        """A page of calls, newest first."""
        from lanewise._ledger.queries.call_pages import call_page

        with self._reading() as connection:
            return call_page(connection, wanted, after, size)

    def calls(self, wanted: str) -> list[Call]:
        """The calls of a request, or the one with this id; oldest first."""
        from lanewise._ledger.queries.single_calls import calls_of

        with self._reading() as connection:
            return calls_of(connection, wanted, most=_MOST_OF_A_REQUEST)

    def scores(self, call_id: str) -> list[Score]:
        """The scores of a call, oldest first."""
        from lanewise._ledger.queries.single_calls import scores_of

        with self._reading() as connection:
            return scores_of(connection, call_id)

    def interventions(self, most: int) -> list[Intervention]:
        """The latest routes that were opened or closed by hand, newest first."""
        from lanewise._ledger.queries.interventions import latest_interventions

        with self._reading() as connection:
            return latest_interventions(connection, most)

    def add_intervention(self, at: datetime, route: str, action: str, decided_by: str, reason: str) -> None:
        """Write down that a person opened or closed a route."""
        from lanewise._ledger.database import writing
        from lanewise._ledger.queries.interventions import Intervention, add_intervention

        done = Intervention(at=at, route=route, action=action, decided_by=decided_by, reason=reason)
        with self._own_errors(), writing(self._ready()) as connection:
            add_intervention(connection, done)

    def after_fork(self) -> None:
        """In the child of a fork: the connections are the parent's, and are not closed."""
        self._lock = threading.Lock()
        self._facts = None
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose(close=False)

    def _ready(self) -> Engine:
        from lanewise._ledger.sink import ready

        engine = self._engine
        if engine is None:
            engine = _open(self._url)
            ready(engine, self._url)
            self._engine = engine
        return engine

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A connection."""
        with self._own_errors(), self._ready().connect() as connection:
            yield connection

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        """Raise an error of the database as one without its address."""
        try:
            from lanewise._ledger.sink import why_unavailable
        except ImportError:
            raise LedgerSilent("what it needs is not installed: pip install 'lanewise[ledger]'") from None
        try:
            yield
        except Exception as error:  # noqa: BLE001 - the border of foreign databases: whatever they raise
            reason = "it took too long" if _was_ended(error) else why_unavailable(error) or type(error).__name__
        else:
            return
        raise LedgerSilent(reason)


_MOST_OF_A_REQUEST: Final = 50
"""Calls that are shown of one request."""


def _open(url: str) -> Engine:
    from sqlalchemy import event

    from lanewise._ledger.database import open_ledger

    engine = open_ledger(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "begin", _limit_sqlite)
    else:
        event.listen(engine, "do_connect", _limit_postgresql)
    return engine


def _limit_sqlite(connection: Connection) -> None:
    until = time.monotonic() + PATIENCE
    raw: Any = connection.connection.driver_connection
    raw.set_progress_handler(lambda: time.monotonic() > until, _STEPS)


def _limit_postgresql(_dialect: object, _record: object, _arguments: object, parameters: dict[str, object]) -> None:
    milliseconds = int(PATIENCE * 1000)
    parameters.setdefault("options", f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds} -c jit=off")


def _was_ended(error: Exception) -> bool:
    original: object = getattr(error, "orig", error)
    return getattr(original, "sqlstate", None) == "57014" or "interrupted" in str(original).lower()
