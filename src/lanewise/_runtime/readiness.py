"""What a process can tell of its router's routes and store, without asking anybody."""

from __future__ import annotations

from lanewise._routing.availability import Unavailable
from lanewise._runtime.router_runtime import RouterRuntime

__all__ = ["readiness"]


def readiness(runtime: RouterRuntime) -> dict[str, object]:
    """What keeps new calls from each route, by kind of API where it isn't all of it; and whether the store answers.

    Example::

        readiness(runtime)  # {"routes": {"flagship": "usable", "sonnet": "outage, HTTP 500"}, "store": "memory"}
    """
    routes: dict[str, str] = {}
    for name, route in runtime.config.routes.items():
        if name in runtime.off:
            routes[name] = "off: its key is not set"
            continue
        closed = [found for api in route.api if (found := runtime.health.closed_to(name, api)) is not None]
        routes[name] = f"closed: {_reason(closed[0])}" if closed else "usable"
    store = "memory" if runtime.store is None else "answers" if runtime.health.shared.is_connected else "not heard"
    return {"routes": routes, "store": store}


def _reason(closed: Unavailable) -> str:
    failure = closed.failure
    status = f", HTTP {failure.http_status}" if failure.http_status else ""
    return f"{failure.kind}{status}{f' ({closed.throttle})' if closed.throttle else ''}"
