"""The log's lines: one at INFO a call, one at WARNING when a call leaves its first lane; facts as ``extra=`` fields."""

from __future__ import annotations

import logging
from typing import Final

from understudy.words import Attempt, BreakerEffect, Call, Failure, FailureKind, LaneName, Outcome

__all__ = ["log_call", "log_failure", "log_lane_left"]

_log: Final = logging.getLogger("understudy")


def log_call(call: Call) -> None:
    """The line of a call that has ended."""
    if not _log.isEnabledFor(logging.INFO):
        return
    by = f" by {call.route} ({call.lane})" if call.outcome is Outcome.ANSWERED else ""
    why = f": {call.failure}" if call.failure is not None and call.outcome is not Outcome.ANSWERED else ""
    by += ", given again," if call.replayed_from is not None else ""
    _log.info(
        "%s %s%s%s after %d attempt%s in %.0f ms",
        call.task,
        call.outcome,
        by,
        why,
        len(call.attempts),
        "" if len(call.attempts) == 1 else "s",
        call.total_ms or 0.0,
        extra={
            "call_id": call.id,
            "request_id": call.request_id,
            "task": call.task,
            "route": call.route,
            "lane": call.lane,
            "outcome": call.outcome,
            "failure": call.failure,
            "attempts": len(call.attempts),
            "replayed_from": call.replayed_from,
            "total_ms": call.total_ms,
        },
    )


def log_lane_left(call: Call, left: LaneName, entered: LaneName, route: str, why: FailureKind | None) -> None:
    """The line of a call that leaves the lane that it started in."""
    _log.warning(
        "%s leaves lane %s for %s (%s) after %s",
        call.task,
        left,
        entered,
        route,
        why or "a route that could not take the call",
        extra={
            "call_id": call.id,
            "request_id": call.request_id,
            "task": call.task,
            "left_lane": left,
            "lane": entered,
            "route": route,
            "failure": why,
        },
    )


def log_failure(call: Call, attempt: Attempt, failure: Failure) -> None:
    """The line of a failure that somebody has to mend: a key, a certificate, a model's name."""
    if failure.kind in (FailureKind.AUTH, FailureKind.QUOTA, FailureKind.CONFIG):
        level = logging.WARNING if failure.breaker is BreakerEffect.NEUTRAL else logging.ERROR
    elif failure.kind is FailureKind.MODEL_MISSING:
        level = logging.WARNING
    else:
        return
    _log.log(
        level,
        "route %s (%s) can't answer until somebody mends it: %s (%s%s)",
        attempt.route,
        attempt.provider_host,
        failure.cause or failure.detail,
        failure.kind,
        f", HTTP {failure.http_status}" if failure.http_status else "",
        extra={
            "call_id": call.id,
            "request_id": call.request_id,
            "task": call.task,
            "route": attempt.route,
            "lane": attempt.lane,
            "failure": failure.kind,
            "http_status": failure.http_status,
            "provider_error_code": failure.code,
        },
    )
