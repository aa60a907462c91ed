"""The header that tells a lane: added once, and of two words about it the worse one holds."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise import LaneName
from lanewise.web.lane_header import set_lane_header, with_lane

LANES = st.lists(st.sampled_from(LaneName), unique=True).map(lambda lanes: sorted(lanes, key=list(LaneName).index))
NAMES = st.sampled_from(["x-lanewise-lane", "X-Lanewise-Lane", "X-LANEWISE-LANE"])
OTHERS = st.lists(st.just(("content-type", "text/plain")), max_size=2)


@given(LANES, st.lists(st.tuples(NAMES, st.sampled_from(LaneName)), max_size=1), OTHERS)
def test_the_worse_of_two_lanes_is_told_once(
    lanes: list[LaneName], present: list[tuple[str, LaneName]], others: list[tuple[str, str]]
) -> None:
    """What a part of the app with a router of its own has told is neither doubled nor made better; nothing else is
    touched."""
    scope = cast("Any", SimpleNamespace(lanes=tuple(lanes)))
    before = [*others, *((name, str(lane)) for name, lane in present)]
    known = [*lanes, *(lane for _, lane in present)]
    lane = [max(known, key=list(LaneName).index)] if known else []
    after = with_lane(before, scope)
    start = {"type": "http.response.start", "headers": [(name.encode(), value.encode()) for name, value in before]}
    set_lane_header(start, scope)
    over_asgi = [(name.decode(), value.decode()) for name, value in cast("Any", start["headers"])]
    for headers in (after, over_asgi):
        assert [value for name, value in headers if name.lower() == "x-lanewise-lane"] == lane
        assert [header for header in headers if header[0] == "content-type"] == others


@pytest.mark.parametrize("value", ["none", "", "PRIMARY", "a, b", "\xff"])
def test_what_is_no_lane_is_the_app_s_own_word(value: str) -> None:
    """It stays as the app has set it."""
    scope = cast("Any", SimpleNamespace(lanes=(LaneName.DEGRADED,)))
    assert with_lane([("X-Lanewise-Lane", value)], scope) == [("X-Lanewise-Lane", value)]
    start = {"type": "http.response.start", "headers": [(b"X-Lanewise-Lane", value.encode("latin-1"))]}
    set_lane_header(start, scope)
    assert start["headers"] == [(b"X-Lanewise-Lane", value.encode("latin-1"))]


def test_an_answer_without_headers_gets_one() -> None:
    """ASGI allows their absence."""
    start: dict[str, Any] = {"type": "http.response.start", "status": 200}
    set_lane_header(start, cast("Any", SimpleNamespace(lanes=(LaneName.EQUIVALENT,))))
    assert start["headers"] == [(b"x-lanewise-lane", b"equivalent")]
