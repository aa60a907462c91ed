"""The audit: endpoints whose marks can't hold stop the app, and all of them can be listed."""

from __future__ import annotations

import pytest

from lanewise import Config, ConfigError
from lanewise.web import STANDARD, Endpoint, Source, assert_declared, check_endpoints, endpoint_table

CONFIG = Config.from_mapping(
    {
        "providers": {"one": {"base_url": "http://127.0.0.1:9/v1"}},
        "routes": {"first": {"provider": "one", "model": "m"}, "second": {"provider": "one", "model": "n"}},
        "tasks": {"t": {"primary": "first"}},
        "sensitive": {
            "payment": {"routes": ["first"]},
            "medical": {"routes": ["second"]},
            "both": {"routes": ["first", "second"]},
        },
        "endpoints": {"/payments/*": "payment"},
    }
)
REFUND = Endpoint("refund", "/refunds", ("POST",), (Source("payment", "@sensitive"),))


def mistakes(*endpoints: Endpoint) -> str:
    with pytest.raises(ConfigError) as caught:
        check_endpoints(endpoints, CONFIG)
    return str(caught.value)


def test_good_marks_pass() -> None:
    """Known categories that leave a route, and endpoints without any."""
    check_endpoints([REFUND, Endpoint("health", "/health")], CONFIG)


def test_an_unknown_category_names_its_endpoint() -> None:
    """The message has the endpoint, the category, and those that there are."""
    said = mistakes(Endpoint("refund", "/refunds", ("POST",), (Source("paiment", "@sensitive"),)))
    assert "POST /refunds (refund)" in said
    assert "paiment" in said
    assert "payment" in said


def test_a_hidden_mark_names_its_endpoint() -> None:
    """And says how to show it."""
    said = mistakes(Endpoint("refund", "/refunds", (), (Source("payment", "@sensitive", hidden=True),)))
    assert "/refunds (refund)" in said
    assert "functools.wraps" in said


def test_marks_that_leave_no_route_are_refused() -> None:
    """Two categories whose routes don't meet can never be answered."""
    sources = (Source("payment", "@sensitive"), Source("medical", "a group"))
    assert "/refunds" in mistakes(Endpoint("refund", "/refunds", (), sources))
    check_endpoints([Endpoint("r", "/r", (), (Source("payment", "a"), Source("both", "b")))], CONFIG)


def test_a_path_rule_adds_to_a_mark() -> None:
    """So a mark may leave no route only because of where the endpoint lies."""
    assert "/payments/7" in mistakes(Endpoint("triage", "/payments/7", (), (Source("medical", "@sensitive"),)))


def test_what_cant_be_told_is_refused() -> None:
    """Unresolved means closed."""
    assert "its marks can't be read" in mistakes(Endpoint("x", "/x", unresolved="its marks can't be read"))


def test_all_mistakes_come_at_once() -> None:
    """An app is not mended one start at a time."""
    unknown = tuple(Endpoint(name, f"/{name}", (), (Source("nope", "@sensitive"),)) for name in ("one", "two"))
    said = mistakes(*unknown)
    assert "/one" in said
    assert "/two" in said


def test_declared_is_what_has_a_mark_a_group_or_a_rule() -> None:
    """The others are listed."""
    ruled = Endpoint("pay", "/payments/7")
    plain = Endpoint("health", "/health", (), (Source(STANDARD, "@standard"),))
    assert_declared([REFUND, ruled, plain], CONFIG)
    with pytest.raises(AssertionError, match=r"(?s)1 endpoints.*GET /forgotten \(forgotten\)"):
        assert_declared([REFUND, Endpoint("forgotten", "/forgotten", ("GET",))], CONFIG)


def test_the_table_has_every_endpoint_and_why() -> None:
    """What it is, which routes may answer, and where that comes from; brackets in a path are no markup."""
    table = endpoint_table([REFUND, Endpoint("health", "/health/[b]x"), Endpoint("pay", "/payments/7")], CONFIG)
    assert "POST /refunds (refund)" in table
    assert "@sensitive" in table
    assert 'path rule "/payments/*"' in table
    assert "undeclared: standard" in table
    assert "/health/[b]x" in table
