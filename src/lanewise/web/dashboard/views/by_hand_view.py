"""By hand: opens and closes routes, and tells who did so and why. For operators alone."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from lanewise._health.sharing.by_hand import StoreSilent
from lanewise.router import change_by_hand
from lanewise.web.dashboard.ledger_calls import LedgerSilent
from lanewise.web.dashboard.page_request import PageRequest, PageResponse, Refused, Viewer
from lanewise.web.dashboard.views.view_context import ViewContext

if TYPE_CHECKING:
    from lanewise._ledger.queries.interventions import Intervention

__all__ = ["by_hand", "change"]

_log: Final = logging.getLogger("lanewise")

_SHOWN: Final = 20
LONGEST_REASON: Final = 500
LONGEST_NAME: Final = 200
_ACTIONS: Final = ("open", "close")


def by_hand(context: ViewContext, request: PageRequest, viewer: Viewer, *, wrong: str = "") -> PageResponse:
    """The routes as they stand, a form for each, and what was done by hand before. Raises Refused."""
    _require_operator(viewer)
    trouble = ""
    before: list[Intervention] = []
    if context.has_ledger:
        try:
            before = context.ledger.interventions(_SHOWN)
        except LedgerSilent as silent:
            trouble = str(silent)
    health = context.router.health
    asked = request.asked
    done = asked.get("done") if asked.get("done") in _ACTIONS and asked.get("route") in health.routes else None
    return context.page(
        "by_hand.html",
        request,
        viewer,
        status=400 if wrong else 200,
        now=datetime.now(UTC),
        routes=list(health.routes.values()),
        before=before,
        done=done,
        route=asked.get("route", ""),
        unwritten="unwritten" in asked,
        wrong=wrong,
        trouble=trouble,
        stores=context.router.config.router.state != "memory",
    )


def change(context: ViewContext, request: PageRequest, viewer: Viewer, form: Mapping[str, str]) -> PageResponse:
    """Open or close a route, and write down who did so and why. Raises Refused."""
    operator = _printable(_require_operator(viewer), LONGEST_NAME)
    route, action = form.get("route", ""), form.get("action")
    reason = _printable(form.get("reason", ""), LONGEST_REASON)
    if route not in context.router.config.routes or action not in _ACTIONS:
        raise Refused(400, "There is no such route, or nothing that could be done to it.")
    if not reason:
        return by_hand(context, request, viewer, wrong=f"Say why {route} is to be {_DONE[action]}: it is kept.")
    try:
        change_by_hand(context.router, route, opens=action == "open")
    except StoreSilent as silent:
        raise Refused(503, f"Nothing was changed: {silent}.") from None
    _log.warning(
        "route %s was %s by hand, by %s: %s",
        route,
        _DONE[action],
        operator,
        reason,
        extra={"route": route, "decided_by": operator, "reason": reason},
    )
    is_written = not context.has_ledger or _write_down(context, route, action, operator, reason)
    asked = {"done": action, "route": route, **({} if is_written else {"unwritten": "1"})}
    return PageResponse(status=303, headers=(("Location", f"by-hand?{urlencode(asked)}"),))


_DONE: Final = {"open": "opened", "close": "closed"}


def _write_down(context: ViewContext, route: str, action: str, operator: str, reason: str) -> bool:
    """Whether the ledger has it: what was done is done, in any case, and is in the log."""
    try:
        context.ledger.add_intervention(datetime.now(UTC), route, action, operator, reason)
    except LedgerSilent as silent:
        _log.error("what was done to route %s by hand is not in the ledger: %s", route, silent)
        return False
    return True


def _printable(text: str, most: int) -> str:
    return "".join(character if character.isprintable() else " " for character in text).strip()[:most]


def _require_operator(viewer: Viewer) -> str:
    if viewer.operator is None:
        raise Refused(403, "You may not open or close routes.")
    return viewer.operator
