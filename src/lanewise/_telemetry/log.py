"""The log's lines: one a call (at WARNING if it failed), one at DEBUG an attempt, one for each breaker that opens or
closes, and one a minute for the calls that go elsewhere meanwhile.

Facts are ``extra=`` fields; a line about a call names its request and the call in its text, too. The lines are made and
written by a thread of their own: a slow or raising handler of the app is none of the request's business.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Final

from lanewise._telemetry.background_writer import Writer
from lanewise._telemetry.deferred_log import LogEvent, LogEventSink, LogText, log_event
from lanewise._telemetry.lane_reports import LaneReports
from lanewise._telemetry.trouble_reports import TroubleReports
from lanewise.types import (
    Attempt,
    BreakerEffect,
    Call,
    Failure,
    FailureKind,
    HealthState,
    LocalTrouble,
    Outcome,
    Score,
    Send,
)
from lanewise.types.explaining import left_out_by
from lanewise.types.health import BreakerChange

__all__ = ["Log"]

LINGER: Final = 0.02
"""Seconds that a line waits for others."""

_FAILED: Final = (Outcome.FAILED, Outcome.REFUSED)
_log: Final = logging.getLogger("lanewise")


class Log:
    """Writes the lines of one router. All methods are for any thread, never wait and never raise.

    ``has_begun`` gets the writer at the first line, and what counts calls at the first that is counted: most apps never
    have one. Both are closed with the router.
    """

    def __init__(self, has_begun: Callable[[Writer[LogEvent] | LaneReports], None]) -> None:
        self._writer: Writer[LogEvent] = Writer("the log", LogEventSink, linger=LINGER)
        self._has_begun = has_begun
        self._is_begun = False
        self._troubles = TroubleReports()
        self._lane_reports: LaneReports | None = None

    def call(self, call: Call) -> None:
        """The lines of a call that has ended."""
        level = logging.WARNING if call.outcome in _FAILED else logging.INFO
        if _log.isEnabledFor(level):
            self._put_event(partial(_of_call, call, level, with_attempts=_log.isEnabledFor(logging.DEBUG)))

    def not_a_call(self, request_id: str, code: str) -> None:
        """The line of a request that was refused before it was a call of any task. What it asked for stays out."""
        fields = {"request_id": request_id, "code": code}
        self._put(logging.INFO, "nothing was sent for request %s: %s", (request_id, code), fields)

    def score(self, score: Score) -> None:
        """The line of a score that the app gave."""
        if _log.isEnabledFor(logging.INFO):
            fields = {"call_id": score.call_id, "score": score.name, "value": score.value}
            self._put(logging.INFO, "call %s scores %s %g", (score.call_id, score.name, score.value), fields)

    def cost_alert(self, task: str, spent: float, limit: float) -> None:
        """The line of a task that has cost more on this day than it should."""
        self._put(
            logging.WARNING,
            "%s has cost %.5g USD today (UTC), over its alert_cost_per_day of %.5g USD, in this process alone",
            (task, spent, limit),
            {"task": task, "cost_usd": spent, "alert_cost_per_day": limit},
        )

    def passed_over(self, call: Call, move: Send) -> None:
        """Count a call whose first attempt passes routes over that are open, for the line of its minute and lane."""
        if not _log.isEnabledFor(logging.WARNING):
            return
        if self._lane_reports is None:
            self._lane_reports = LaneReports(self._put_text)
            self._has_begun(self._lane_reports)
        self._lane_reports.passed_over(call, move)

    def breaker(self, change: BreakerChange) -> None:
        """The line of a breaker that has opened or closed."""
        subject = f"account {change.account}" if change.route is None else f"route {change.route} ({change.api})"
        whose = ", as another worker found" if change.heard else ""
        fields: dict[str, object] = {
            "breaker": change.state,
            "route": change.route,
            "api": change.api,
            "account": change.account,
            "failure": change.failure,
            "seconds": round(change.seconds, 3),
            "by_hand": change.by_hand,
        }
        if change.state is HealthState.CLOSED:
            self._put(
                logging.INFO, "%s is closed again after %.0f s: it takes calls", (subject, change.seconds), fields
            )
        elif change.by_hand:
            self._put(
                logging.WARNING,
                "%s is open, by hand: no call goes there until it is closed by hand",
                (subject,),
                fields,
            )
        elif change.state is HealthState.THROTTLED:
            self._put(
                logging.WARNING,
                "%s answers nothing and is throttled (%s)%s: calls go elsewhere, or try it once a second",
                (subject, change.why, whose),
                fields,
            )
        else:
            self._put(
                logging.WARNING,
                "%s is open after %s%s: calls go elsewhere, and one tries it again in %.0f s",
                (subject, change.why, whose, change.seconds),
                fields,
            )

    def failure(self, call: Call, attempt: Attempt, failure: Failure) -> None:
        """The line of a failure that needs an operator: a key, a certificate, a model's name, this very machine."""
        if failure.trouble is not None:
            self.trouble(failure.trouble)
            return
        if failure.kind in (FailureKind.AUTH, FailureKind.QUOTA, FailureKind.CONFIG):
            level = logging.WARNING if failure.breaker is BreakerEffect.NEUTRAL else logging.ERROR
        elif failure.kind is FailureKind.MODEL_MISSING:
            level = logging.WARNING
        else:
            return
        status = f", HTTP {failure.http_status}" if failure.http_status else ""
        why = failure.cause or failure.detail
        self._put(
            level,
            "route %s (%s) can't answer until somebody mends it: %s (%s%s) [request %s, call %s]",
            (attempt.route, attempt.provider_host, why, failure.kind, status, call.request_id, call.id),
            {
                **_whose(call),
                "route": attempt.route,
                "lane": attempt.lane,
                "failure": failure.kind,
                "http_status": failure.http_status,
                "provider_error_code": failure.code,
            },
        )

    def trouble(self, trouble: LocalTrouble, *, lost: float = 0.0) -> None:
        """The line of trouble that is this process's own, once a minute. ``lost``: seconds, where it is the loop's."""
        text = self._troubles.report(trouble, lost=lost)
        if text is not None and _log.isEnabledFor(text.level):
            self._put_event(lambda: (text,))

    def learned(self, call: Call, route: str, parameter: str, drop: tuple[str, ...]) -> None:
        """The line of a parameter that a route was found not to take; ``drop`` is what it is declared not to take."""
        instead = ", ".join(left_out_by((*drop, parameter)))
        self._put(
            logging.WARNING,
            "route %s can't take %s: it is left out there for an hour. To save the attempt that finds out, write "
            "%s under [routes.%s] [request %s, call %s]",
            (route, parameter, instead, route, call.request_id, call.id),
            {**_whose(call), "route": route, "parameter": parameter},
        )

    def _put(self, level: int, message: str, arguments: tuple[object, ...], fields: Mapping[str, object]) -> None:
        self._put_text(LogText(level, message, arguments, fields))

    def _put_text(self, text: LogText) -> None:
        if _log.isEnabledFor(text.level):
            self._put_event(lambda: (text,))

    def _put_event(self, make_texts: Callable[[], Iterable[LogText]]) -> None:
        if not self._is_begun:
            self._is_begun = True
            self._has_begun(self._writer)
        self._writer.put(log_event(make_texts))


