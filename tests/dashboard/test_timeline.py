"""The picture of a call is to scale, and says the same in words."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from _ledger.calls import NOON, attempt, call
from lanewise.types import Call, FailureKind, LaneName, Send, Switch, Wait
from lanewise.web.dashboard.timeline import layout, timeline


def a_call() -> Call:
    """One that waited, tried again and switched: 1,000 ms in all."""
    made = call(
        attempt("flagship", FailureKind.RATE_LIMIT, http_status=429, total_ms=100.0),
        attempt("flagship", FailureKind.OUTAGE, total_ms=100.0),
        attempt(
            "sonnet",
            total_ms=500.0,
            first_byte_ms=100.0,
            first_content_ms=200.0,
        ),
        moves=(
            (0.0, Send(route="flagship", lane=LaneName.PRIMARY, attempt_number=1, timeout=20)),
            (100.0, Wait(seconds=0.3, route="flagship", lane=LaneName.PRIMARY, reason="again after rate_limit")),
            (400.0, Send(route="flagship", lane=LaneName.PRIMARY, attempt_number=2, timeout=20, cause="retry")),
            (500.0, Switch(route="sonnet", lane=LaneName.EQUIVALENT, attempt_number=3, timeout=20, cause="switch")),
        ),
        total_ms=1000.0,
    )
    began = zip(made.attempts, (0, 400, 500), strict=True)
    placed = [msgspec.structs.replace(each, started_at=NOON + timedelta(milliseconds=after)) for each, after in began]
    return msgspec.structs.replace(made, attempts=tuple(placed))


def test_everything_has_its_place() -> None:
    """In percent of the call's time: attempts, the wait between, first byte and first content."""
    bars = layout(a_call()).bars
    assert [(bar.kind, bar.start, bar.width) for bar in bars] == [
        ("failed", 0.0, 10.0),
        ("wait", 10.0, 30.0),
        ("failed", 40.0, 10.0),
        ("answered", 50.0, 50.0),
    ]
    assert (bars[3].first_byte, bars[3].first_content) == (60.0, 70.0)
    assert [tick.at for tick in layout(a_call()).ticks] == [0.0, 50.0, 100.0]


def test_the_words_say_what_is_seen() -> None:
    """For those who see no picture."""
    words = [bar.words.replace("\N{NO-BREAK SPACE}", " ") for bar in layout(a_call()).bars]
    assert words[0] == "1. flagship (primary), 0 ms after the start: rate_limit, HTTP 429 in 100 ms"
    assert words[1].startswith("waits for flagship (primary), 100 ms after the start, for 300 ms")
    assert words[3].endswith("answered in 500 ms; first byte after 100 ms; first content after 200 ms")


@pytest.mark.parametrize("total", [0.0, 0.4, 1.0, 85.0, 999.0, 12_345.0, 3_600_000.0])
def test_the_axis_fits_any_call(total: float) -> None:
    """Some ticks, none outside, and nothing is wider than the picture."""
    made = layout(call(attempt("flagship", total_ms=total), total_ms=total))
    assert 1 <= len(made.ticks) <= 9
    assert all(0 <= tick.at <= 100 for tick in made.ticks)
    assert all(bar.start >= 0 and bar.start + bar.width <= 100.01 for bar in made.bars)


def test_a_call_without_attempts_has_no_picture() -> None:
    """There is nothing to be drawn."""
    unsent = call(attempt("flagship"), attempts=(), moves=(), total_ms=1.0)
    assert str(timeline(unsent)).strip() == ""


def test_the_picture_needs_no_style_of_its_own() -> None:
    """No attribute of it would be refused by the page's policy."""
    html = str(timeline(a_call()))
    assert "style" not in html
    assert "<script" not in html
    assert html.count("<li ") == 4
