"""The matrix that must hold, generated: every kind of endpoint, each with every failure of its approved route."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from integrations.contract import actions
from integrations.contract.harness import Action, Driver, EndpointSpec, Form, Placement
from integrations.contract.served_apps import Stage
from lanewise import Api, Router
from lanewise._health.breakers.circuit import ByHand
from lanewise._health.circuit_names import route_circuit
from lanewise.testing import Answer, Html, Reset, Scripted, Silence, Status, StreamOf, TruncatedBody

__all__ = [
    "APP_PREFIX",
    "CASES_OF_THE_APP",
    "FAILURES",
    "EndpointCase",
    "Trouble",
    "cases",
    "config",
    "open_breakers",
    "script",
]

APP_PREFIX = "/whole-app"
GUARDED = "/by-rule"


@dataclass(frozen=True)
class Trouble:
    """A way in which the approved route fails; ``answers_unmarked`` is one that only a sensitive call minds."""

    behaviour: Scripted
    answers_unmarked: bool = False


OPEN = "open"
FAILURES: Mapping[str, Trouble] = {
    "429": Trouble(Status(429)),
    "500": Trouble(Status(500)),
    "timeout": Trouble(Silence()),
    "reset": Trouble(Reset("before_headers")),
    "cut": Trouble(lambda received: StreamOf(cut_after=0) if received.stream else TruncatedBody()),
    "html": Trouble(Html()),
    "swapped": Trouble(Answer(model="cheaper-model"), answers_unmarked=True),
    OPEN: Trouble(Answer()),
}
"""Each has routes of its own. That of the last is well, and its breaker is open before the first request."""
UNMOVED: Mapping[str, object] = {
    "consecutive_failures": 10**6,
    "minimum_throughput": 10**6,
    "throttle_duration": "1ms",
    "max_throttle_duration": "1ms",
}
"""No request opens a breaker for the next one: each case meets its failure."""


def open_breakers(router: Router) -> None:
    """Open the breaker of the route that is to be open."""
    health = router._engine.ready().health
    for api in Api:
        health.breakers[route_circuit(f"first-{OPEN}", api)].note(ByHand(open=True), time.monotonic())


class Delivery:
    """How an endpoint gives its answer."""

    WHOLE = "whole"
    STREAM = "stream"
    LATE_STREAM = "stream opened late"
    BACKGROUND = "background"
    CROSSED = (WHOLE, LATE_STREAM, BACKGROUND)
    """A stream that is opened in the endpoint itself fails there, as a whole answer does."""


@dataclass(frozen=True)
class EndpointCase:
    """One endpoint of the matrix."""

    form: Form
    placement: Placement
    is_async: bool
    delivery: str
    group: str | None = None

    def __str__(self) -> str:
        color = "async" if self.is_async else "sync"
        return ", ".join((color, self.form, self.delivery, self.group or self.placement))

    def spec(self, category: str | None, driver: Driver) -> EndpointSpec:
        """The endpoint, with or without the mark."""
        slug = "-".join(str(self).replace(",", "").replace("'", "").replace(".", "").split())
        rule = self.placement is Placement.PATH
        base = GUARDED if rule and category is not None else "/marked" if category is not None else "/open"
        action = _deed(self.is_async, self.delivery, driver)
        return EndpointSpec(f"{base}/{slug}", action, self.form, self.placement, None if rule else category, self.group)


def cases(driver: Driver) -> Iterator[EndpointCase]:
    """Every case that a framework has."""
    own = {
        Form.FUNCTION: (Placement.BELOW, Placement.ABOVE, Placement.UNDER_WRAPS, Placement.OVER_WRAPS,
                        Placement.OVER_CARELESS, Placement.PATH),
        Form.CLASS: (Placement.BELOW, Placement.ABOVE),
        Form.METHOD: (Placement.BELOW, Placement.UNDER_WRAPS, Placement.OVER_WRAPS, Placement.OVER_CARELESS),
    }  # fmt: skip
    for is_async, delivery in product((True, False), Delivery.CROSSED):
        for form, placings in own.items():
            native = (Placement.NATIVE,) if form in driver.native else ()
            for placement in (*placings, *native):
                yield EndpointCase(form, placement, is_async, delivery)
        for group in driver.groups:
            yield EndpointCase(Form.FUNCTION, Placement.GROUP, is_async, delivery, group)
    for is_async, form in product((True, False), Form):
        yield EndpointCase(form, Placement.BELOW, is_async, Delivery.STREAM)


CASES_OF_THE_APP = tuple(
    EndpointCase(form, Placement.GROUP, is_async, delivery)
    for form, is_async, delivery in product(Form, (True, False), Delivery.CROSSED)
)
"""The mark is on the app itself, so these have an app of their own."""


def _deed(is_async: bool, delivery: str, driver: Driver) -> Action:
    if is_async:
        stream: Action = actions.streamed if driver.async_streams else actions.streamed_from_async_view
        late: Action = actions.streamed_late if driver.async_streams else actions.streamed_from_async_view
        found: dict[str, Action] = {
            Delivery.WHOLE: actions.whole,
            Delivery.STREAM: stream,
            Delivery.LATE_STREAM: late,
            Delivery.BACKGROUND: actions.later,
        }
        return found[delivery]
    found = {
        Delivery.WHOLE: actions.whole_sync,
        Delivery.STREAM: actions.streamed_sync,
        Delivery.LATE_STREAM: actions.streamed_late_sync,
        Delivery.BACKGROUND: actions.later_sync,
    }
    return found[delivery]


_REPEATED = ("rate_limit", "outage", "timeout", "unreachable", "bad_response", "stream_broken")
"""Failures that are tried again on the same route by right: here it would only take time."""


# -- the routes of each failure: what one does to a route's health is no other's ---------------------------------------


def config(stage: Stage) -> dict[str, Any]:
    """For each failure the tasks ``closed-<failure>`` (one approved route) and ``saved-<failure>`` (one more, last)."""
    routes: dict[str, Any] = {}
    tasks: dict[str, Any] = {}
    for name in FAILURES:
        hasty = {"timeout": "1s"} if name == "timeout" else {}
        once = {"retries": dict.fromkeys(_REPEATED, 0)}
        routes[f"first-{name}"] = {"provider": "approved", "model": f"first-{name}", **hasty}
        routes[f"second-{name}"] = {"provider": "other", "model": f"second-{name}"}
        routes[f"backup-{name}"] = {"provider": "approved", "model": f"backup-{name}"}
        lanes = {"primary": f"first-{name}", "equivalent": f"second-{name}"}
        tasks[f"closed-{name}"] = {**lanes, **once}
        tasks[f"saved-{name}"] = {**lanes, "degraded": f"backup-{name}", **once}
    return {
        "router": {"health": UNMOVED},
        "providers": {
            "approved": {"base_url": stage.approved.base_url, "api_key_env": "APPROVED_KEY"},
            "other": {"base_url": stage.other.base_url, "api_key_env": "OTHER_KEY"},
        },
        "routes": routes,
        "tasks": tasks,
        "sensitive": {"payment": {"routes": [name for name in routes if not name.startswith("second-")]}},
        "endpoints": {f"{GUARDED}/*": "payment"},
    }


def script(stage: Stage) -> None:
    """The first routes fail, each in its way; the others answer."""
    for name, trouble in FAILURES.items():
        stage.approved.script(f"first-{name}", trouble.behaviour)
