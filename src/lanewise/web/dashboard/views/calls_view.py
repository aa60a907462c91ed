"""Calls: the newest first, filtered, paged by key."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from lanewise.config import Config
from lanewise.types import FailureKind, LaneName, Outcome
from lanewise.types.past_calls import ANY, CallFilter, CallPage, PageKey
from lanewise.web.dashboard.ledger_calls import LedgerSilent
from lanewise.web.dashboard.page_request import PageRequest, PageResponse, Refused, Viewer
from lanewise.web.dashboard.views.view_context import ViewContext

__all__ = ["list_of_calls"]

SIZE: Final = 50
USUAL: Final = tuple(
    ((name, value),)
    for name, value in (("outcome", "failed"), ("failure", ANY), ("lane", "equivalent"), ("lane", "degraded"))
)
"""The filters that have a link of their own."""
_LONGEST: Final = 512
FILTERS: Final = ("task", "lane", "route", "outcome", "failure", "label", "request", "since", "until")


def list_of_calls(context: ViewContext, request: PageRequest, viewer: Viewer) -> PageResponse:
    """The view. Raises Refused: a filter can't be read."""
    asked = {name: value for name, value in request.asked.items() if name in FILTERS}
    wanted = _filter(asked)
    after = _key(request.asked)
    trouble = ""
    try:
        page = context.past.page(wanted, after, SIZE)
    except LedgerSilent as silent:
        page, trouble = CallPage(calls=()), str(silent)
    return context.page(
        "calls.html",
        request,
        viewer,
        now=datetime.now(UTC),
        calls=page.calls,
        older="" if page.older is None else urlencode({**asked, **_written(page.older)}),
        newest=urlencode(asked) if after is not None else "",
        is_later_page=after is not None,
        looked_back_to=page.looked_back_to,
        asked={name: asked.get(name, "") for name in FILTERS},
        is_filtered=bool(asked),
        is_usual=tuple(asked.items()) in USUAL,
        choices=_choices(context.router.config, asked),
        trouble=trouble,
    )


def _filter(asked: Mapping[str, str]) -> CallFilter:
    if any(len(value) > _LONGEST or "\0" in value for value in asked.values()):
        raise Refused(400, "A filter is too long.")
    label = asked.get("label")
    name, equals, value = (label or "").partition("=")
    return CallFilter(
        task=asked.get("task"),
        lane=asked.get("lane"),
        route=asked.get("route"),
        outcome=asked.get("outcome"),
        failure=asked.get("failure"),
        label=None if label is None else (name.strip(), value.strip() if equals else None),
        request_id=(asked.get("request") or "").strip() or None,
        since=_moment(asked.get("since")),
        until=_moment(asked.get("until")),
    )


def _moment(text: str | None) -> datetime | None:
    """A moment as browsers write it (``2026-11-30T14:05``); without a zone it is in UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refused(400, "A time is written as 2026-11-30T14:05, in UTC.") from None


def _key(asked: Mapping[str, str]) -> PageKey | None:
    at, call_id = _moment(asked.get("older_at")), asked.get("older_id")
    if at is None or call_id is None:
        return None
    if len(call_id) > _LONGEST or "\0" in call_id:
        raise Refused(400, "There is no such page.")
    number = asked.get("older_attempt", "0")
    return PageKey(at, call_id, int(number) if number.isdecimal() and len(number) < 5 else 0)


def _written(key: PageKey) -> Mapping[str, str]:
    written = {"older_at": key.at.astimezone(UTC).isoformat(timespec="microseconds"), "older_id": key.call_id}
    return {**written, "older_attempt": str(key.attempt)} if key.attempt else written


def _choices(config: Config, asked: Mapping[str, str]) -> Mapping[str, list[str]]:
    """What can be chosen; what is chosen is among it, also where the config has it no more."""
    known = {
        "task": list(config.tasks),
        "lane": [lane.value for lane in LaneName],
        "route": list(config.routes),
        "outcome": [outcome.value for outcome in Outcome],
        "failure": [ANY, *(kind.value for kind in FailureKind)],
    }
    return {
        name: values if asked.get(name) in (None, *values) else [*values, asked[name]] for name, values in known.items()
    }
