"""Budgets that are declared: what can be said, and what is refused with a word on what would be right."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise.config import Budget, Config, ConfigError
from lanewise.config.tables.budgets import BudgetLimit, Unit, nano_usd

LOCAL = {"base_url": "http://127.0.0.1:9/v1"}


def config(**budgets: Any) -> Config:
    return Config.from_mapping(
        {
            "providers": {"p": LOCAL, "openai": {}},
            "routes": {
                "unpriced": {"provider": "p", "model": "x"},
                "priced": {"provider": "p", "model": "y", "price": {"input": 1.0, "output": 2.0}},
                "listed": {"provider": "openai", "model": "gpt-5-mini"},
            },
            "tasks": {
                "both": {"primary": "unpriced", "equivalent": "priced"},
                "free": {"primary": "unpriced"},
                "listed": {"primary": "listed"},
            },
            "budgets": budgets,
        }
    )


def mistakes(**budget: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        config(b={"limit": "5 calls", "window": "1d", **budget})
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("0.50 USD", BudgetLimit(500_000_000, Unit.USD)),
        ("20USD", BudgetLimit(20_000_000_000, Unit.USD)),
        (" 1 USD ", BudgetLimit(1_000_000_000, Unit.USD)),
        ("200000 tokens", BudgetLimit(200_000, Unit.TOKENS)),
        ("1 call", BudgetLimit(1, Unit.CALLS)),
        ("100 calls", BudgetLimit(100, Unit.CALLS)),
    ],
)
def test_a_limit_is_money_tokens_or_calls(text: str, limit: BudgetLimit) -> None:
    """Money exactly, in billionths of a dollar."""
    assert config(b={"limit": text, "window": "1d"}).budgets["b"].limit == limit


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        ("-1 USD", "negative"),
        ("-5 calls", "negative"),
        ("0 USD", "no call go out"),
        ("0 calls", "no call go out"),
        ("0.50 EUR", "'EUR' is not counted here"),
        ("5 $", "'$' is not counted here"),
        ("0.50 USD, 1 EUR", "no limit"),
        ("0.50", "no limit"),
        (0.5, "no limit"),
        (True, "no limit"),
        ("nan USD", "no limit"),
        ("1e3 USD", "no limit"),
        ("1.5 calls", "no whole number"),
        ("99999999999999 USD", "out of range"),
        ("1 token", "no call takes as little"),
    ],
)
def test_what_is_no_limit_is_refused(limit: object, told: str) -> None:
    """Other currencies, none, and amounts that no call could keep to."""
    assert told in mistakes(limit=limit)


@pytest.mark.parametrize(
    ("budget", "told"),
    [
        ({"per": "user"}, "'user' is nothing that calls are told apart by"),
        ({"per": "label."}, "nothing that calls are told apart by"),
        ({"per": "label.a b"}, "nothing that calls are told apart by"),
        ({"per": "labels.tenant"}, "nothing that calls are told apart by"),
        ({"window": "0s"}, "zero"),
        ({"window": "1 day"}, "not a duration"),
        ({"over": "primary"}, "'primary' is not known here"),
        ({"over": "degraded"}, "there is no degraded lane"),
        ({"over": "equivalent", "tasks": ["both", "free"]}, "of 'free' there is no equivalent lane"),
        ({"tasks": ["bot"]}, "Did you mean 'both'"),
        ({"tasks": []}, "the list is empty"),
        ({"limt": "5 calls"}, "Did you mean 'limit'"),
        ({"limit": "5 USD", "tasks": ["free"]}, "the price of none of unpriced is known"),
        ({"limit": "0.000000001 USD", "tasks": ["both"]}, "the smallest call costs more"),
        ({"limit": "0.000000001 USD", "tasks": ["listed"]}, "the smallest call costs more"),
    ],
)
def test_what_can_not_be_kept_is_refused(budget: dict[str, object], told: str) -> None:
    """When the config is read, and by name."""
    assert told in mistakes(**budget)


def test_all_mistakes_are_told_at_once() -> None:
    """Of one budget, and of several."""
    told = mistakes(limit="-1 USD", window="0s", per="user", over="primary", tasks=["nobody"])
    assert "has 5 mistakes" in told


def test_one_route_with_a_price_will_do() -> None:
    """The others count as the dearest known; and a price of the public list is one."""
    config(one={"limit": "5 USD", "window": "1d"}, two={"limit": "5 USD", "window": "1h", "tasks": ["listed"]})


def test_it_may_be_declared_in_python() -> None:
    """As a model or a mapping."""
    budget = Budget(limit="5 calls", window=3600.0, over="equivalent")  # type: ignore[arg-type]
    assert config(b=budget).budgets["b"].name == "b"


@given(st.integers(0, 10**15))
def test_an_amount_is_shown_as_it_would_be_written(amount: int) -> None:
    """To a millionth of a dollar; less than that in full."""
    text = str(BudgetLimit(amount, Unit.USD))
    assert abs(nano_usd(float(text.removesuffix(" USD"))) - amount) <= (500 if amount >= 1000 else 1)
