"""What attempts of every kind take of a budget, over real HTTP: answers, streams, time-outs, drafts, and odd prices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest

from _budgets.test_over_http import MESSAGES, PRICE, ask, config, routes
from lanewise import Router
from lanewise.testing import Answer, Behaviour, FakeProvider, JsonBody, SlowHeaders, Status

pytestmark = pytest.mark.anyio

WIDE = {"limit": "1000 USD", "window": "1d"}


def spent(router: Router, budget: str = "usd") -> str:
    """What stands in the budget: told by the reservation of one more call."""
    told = ask(router, max_tokens=1).explain()
    line = next(line for line in told.splitlines() if f"of budget {budget} (" in line)
    return line.split(f"of budget {budget} (")[1].split(" of ")[0]


def costing(usd: object) -> JsonBody:
    """An answer whose provider says what it cost."""
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "cost": usd}
    message = {"role": "assistant", "content": "Fine."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return JsonBody(
        {
            "id": "c",
            "object": "chat.completion",
            "created": 1,
            "model": "model-one",
            "choices": [choice],
            "usage": usage,
        }
    )


def chat(client: openai.OpenAI, **options: Any) -> object:
    return client.chat.completions.create(model="summary", messages=MESSAGES, **options)


def streamed(client: openai.OpenAI) -> object:
    with client.chat.completions.create(
        model="summary", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    ) as stream:
        return list(stream)


def responses(client: openai.OpenAI) -> object:
    return client.responses.create(model="summary", input="Where?")


def embeddings(client: openai.OpenAI) -> object:
    return client.embeddings.create(model="summary", input="Where?")


@pytest.mark.parametrize(
    ("use", "tokens"),
    [(chat, 25), (streamed, 25), (responses, 25), (embeddings, 20)],
    ids=["chat", "stream", "responses", "embeddings"],
)
async def test_every_api_takes_what_it_used(
    use: Callable[[openai.OpenAI], object], tokens: int, fake_provider: FakeProvider
) -> None:
    """As the provider counts it; an embedding has no tokens out."""
    fake_provider.script("model-one", Answer("Fine.", usage=(20, 5)))
    mapping = config(fake_provider, tokens={"limit": "60 tokens", "window": "1d"})
    mapping["routes"]["flagship"] |= {"max_output": 5, "api": ["chat", "responses", "embeddings"]}
    with Router.from_mapping(mapping) as router, router.scope() as scope:
        refused = None
        while refused is None:
            try:
                use(scope.openai)
            except openai.RateLimitError as error:
                refused = error
        answered = len(scope.calls) - 1
    assert answered
    assert f"budget tokens is used up: {answered * tokens} of 60 tokens in 1d are spent" in str(refused)


@pytest.mark.parametrize("behaviour", [Status(401), Status(404), Status(429), Status(400)], ids=str)
async def test_what_was_refused_takes_nothing(behaviour: Behaviour, fake_provider: FakeProvider) -> None:
    """Nobody bills an error."""
    mapping = config(fake_provider, usd=WIDE)
    mapping["router"]["health"] = {"breakers": False}
    with Router.from_mapping(mapping) as router:
        before = float(spent(router))
        fake_provider.script_all(behaviour)
        ask(router, max_tokens=100)
        fake_provider.reset()
        after = float(spent(router))
    assert after - before < 0.05


async def test_a_route_that_is_free_goes_on_beyond_the_limit(fake_provider: FakeProvider) -> None:
    """Its attempts take nothing of a budget that the dear route has used up."""
    usd = {"limit": "0.01 USD", "window": "1d", "over": "degraded"}
    mapping = config(fake_provider, usd=usd)
    mapping["routes"]["mini"]["price"] = {"input": 0.0, "output": 0.0}
    mapping["tasks"]["local"] = {"primary": "mini"}
    fake_provider.script("model-one", Answer("Fine.", usage=(10, 50)))
    with Router.from_mapping(mapping) as router:
        assert routes(router, 2, max_tokens=5) == ["flagship", "mini"]
        assert routes(router, 2, task="local") == ["mini", "mini"]


async def test_what_was_always_free_and_is_not_any_more_is_counted(fake_provider: FakeProvider) -> None:
    """Twenty answers cost nothing, as their provider says; what the next one costs is spent."""
    mapping = config(fake_provider, usd={"limit": "0.03 USD", "window": "1d"})
    fake_provider.script("model-one", *[costing(0)] * 20, costing(0.02), costing(0.02))
    with Router.from_mapping(mapping) as router:
        assert routes(router, 22, max_tokens=1) == ["flagship"] * 22
        assert routes(router, 1, max_tokens=1) == [None]


@pytest.mark.parametrize("usd", [1e300, -5.0, 1e18, "1e5", True, None, [5]], ids=str)
async def test_a_cost_that_no_provider_means_breaks_nothing(usd: object, fake_provider: FakeProvider) -> None:
    """It is not taken for a cost, unless it is one, however dear."""
    fake_provider.script("model-one", costing(usd))
    with Router.from_mapping(config(fake_provider, usd={"limit": "1 USD", "window": "1d"})) as router:
        first, second = ask(router, max_tokens=5), ask(router, max_tokens=5)
    assert first.route == "flagship"
    assert second.route == (None if usd == "1e5" else "flagship")


async def test_a_budget_too_small_for_an_attempt_says_so(fake_provider: FakeProvider) -> None:
    """Not that it is used up; and to come again at once would be of no use."""
    with Router.from_mapping(config(fake_provider, usd={"limit": "0.05 USD", "window": "1h"})) as router:
        with router.scope() as scope, pytest.raises(openai.RateLimitError) as caught:
            chat(scope.openai)
        assert "budget usd is too small for an attempt that may take 1.0" in str(caught.value)
        assert caught.value.response.headers["retry-after"] == "3600"
        assert routes(router, 1, max_tokens=20) == ["flagship"]


@pytest.mark.parametrize("limit", ["3 calls", "100000 tokens", "1000 USD"])
async def test_after_a_restart_time_outs_count_as_they_were_reserved(
    limit: str, fake_provider: FakeProvider, tmp_path: Path
) -> None:
    """The records don't tell what they used: the usual input, and 1,000 tokens out; a call of two attempts is one."""
    mapping = config(fake_provider, ledger=f"sqlite:///{tmp_path / 'l.db'}", budget={"limit": limit, "window": "1h"})
    mapping["tasks"]["summary"]["deadline"] = "3s"
    mapping["routes"]["flagship"]["timeout"] = "300ms"
    mapping["routes"]["sonnet"]["price"] = {"input": 1.0, "output": 1.0}
    del mapping["routes"]["flagship"]["price"]
    fake_provider.script("model-one", SlowHeaders(3.0))
    with Router.from_mapping(mapping) as router:
        call = ask(router)
        assert [attempt.route for attempt in call.attempts] == ["flagship", "sonnet"]
    fake_provider.reset()
    with Router.from_mapping(mapping) as router:
        told = float(spent(router, "budget"))
    if "calls" in limit:
        assert told == 2
    elif "tokens" in limit:
        assert 1017 <= told < 1100
    else:
        assert 1.0 < told < 1.1  # the route without a price counts as the dearest: `mini`


