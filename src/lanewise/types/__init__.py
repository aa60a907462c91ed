"""The types that all parts share: failures, moves, and the records of calls and attempts.

Everything here is plain data. Nothing here decides, sends or waits.
"""

from lanewise.types.attempts import Attempt
from lanewise.types.calls import DRAFT_OF, Call, Outcome, Score
from lanewise.types.costs import CostStatus
from lanewise.types.failures import NEVER_MOVE, Api, BreakerEffect, Failure, FailureKind, LaneName, LocalTrouble, Retry
from lanewise.types.health import BreakerStatus, HealthReport, HealthState, RouteStatus
from lanewise.types.moves import Move, Send, Skip, Stop, Switch, Wait
from lanewise.types.sinks import Record, Sink, SinkUnavailable

__all__ = [
    "DRAFT_OF",
    "NEVER_MOVE",
    "Api",
    "Attempt",
    "BreakerEffect",
    "BreakerStatus",
    "Call",
    "CostStatus",
    "Failure",
    "FailureKind",
    "HealthReport",
    "HealthState",
    "LaneName",
    "LocalTrouble",
    "Move",
    "Outcome",
    "Record",
    "Retry",
    "RouteStatus",
    "Score",
    "Send",
    "Sink",
    "SinkUnavailable",
    "Skip",
    "Stop",
    "Switch",
    "Wait",
]