def _of_call(call: Call, level: int, *, with_attempts: bool) -> Iterator[LogText]:
    if with_attempts:
        for attempt in call.attempts:
            yield _of_attempt(call, attempt)
    by = f" by {call.route} ({call.lane})" if call.outcome is Outcome.ANSWERED else ""
    why = f": {call.failure}" if call.failure is not None and call.outcome is not Outcome.ANSWERED else ""
    by += ", given again," if call.replayed_from is not None else ""
    by += _saved(call)
    count = len(call.attempts)
    plural = "" if count == 1 else "s"
    yield LogText(
        level,
        "%s %s%s%s after %d attempt%s in %.0f ms [request %s, call %s]",
        (call.task, call.outcome, by, why, count, plural, call.total_ms or 0.0, call.request_id, call.id),
        {
            **_whose(call),
            "api": call.api,
            "stream": call.stream,
            "sensitive": call.sensitive,
            "subject_hash": call.subject_hash,
            "labels": dict(call.labels),
            "route": call.route,
            "lane": call.lane,
            "outcome": call.outcome,
            "failure": call.failure,
            "attempts": count,
            "replayed_from": call.replayed_from,
            "cost_usd": call.cost_usd,
            "total_ms": call.total_ms,
        },
    )


def _saved(call: Call) -> str:
    """Past which routes a call was saved, and what was wrong with them: nothing, of most calls."""
    if call.outcome is not Outcome.ANSWERED or not call.moves:
        return ""
    passed = {
        skip.route: skip.failure.kind
        for _, move in call.moves
        if isinstance(move, Send)
        for skip in move.skipped
        if skip.failure is not None
    }
    passed |= {attempt.route: attempt.failure for attempt in call.attempts if attempt.failure is not None}
    left = [f"{route} ({failure})" for route, failure in passed.items() if route != call.route]
    return f", past {' and '.join(left)}," if left else ""


def _of_attempt(call: Call, attempt: Attempt) -> LogText:
    how = "answered" if attempt.failure is None else attempt.failure
    status = "" if attempt.http_status is None else f", HTTP {attempt.http_status}"
    fields = {name: getattr(attempt, name) for name in attempt.__struct_fields__}
    return LogText(
        logging.DEBUG,
        "%s attempt %d on %s (%s): %s%s in %.0f ms [request %s, call %s]",
        (
            call.task,
            attempt.attempt_number,
            attempt.route,
            attempt.lane,
            how,
            status,
            attempt.total_ms or 0.0,
            call.request_id,
            call.id,
        ),
        {**fields, **_whose(call)},
    )


def _whose(call: Call) -> dict[str, object]:
    return {"call_id": call.id, "request_id": call.request_id, "task": call.task}