async def test_after_a_restart_answers_without_a_price_count_as_the_dearest(
    fake_provider: FakeProvider, tmp_path: Path
) -> None:
    """As they did before it."""
    mapping = config(fake_provider, ledger=f"sqlite:///{tmp_path / 'l.db'}", usd={"limit": "0.02 USD", "window": "1h"})
    del mapping["routes"]["flagship"]["price"]
    fake_provider.script("model-one", Answer("Fine.", usage=(10, 5)))
    with Router.from_mapping(mapping) as router:
        assert routes(router, 2, max_tokens=5) == ["flagship", "flagship"]
    with Router.from_mapping(mapping) as router:
        assert routes(router, 2, max_tokens=5) == ["flagship", None]


async def test_the_upper_bound_of_a_time_out_locks_nobody_out(fake_provider: FakeProvider, tmp_path: Path) -> None:
    """What an answer of the most tokens would have cost is no more than a bound: what was reserved counts."""
    mapping = config(fake_provider, ledger=f"sqlite:///{tmp_path / 'l.db'}", usd={"limit": "5 USD", "window": "1h"})
    mapping["tasks"]["summary"] |= {"deadline": "3s"}
    mapping["routes"]["flagship"] |= {"timeout": "300ms", "context_window": 128_000, "price": PRICE}
    fake_provider.script("model-one", SlowHeaders(3.0))
    with Router.from_mapping(mapping) as router:
        call = ask(router)
        assert (call.attempts[0].cost_upper_usd or 0) > 100
    fake_provider.reset()
    with Router.from_mapping(mapping) as router:
        assert 1.0 < float(spent(router)) < 1.1
