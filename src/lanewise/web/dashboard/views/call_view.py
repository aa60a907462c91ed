"""One call: its timeline, what ``explain()`` says, and each attempt with its tokens, cost, and what was changed."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

from lanewise.types import Call
from lanewise.web.dashboard.ledger_calls import LedgerSilent
from lanewise.web.dashboard.page_request import PageRequest, PageResponse, Refused, Viewer
from lanewise.web.dashboard.timeline import timeline
from lanewise.web.dashboard.views.view_context import ViewContext

__all__ = ["one_call"]


def one_call(context: ViewContext, request: PageRequest, viewer: Viewer, wanted: str) -> PageResponse:
    """The view of a call by its id, or of the calls of a request. Raises Refused: there is none."""
    try:
        found = context.past.calls(wanted)
        scores = context.past.scores(found[0].id) if len(found) == 1 else []
        others = [call for call in context.past.calls(found[0].request_id) if call.id != found[0].id] if found else []
    except LedgerSilent as silent:
        raise Refused(503, f"The ledger can't be read now: {silent}.") from None
    if not found:
        raise Refused(404, "No call has this id: it may be too old, or not be written down yet.")
    if len(found) > 1:
        return context.page("request.html", request, viewer, now=datetime.now(UTC), request_id=wanted, found=found)
    call = found[0]
    return context.page(
        "call.html",
        request,
        viewer,
        call=call,
        picture=timeline(call),
        explained=call.explain().splitlines(),
        scores=scores,
        others=others,
        trace=_trace(context.trace_url, call),
    )


def _trace(url: str | None, call: Call) -> str:
    """Where the call's trace is shown; empty: nobody said where that is."""
    if url is None:
        return ""
    return url.replace("{call_id}", quote(call.id, safe="")).replace("{request_id}", quote(call.request_id, safe=""))
