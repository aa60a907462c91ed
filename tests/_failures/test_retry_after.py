"""How Retry-After is read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise._failures.retry_after import parse_retry_after

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"Retry-After": "2"}, 2.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "301"}, 300.0),
        ({"retry-after": "9" * 15}, 300.0),
        ({"retry-after-ms": "400000"}, 300.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Infinity"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1_0"}, None),
        ({"retry-after": "١"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sunday, 22-Nov-26 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30 -0000"}, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 13:00:30 +0100"}, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 11:59:59 GMT"}, None),
        ({"retry-after": "Sun, 22 Nov 2027 12:00:00 GMT"}, 300.0),
        ({"retry-after": "Sun, 99 Nov 2026 12:00:30 GMT"}, None),
        ({"retry-after": "1m30.5s"}, 90.5),
        ({"retry-after": "800ms"}, 0.8),
        ({"retry-after": "2026-11-22T12:00:30Z"}, 30.0),
        ({"retry-after": "2026-11-22T11:00:30Z"}, None),
        ({"retry-after": f"{NOW.timestamp() + 30:.0f}"}, 30.0),
        ({"retry-after": f"{NOW.timestamp() - 30:.0f}"}, None),
        ({"retry-after": f"{(NOW.timestamp() + 30) * 1000:.0f}"}, 30.0),
    ],
)
def test_retry_after_is_read_as_documented(headers: dict[str, str], seconds: float | None) -> None:
    """Milliseconds first, then seconds, then a date; nonsense is ignored, and long waits are capped."""
    assert parse_retry_after(headers, NOW) == seconds


@given(st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms"]), st.text(max_size=80)))
def test_no_header_makes_it_raise(headers: dict[str, str]) -> None:
    """Whatever a provider sends: between 0 and 300 seconds, or nothing."""
    seconds = parse_retry_after(headers, NOW)
    assert seconds is None or 0 <= seconds <= 300
