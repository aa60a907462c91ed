"""Lanewise keeps the AI calls of a Python web app answering, behind the ordinary OpenAI client.

The names are loaded at their first use, so that the command line and the pytest plugin start fast.

Example::

    from lanewise import Router

    router = Router.from_file("lanewise.toml")
    with router, router.scope() as scope:
        reply = scope.openai.chat.completions.create(model="ticket-summary", messages=messages)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from lanewise.version import __version__

if TYPE_CHECKING:
    from lanewise._reviews import (
        Case,
        Draft,
        Review,
        ReviewDecided,
        ReviewError,
        ReviewNotFound,
        ReviewStatus,
        ReviewsUnavailable,
    )
    from lanewise._telemetry.json_formatter import JsonFormatter
    from lanewise.config import Config, ConfigError, Mistake
    from lanewise.errors import (
        AnswerCut,
        BadResponse,
        BudgetExceeded,
        CallerGone,
        ContractViolated,
        DeadlineExceeded,
        FailClosed,
        InvalidCall,
        NoRouteAvailable,
        NotInScope,
        NotRouted,
        ReviewPending,
        RouterClosed,
        RoutingError,
        StreamBroken,
        UnknownTask,
        Unreachable,
        UpstreamAuthentication,
        UpstreamBadRequest,
        UpstreamConflict,
        UpstreamError,
        UpstreamNotFound,
        UpstreamPermissionDenied,
        UpstreamRateLimit,
        UpstreamServerError,
        UpstreamTimeout,
        UpstreamUnprocessable,
    )
    from lanewise.router import Router
    from lanewise.scope import Scope, current_scope
    from lanewise.streaming import Collected, collect
    from lanewise.types import (
        Api,
        Attempt,
        BreakerEffect,
        BreakerStatus,
        Call,
        CostStatus,
        Failure,
        FailureKind,
        HealthReport,
        HealthState,
        LaneName,
        LocalTrouble,
        Move,
        Outcome,
        Record,
        Retry,
        RouteStatus,
        Score,
        Send,
        Sink,
        SinkUnavailable,
        Skip,
        Stop,
        Switch,
        Wait,
    )

__all__ = [
    "AnswerCut",
    "Api",
    "Attempt",
    "BadResponse",
    "BreakerEffect",
    "BreakerStatus",
    "BudgetExceeded",
    "Call",
    "CallerGone",
    "Case",
    "Collected",
    "Config",
    "ConfigError",
    "ContractViolated",
    "CostStatus",
    "DeadlineExceeded",
    "Draft",
    "FailClosed",
    "Failure",
    "FailureKind",
    "HealthReport",
    "HealthState",
    "InvalidCall",
    "JsonFormatter",
    "LaneName",
    "LocalTrouble",
    "Mistake",
    "Move",
    "NoRouteAvailable",
    "NotInScope",
    "NotRouted",
    "Outcome",
    "Record",
    "Retry",
    "Review",
    "ReviewDecided",
    "ReviewError",
    "ReviewNotFound",
    "ReviewPending",
    "ReviewStatus",
    "ReviewsUnavailable",
    "RouteStatus",
    "Router",
    "RouterClosed",
    "RoutingError",
    "Scope",
    "Score",
    "Send",
    "Sink",
    "SinkUnavailable",
    "Skip",
    "Stop",
    "StreamBroken",
    "Switch",
    "UnknownTask",
    "Unreachable",
    "UpstreamAuthentication",
    "UpstreamBadRequest",
    "UpstreamConflict",
    "UpstreamError",
    "UpstreamNotFound",
    "UpstreamPermissionDenied",
    "UpstreamRateLimit",
    "UpstreamServerError",
    "UpstreamTimeout",
    "UpstreamUnprocessable",
    "Wait",
    "__version__",
    "collect",
    "current_scope",
]

_HOMES = {
    "lanewise.config": ("Config", "ConfigError", "Mistake"),
    "lanewise._telemetry.json_formatter": ("JsonFormatter",),
    "lanewise._reviews": (
        "Case",
        "Draft",
        "Review",
        "ReviewDecided",
        "ReviewError",
        "ReviewNotFound",
        "ReviewStatus",
        "ReviewsUnavailable",
    ),
    "lanewise.router": ("Router",),
    "lanewise.scope": ("Scope", "current_scope"),
    "lanewise.streaming": ("Collected", "collect"),
    "lanewise.types": (
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
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF.get(name, "lanewise.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
