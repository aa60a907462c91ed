"""What tokens cost: known prices only, the route's own before the list's."""

from __future__ import annotations

import pytest

from understudy import Config
from understudy.records.prices import Tokens, context_window, price_of


def routes(**route: object) -> Config:
    return Config.from_mapping(
        {
            "providers": {"openai": {}, "other": {"base_url": "https://ai.example.com/v1"}},
            "routes": {"main": {"provider": "openai", "model": "gpt-4o", **route}},
            "tasks": {"chat": {"primary": "main"}},
        }
    )


def test_the_lists_price_is_that_of_the_provider() -> None:
    """GPT-4o of OpenAI: 2.50 dollars a million in, 10 out, 1.25 cached (OpenAI's price list, since October 2024)."""
    config = routes()
    price = price_of(config.routes["main"], config.providers["openai"])
    assert price is not None
    assert price.cost(Tokens(1_000_000, 0)) == pytest.approx(2.5)
    assert price.cost(Tokens(0, 1_000_000)) == pytest.approx(10)
    assert price.cost(Tokens(1_000_000, 0, cached_input=1_000_000)) == pytest.approx(1.25)


def test_a_model_at_another_provider_has_no_price() -> None:
    """What OpenAI takes for a model says nothing of what a reseller takes."""
    config = routes(provider="other")
    assert price_of(config.routes["main"], config.providers["other"]) is None
    assert context_window(config.routes["main"], config.providers["other"]) is None


def test_a_model_that_the_list_lacks_has_no_price() -> None:
    """None, never 0."""
    config = routes(model="gpt-99-imaginary")
    assert price_of(config.routes["main"], config.providers["openai"]) is None


def test_the_routes_own_price_and_window_win() -> None:
    """What the config says is the contract that the app has."""
    config = routes(price={"input": 1, "output": 3.0, "cached_input": 0.5}, context_window=9000)
    price = price_of(config.routes["main"], config.providers["openai"])
    assert price is not None
    assert price.cost(Tokens(1_000_000, 1_000_000)) == pytest.approx(4)
    assert price.cost(Tokens(1_000_000, 0, cached_input=400_000)) == pytest.approx(0.8)
    assert context_window(config.routes["main"], config.providers["openai"]) == 9000


def test_cached_tokens_cost_as_others_unless_said() -> None:
    """On the high side where nothing is said."""
    config = routes(price={"input": 1.0, "output": 0.0})
    price = price_of(config.routes["main"], config.providers["openai"])
    assert price is not None
    assert price.cost(Tokens(1_000_000, 0, cached_input=1_000_000)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("price", "said"),
    [
        ({"input": 1.0}, "the price of the output is missing"),
        ({"input": 1.0, "output": 2.0, "cached": 1.0}, "Did you mean 'cached_input'?"),
        ({"input": -1.0, "output": 2.0}, "out of range"),
    ],
)
def test_a_price_that_could_mislead_is_refused(price: dict[str, float], said: str) -> None:
    """A half-given price would make an answer seem free."""
    with pytest.raises(ValueError, match="price") as caught:
        routes(price=price)
    assert said in str(caught.value)
