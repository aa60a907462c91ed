"""How late an event loop is, and deadlines that give back the time that it took from an attempt.

A loop that is blocked (a synchronous call in a handler, a pause of the garbage collector, SIGSTOP) or starved (too
little CPU, a thousand tasks) fires its timers late, over answers that lie unread in their sockets and connections that
nobody has got round to. So while attempts run a beat looks at the clock, and what it finds missing is added to their
deadlines, as far as the call's own deadline allows.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextvars import Context
from types import TracebackType
from typing import Final, Self

__all__ = ["LagDeadline", "LagTimeout", "LagTimer", "LoopLag"]

BEAT: Final = 0.05
"""Seconds between two looks at the clock."""
NOTICEABLE: Final = 0.05
"""Seconds. A timer that is late by less is one of a loop that is well."""
GRACE: Final = 1.0
"""Seconds that a late loop gets, past the last moment, to read what is there."""
MOST_GRACE: Final = 5.0
"""Seconds of that in all: in a loop that never comes to rest an attempt ends too."""
WORTH_A_WORD: Final = 1.0
"""Seconds lost, at once or little by little, of which the log hears."""


# Timers run in a context of their own: an idle loop keeps the last cancelled timer, and what its context holds.


class LoopLag:
    """The lag of one event loop, in which it is used. ``on_beat`` gets the seconds by which each beat was late,
    ``on_lost`` those that were lost, once they are worth a word.

    Example::

        lag = LoopLag(asyncio.get_running_loop())
        lag.enter()                       # beats, as long as an attempt runs
        ...
        lag.leave()
        lag.lost                          # seconds, since it was made
    """

    __slots__ = ("_beat", "_due", "_left_at", "_loop", "_on_beat", "_on_lost", "_running", "_untold", "lost")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        on_beat: Callable[[float], None] | None = None,
        on_lost: Callable[[float], None] | None = None,
    ) -> None:
        self.lost = 0.0
        self._loop = loop
        self._on_beat = on_beat
        self._on_lost = on_lost
        self._running = 0
        self._beat: asyncio.TimerHandle | None = None
        self._due = math.inf
        self._left_at = 0.0
        """When the last attempt ended: a loop may be run in pieces, and what lies between is lost to nobody."""
        self._untold = 0.0

    def enter(self) -> None:
        """An attempt begins."""
        if not self._running:
            now = self._loop.time()
            if self._beat is None:
                self._arm(now)
            elif now - self._due > NOTICEABLE:
                self._beat.cancel()
                self._note(self._late(now))
                self._arm(now)
        self._running += 1

    def leave(self) -> None:
        """An attempt has ended. The beat ends by itself, if none has begun by then."""
        self._running -= 1
        if not self._running:
            self._left_at = self._loop.time()

    def lost_at(self, now: float) -> float:
        """The seconds that were lost until ``now`` (by the loop's clock), with those of a beat that is overdue."""
        late = self._late(now)
        return self.lost + late if late > NOTICEABLE else self.lost

    def _late(self, now: float) -> float:
        """By how much the beat is overdue, as long as an attempt ran."""
        return max(0.0, (now if self._running else self._left_at) - self._due)

    def _arm(self, now: float) -> None:
        self._due = now + BEAT
        self._beat = self._loop.call_at(self._due, self._look, context=Context())

    def _look(self) -> None:
        now = self._loop.time()
        late = self._late(now)
        if self._running:
            self._arm(now)
        else:
            self._beat, self._due = None, math.inf
        self._note(late)

    def _note(self, late: float) -> None:
        if late > NOTICEABLE:
            self.lost += late
            self._untold += late
        if self._on_beat is not None:
            self._on_beat(late)
        if self._on_lost is not None and self._untold >= WORTH_A_WORD:
            untold, self._untold = self._untold, 0.0
            self._on_lost(untold)


class LagDeadline:
    """A moment until which something may take, by the time that the loop had for it.

    It moves on by what was lost since it was set, but not past ``latest``; there a late loop gets a little time to read
    what is there. Both are by the loop's clock.
    """

    __slots__ = ("_forgiven", "_grace", "_lag", "_latest", "_mark", "_own", "when")

    def __init__(self, lag: LoopLag, when: float, latest: float = math.inf) -> None:
        self._lag = lag
        self.move(when, latest)

    def move(self, when: float, latest: float = math.inf) -> None:
        """Set it anew. Cheap enough for each event of a stream."""
        self.when = when
        self._latest = latest
        self._mark = self._lag.lost
        self._own = self._forgiven = 0.0
        self._grace = MOST_GRACE

    def another(self, seconds: float, latest: float) -> LagDeadline:
        """One in so many seconds from now, in the running loop."""
        return LagDeadline(self._lag, asyncio.get_running_loop().time() + seconds, latest)

    def due(self, now: float, armed: float) -> float:
        """When it is over, seen from ``now``, when a timer fires that was set for ``armed``: if not later, it is."""
        if now - armed > NOTICEABLE:
            self._own += now - armed
        lost = self._lost(now)
        due = self.when + lost
        if due <= self._latest or not lost:
            return due
        if now < self._latest:
            return self._latest
        fresh = lost - self._forgiven
        if fresh <= NOTICEABLE or self._grace <= 0:
            return now
        self._forgiven = lost
        given = min(fresh, GRACE, self._grace)
        self._grace -= given
        return now + given

    def lost_of(self, now: float) -> float:
        """The seconds that were lost to one that is over because it could not move on; 0: it had all its time."""
        lost = self._lost(now)
        return lost if lost > NOTICEABLE and self.when + lost > now + NOTICEABLE else 0.0

    def _lost(self, now: float) -> float:
        return max(self._lag.lost_at(now) - self._mark, self._own)


class LagTimer:
    """Calls a function once a :class:`LagDeadline` is over, with what was lost to it. In the running loop.

    What is ready is read first: it calls only after what has come in the same turn of the loop was handled.
    """

    __slots__ = ("_armed", "_deadline", "_expired", "_handle", "_loop")

    def __init__(self, deadline: LagDeadline, expired: Callable[[float], None]) -> None:
        self._deadline = deadline
        self._expired = expired
        self._loop = asyncio.get_running_loop()
        self._armed = max(deadline.when, self._loop.time())  # set in the past, it is not late for that
        self._handle: asyncio.Handle = self._loop.call_at(self._armed, self._fired, context=Context())

    def moved(self) -> None:
        """The deadline was set anew. A later one is found when the timer fires."""
        if self._deadline.when < self._armed:
            self._handle.cancel()
            self._armed = max(self._deadline.when, self._loop.time())
            self._handle = self._loop.call_at(self._armed, self._fired, context=Context())

    def cancel(self) -> None:
        """Call nothing any more."""
        self._handle.cancel()

    def _fired(self) -> None:
        now = self._loop.time()
        due = self._deadline.due(now, self._armed)
        if due > now:
            self._armed = due
            self._handle = self._loop.call_at(due, self._fired, context=Context())
        else:
            self._handle = self._loop.call_soon(self._call)

    def _call(self) -> None:
        self._expired(self._deadline.lost_of(self._loop.time()))


class LagTimeout:
    """As ``asyncio.timeout_at``, by a :class:`LagDeadline`. ``lost`` says for how long the loop stood still, where a
    time-out is the loop's fault.

    Example::

        with LagTimeout(LagDeadline(lag, now + 5, now + 20)) as timeout:
            await something()
    """

    __slots__ = ("_cancelling", "_deadline", "_expired", "_task", "_timer", "lost")

    def __init__(self, deadline: LagDeadline) -> None:
        self._deadline = deadline
        self._task = asyncio.current_task()
        self._cancelling = 0
        self._expired = False
        self._timer: LagTimer | None = None
        self.lost = 0.0

    def __enter__(self) -> Self:
        assert self._task is not None, "it is used in a task"
        self._cancelling = self._task.cancelling()
        self._timer = LagTimer(self._deadline, self._expire)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None  # it holds this time-out, and the task with it
        if not self._expired:
            return
        assert self._task is not None, "it was entered in one"
        if self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _expire(self, lost: float) -> None:
        assert self._task is not None, "it was entered in one"
        self._expired = True
        self.lost = lost
        self._task.cancel()
