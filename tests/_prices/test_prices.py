"""What usages cost: a route's own prices before the list's, reckoned by ``genai-prices``, known only if covered."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise import Config
from lanewise._openai.usage.usage import Usage
from lanewise._prices.price_book import PriceBook, context_window, price_of
from lanewise.config import Provider, Route

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
BASE_URLS = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com/v1",
    "google": "https://generativelanguage.googleapis.com/v1beta/openai",
    "deepseek": "https://api.deepseek.com",
    "x-ai": "https://api.x.ai/v1",
}


def routes(**route: object) -> Config:
    return Config.from_mapping(
        {
            "providers": {"openai": {}, "other": {"base_url": "https://ai.example.com/v1"}},
            "routes": {"main": {"provider": "openai", "model": "gpt-4o", **route}},
            "tasks": {"chat": {"primary": "main"}},
        }
    )


def cost(config: Config, **used: Any) -> tuple[float, bool] | None:
    """What the route takes for a usage, and whether its price covers all of it."""
    route = config.routes["main"]
    price = price_of(route, config.providers[route.provider])
    found = None if price is None else price.reckon(Usage(**used), NOON)
    return None if found is None else (pytest.approx(found.usd), found.covered)


def test_the_lists_price_is_that_of_the_provider() -> None:
    """GPT-4o of OpenAI: 2.50 dollars a million in, 10 out, 1.25 cached (OpenAI's price list, since October 2024)."""
    assert cost(routes(), input_tokens=1_000_000) == (2.5, True)
    assert cost(routes(), output_tokens=1_000_000) == (10, True)
    assert cost(routes(), input_tokens=1_000_000, cached_tokens=1_000_000) == (1.25, True)


def test_what_is_written_to_a_cache_costs_a_quarter_more() -> None:
    """GPT-5.6 Sol: 4 dollars a million in, 5 written, 20 out (OpenAI's price list, since August 2026)."""
    config = routes(model="gpt-5.6-sol")
    written = {"input_tokens": 100_000, "output_tokens": 100, "cache_write_tokens": 100_000}
    assert cost(config, **written) == (0.502, True)
    assert cost(config, **written, service_tier="flex") == (0.251, True)
    assert cost(config, **written, service_tier="ultrafast") == (0.502, False)


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
    assert cost(config, input_tokens=1_000_000, output_tokens=1_000_000) == (4, True)
    assert cost(config, input_tokens=1_000_000, cached_tokens=400_000) == (0.8, True)
    assert context_window(config.routes["main"], config.providers["openai"]) == 9000


DECLARED: list[tuple[dict[str, Any], dict[str, Any], float, bool]] = [
    ({}, {"input_tokens": 10, "output_tokens": 10}, 10 + 30, True),
    ({}, {"input_tokens": 10, "cached_tokens": 4}, 10, False),
    ({}, {"input_tokens": 10, "cache_write_tokens": 4}, 10, False),
    ({}, {"input_tokens": 10, "input_audio_tokens": 4}, 10, False),
    ({}, {"input_tokens": 10, "output_tokens": 10, "output_image_tokens": 4}, 40, False),
    ({}, {"input_tokens": 10, "tool_calls": (("web_search", 1),)}, 10, False),
    ({}, {"input_tokens": 10, "service_tier": "flex"}, 10, False),
    ({}, {"input_tokens": 10, "unclear": ("smell_tokens",)}, 10, False),
    ({"cache_write": 2.0}, {"input_tokens": 10, "cache_write_tokens": 4}, 6 + 8, True),
    ({"cache_write": 2.0}, {"input_tokens": 10, "cache_write_tokens": 4, "cache_write_lifetimes": (("1h", 4),)},
     14, False),
    (
        {"cache_write": 2.0, "cache_write_1h": 3.0},
        {"input_tokens": 10, "cache_write_tokens": 4, "cache_write_lifetimes": (("1h", 3),)},
        6 + 2 + 9, True,
    ),
    ({"cache_write_1h": 3.0}, {"input_tokens": 10, "cache_write_tokens": 4, "cache_write_lifetimes": (("1h", 4),)},
     18, False),
    ({"audio_input": 5.0}, {"input_tokens": 10, "input_audio_tokens": 4}, 6 + 20, True),
    ({"audio_output": 7.0}, {"input_tokens": 10, "output_tokens": 10, "output_audio_tokens": 4}, 10 + 18 + 28, True),
    ({"audio_input": 5.0, "cached_input": 0.5}, {"input_tokens": 10, "cached_tokens": 4, "input_audio_tokens": 4},
     24, False),
    (
        {"audio_input": 5.0, "cached_input": 0.5},
        {"input_tokens": 10, "cached_tokens": 4, "input_audio_tokens": 4, "cached_audio_tokens": 0},
        2 + 2 + 20, True,
    ),
    (
        {"audio_input": 5.0, "cached_input": 0.5, "cached_audio_input": 0.25},
        {"input_tokens": 10, "cached_tokens": 4, "input_audio_tokens": 8, "cached_audio_tokens": 4},
        2 + 20 + 1, True,
    ),
    ({"image_input": 5.0, "image_output": 6.0}, {"input_tokens": 10, "output_tokens": 10, "input_image_tokens": 4,
      "output_image_tokens": 5}, 6 + 20 + 15 + 30, True),
    ({"tiers": [{"above": 5, "input": 2.0, "output": 4.0}]}, {"input_tokens": 5, "output_tokens": 10}, 5 + 30, True),
    ({"tiers": [{"above": 5, "input": 2.0, "output": 4.0}]}, {"input_tokens": 6, "output_tokens": 10}, 12 + 40, True),
    ({"tiers": [{"above": 9, "input": 4.0}, {"above": 5, "input": 2.0}]}, {"input_tokens": 10, "output_tokens": 1},
     43, True),
    ({"service_tiers": {"flex": {"input": 0.5, "output": 1.5}}}, {"input_tokens": 10, "output_tokens": 10,
      "service_tier": "flex"}, 20, True),
    ({"service_tiers": {"Flex": {"input": 0.5}}}, {"input_tokens": 10, "service_tier": "FLEX"}, 5, True),
    ({"service_tiers": {"flex": {"input": 0.5}}}, {"input_tokens": 10, "output_tokens": 10, "service_tier": "flex"},
     35, False),
    ({"service_tiers": {"flex": {"input": 0.5}}}, {"input_tokens": 10, "service_tier": "default"}, 10, True),
]  # fmt: skip


@pytest.mark.parametrize(("more", "used", "dollars", "covered"), DECLARED)
def test_a_routes_own_price_has_a_word_for_each_kind(
    more: dict[str, Any], used: dict[str, Any], dollars: float, covered: bool
) -> None:
    """By the millionth of a dollar; what it does not name is paid at the plain price, and is not known."""
    million = {name: count * 1_000_000 if isinstance(count, int) else count for name, count in used.items()}
    million = {
        name: tuple((kind, count * 1_000_000) for kind, count in value) if name == "cache_write_lifetimes" else value
        for name, value in million.items()
    }
    price = {"input": 1.0, "output": 3.0, **more}
    price["tiers"] = [{**tier, "above": tier["above"] * 1_000_000} for tier in price.get("tiers", ())]
    assert cost(routes(price=price), **million) == (dollars, covered)


def test_requests_and_searches_are_paid_by_the_thousand() -> None:
    """Beside the tokens, as providers list them."""
    config = routes(price={"input": 1.0, "output": 3.0, "requests": 5.0, "web_searches": 10.0})
    assert cost(config, input_tokens=1000) == (0.001 + 0.005, True)
    assert cost(config, input_tokens=1000, tool_calls=(("web_search", 2),)) == (0.001 + 0.005 + 0.02, True)


def test_a_price_is_meant_for_the_service_tier_that_its_route_sets() -> None:
    """Whoever sets flex, and writes a price, has written that of flex."""
    config = routes(price={"input": 1.0, "output": 3.0}, set={"service_tier": "flex"})
    assert cost(config, input_tokens=1_000_000, service_tier="flex") == (1, True)
    assert cost(config, input_tokens=1_000_000, service_tier="priority") == (1, False)


@pytest.mark.parametrize(
    ("price", "said"),
    [
        ({"input": 1.0}, "`output` is missing"),
        ({"input": 1.0, "output": 2.0, "cached": 1.0}, "Did you mean 'cached_input'?"),
        ({"input": 1.0, "output": 2.0, "cache_writes": 1.0}, "Did you mean 'cache_write'?"),
        ({"input": -1.0, "output": 2.0}, "out of range"),
        ({"input": 1.0, "output": 2.0, "tiers": [{"input": 2.0}]}, "`above` is missing"),
        ({"input": 1.0, "output": 2.0, "tiers": [{"above": 0, "input": 2.0}]}, "out of range"),
        ({"input": 1.0, "output": 2.0, "tiers": [{"above": 10, "inputs": 2.0}]}, "Did you mean 'input'?"),
        ({"input": 1.0, "output": 2.0, "service_tiers": {"flex": {"outputs": 1.0}}}, "Did you mean 'output'?"),
        ({"input": 1.0, "output": 2.0, "service_tiers": {"flex": 1.0}}, "a table belongs here"),
        ({"input": 1.0, "output": "2.0"}, "a number belongs here"),
        (1.0, "a table belongs here"),
    ],
)
def test_a_price_that_could_mislead_is_refused(price: object, said: str) -> None:
    """A half-given price would make an answer seem free."""
    with pytest.raises(ValueError, match="price") as caught:
        routes(price=price)
    assert said in str(caught.value)


_listed: list[tuple[str, str]] = []


def listed() -> list[tuple[str, str]]:
    """The models of the largest providers that are sold by the token."""
    from genai_prices.data_snapshot import get_snapshot

    if not _listed:
        for provider in get_snapshot().providers:
            if provider.id in BASE_URLS:
                here = Provider(name="here", base_url=BASE_URLS[provider.id])
                models = [model.id for model in provider.models]
                _listed.extend(
                    (provider.id, model)
                    for model in models
                    if price_of(Route(provider="here", model=model), here) is not None
                )
    return _listed


counts = st.integers(0, 600_000)


@given(st.data(), counts, counts, st.lists(st.integers(0, 200_000), min_size=6, max_size=6), st.booleans())
def test_each_sum_is_the_lists_own(data: Any, told: int, said: int, parts: list[int], flex: bool) -> None:
    """For any model and usage: what ``calc_price`` says, and ``covered`` only if each part has a price."""
    import genai_prices

    provider, model = data.draw(st.sampled_from(listed()))
    cached, written, hour, audio, painted, spoken = parts
    usage = Usage(
        input_tokens=told + cached + written + audio,
        output_tokens=said + painted + spoken,
        cached_tokens=cached,
        cache_write_tokens=written,
        cache_write_lifetimes=(("1h", min(hour, written)),),
        input_audio_tokens=audio,
        cached_audio_tokens=0,
        output_audio_tokens=spoken,
        output_image_tokens=painted,
        tool_calls=(("web_search", 2),),
        service_tier="flex" if flex else None,
    )
    price = price_of(Route(provider="here", model=model), Provider(name="here", base_url=BASE_URLS[provider]))
    assert price is not None
    found = price.reckon(usage, NOON)
    theirs = genai_prices.Usage(
        input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, cache_read_tokens=cached,
        cache_write_tokens=written, cache_write_1h_tokens=min(hour, written), input_audio_tokens=audio,
        output_audio_tokens=spoken, output_image_tokens=painted, web_searches=2, cache_audio_read_tokens=0,
    )  # fmt: skip
    terms = {"service_tier": "flex"} if flex else None
    try:
        listed_price = genai_prices.calc_price(
            theirs, model, provider_api_url=BASE_URLS[provider], genai_request_timestamp=NOON, price_context=terms
        )
    except ValueError:
        assert found is None or not found.covered
        return
    prices = listed_price.model_price
    named = {"input_mtok": usage.input_tokens, "output_mtok": usage.output_tokens, "cache_read_mtok": cached,
             "cache_write_mtok": written, "cache_write_1h_mtok": min(hour, written), "input_audio_mtok": audio,
             "output_audio_mtok": spoken, "output_image_mtok": painted, "web_searches_kcount": 2}  # fmt: skip
    if found is None:
        assert (said + painted + spoken and prices.output_mtok is None) or prices.input_mtok is None
        return
    assert found.usd == pytest.approx(float(listed_price.total_price))
    if found.covered:
        assert all(getattr(prices, name) is not None for name, count in named.items() if count)


@given(counts, counts, st.integers(0, 10**6), st.sampled_from(["text", "cache_write", "hour", "audio"]))
def test_nothing_costs_more_than_the_most(told: int, given_: int, share: int, kind: str) -> None:
    """What an attempt can cost at the most bounds each split of its tokens."""
    price = {"input": 1.0, "output": 3.0, "cached_input": 0.1, "cache_write": 1.25, "cache_write_1h": 2.0,
             "audio_input": 8.0, "audio_output": 16.0, "tiers": [{"above": 200_000, "input": 2.0}]}  # fmt: skip
    config = routes(price=price)
    known = price_of(config.routes["main"], config.providers["openai"])
    assert known is not None
    part = min(share, told)
    parts: dict[str, Any] = {
        "text": {},
        "cache_write": {"cache_write_tokens": part},
        "hour": {"cache_write_tokens": part, "cache_write_lifetimes": (("1h", part),)},
        "audio": {"input_audio_tokens": part, "output_audio_tokens": min(share, given_)},
    }[kind]
    usage = Usage(input_tokens=told, output_tokens=given_, **parts)
    found, most = known.reckon(usage, NOON), known.at_most(usage, NOON)
    assert found is not None
    assert most is not None
    assert found.usd <= most * (1 + 1e-9)


def test_a_model_that_is_not_sold_by_the_token_has_no_price() -> None:
    """By the hour, by the page: what the usage tells says nothing."""
    config = routes(model="whisper-1")
    assert price_of(config.routes["main"], config.providers["openai"]) is None


def test_the_book_has_the_price_of_the_model_that_answered() -> None:
    """A dated release is the model that was asked for; another model has its own price, or none."""
    config = routes()
    book = PriceBook(config)
    book.load()
    prices = {
        answered: book.of("main", answered)
        for answered in (None, "gpt-4o", "gpt-4o-2030-01-01", "gpt-4o-mini", "a-stranger")
    }
    found = {name: price and price.reckon(Usage(input_tokens=1000), NOON) for name, price in prices.items()}
    assert {name: cost and cost.usd for name, cost in found.items()} == {
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
    cost = price.reckon(Usage(input_tokens=1000), NOON)
    assert cost is not None
    assert cost.usd == pytest.approx(0.007)


def test_a_rough_cost_is_that_of_about_as_many_tokens() -> None:
    """For an order of routes: reckoned once for all calls of about one size, anew when the prices change."""
    from genai_prices.data_snapshot import DataSnapshot, set_custom_snapshot

    book = PriceBook(routes())
    book.load()
    assert book.rough_cost("main", 123_456, 777) == pytest.approx((123_456 * 2.5 + 777 * 10) / 1e6, rel=0.01)
    assert book.rough_cost("main", 123_456, 777) == book.rough_cost("main", 123_411, 777)
    assert book.rough_cost("main", 0, 0) == 0
    assert book.rough_cost("main", 1000, 0, "priority") == pytest.approx(0.00425)
    set_custom_snapshot(DataSnapshot(providers=[], from_auto_update=True))
    try:
        assert book.rough_cost("main", 123_456, 777) is None
    finally:
        set_custom_snapshot(None)


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
