"""What tokens cost: known prices only, the route's own before the list's."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lanewise import Config
from lanewise._telemetry.prices import PriceBook, Tokens, context_window, price_of
from lanewise.config import Provider, Route

BASE_URLS = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com/v1",
    "google": "https://generativelanguage.googleapis.com/v1beta/openai",
    "deepseek": "https://api.deepseek.com",
    "perplexity": "https://api.perplexity.ai",
}


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


def test_what_is_reckoned_here_is_what_the_lists_own_way_says() -> None:
    """For each model of the largest providers: short prompts and long ones, with and without cached tokens."""
    from genai_prices import Usage
    from genai_prices.data_snapshot import get_snapshot

    seen = 0
    for provider in get_snapshot().providers:
        if provider.id not in ("openai", "anthropic", "google", "deepseek", "perplexity"):
            continue
        here = Provider(name="here", base_url=BASE_URLS[provider.id])
        for model in provider.models:
            price = price_of(Route(provider="here", model=model.id), here)
            if price is None:
                continue
            now = datetime.now(UTC)
            for tokens in Tokens(1000, 200), Tokens(500_000, 1000, 3000):
                usage = Usage(
                    input_tokens=tokens.input,
                    output_tokens=tokens.output,
                    cache_read_tokens=tokens.cached_input or None,
                )
                theirs = model.get_prices(now).calc_price(usage)["total_price"]
                assert price.cost(tokens) == pytest.approx(float(theirs)), model.id
                seen += 1
    assert seen > 200


def test_a_model_that_is_not_sold_by_the_token_has_no_price() -> None:
    """By the hour, by the page: what the usage tells says nothing."""
    config = routes(model="whisper-1")
    assert price_of(config.routes["main"], config.providers["openai"]) is None


def test_the_book_has_the_price_of_the_model_that_answered() -> None:
    """A dated release is the model that was asked for; another model has its own price, or none."""
    config = routes()
    book = PriceBook(config)
    book.load()
    thousand = Tokens(1000, 0)
    prices = {
        answered: book.of("main", answered)
        for answered in (None, "gpt-4o", "gpt-4o-2030-01-01", "gpt-4o-mini", "a-stranger")
    }
    assert {name: price and price.cost(thousand) for name, price in prices.items()} == {
        None: pytest.approx(0.0025),
        "gpt-4o": pytest.approx(0.0025),
        "gpt-4o-2030-01-01": pytest.approx(0.0025),
        "gpt-4o-mini": pytest.approx(0.00015),
        "a-stranger": None,
    }
    own = PriceBook(routes(price={"input": 7.0, "output": 0.0}))
    own.load()
    price = own.of("main", "a-stranger")
    assert price is not None
    assert price.cost(thousand) == pytest.approx(0.007)


def test_a_list_that_the_app_updates_counts_at_once() -> None:
    """``genai_prices.UpdatePrices`` puts another list in the place of the one that was shipped."""
    from genai_prices.data_snapshot import DataSnapshot, set_custom_snapshot

    book = PriceBook(routes())
    book.load()
    assert book.of("main", "gpt-4o") is not None
    set_custom_snapshot(DataSnapshot(providers=[], from_auto_update=True))
    try:
        assert book.of("main", "gpt-4o") is None
    finally:
        set_custom_snapshot(None)
    assert book.of("main", "gpt-4o") is not None
