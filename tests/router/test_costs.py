"""What answers cost, by the dollar: a table of usages as servers write them, each reckoned by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from genai_prices.data_snapshot import DataSnapshot, set_custom_snapshot
from genai_prices.types import ClauseEquals, ModelInfo, ModelPrice, PriceVariant, Provider, Tier, TieredPrices

from lanewise import CostStatus, Router
from lanewise.testing import Body, FakeProvider, JsonBody
from router.driving import using

pytestmark = pytest.mark.anyio

KNOWN, ESTIMATED, REPORTED, UNKNOWN = (
    CostStatus.KNOWN,
    CostStatus.ESTIMATED,
    CostStatus.REPORTED,
    CostStatus.UNKNOWN,
)


def _steps(base: str, long: str) -> TieredPrices:
    return TieredPrices(Decimal(base), [Tier(272_000, Decimal(long))])


def _priced(**dollars: object) -> ModelPrice:
    return ModelPrice(**{name: Decimal(price) if isinstance(price, str) else price for name, price in dollars.items()})  # type: ignore[arg-type]


def _model(name: str, prices: ModelPrice, variants: list[PriceVariant] | None = None) -> ModelInfo:
    return ModelInfo(id=name, match=ClauseEquals(name), prices=prices, price_variants=variants)


# As OpenAI, Anthropic and Google list them (US dollars a million tokens, a thousand searches).
LIST = DataSnapshot(
    providers=[
        Provider(
            id="listed",
            name="Listed",
            api_pattern=r"http://127\.0\.0\.1",
            models=[
                _model(
                    "text",
                    _priced(
                        input_mtok=_steps("4", "8"),
                        output_mtok=_steps("20", "30"),
                        cache_read_mtok=_steps("0.4", "0.8"),
                        cache_write_mtok=_steps("5", "10"),
                        web_searches_kcount="10",
                        storage_searches_kcount="2.5",
                    ),
                    [
                        PriceVariant(
                            {"service_tier": "flex"},
                            _priced(
                                input_mtok=_steps("2", "4"), output_mtok=_steps("10", "15"),
                                cache_read_mtok=_steps("0.2", "0.4"), cache_write_mtok=_steps("2.5", "5"),
                            ),
                        ),
                        PriceVariant(
                            {"service_tier": "priority"},
                            _priced(input_mtok="8", output_mtok="40", cache_read_mtok="0.8"),
                        ),
                    ],
                ),
                _model(
                    "claude",
                    _priced(
                        input_mtok="3", output_mtok="15", cache_read_mtok="0.3", cache_write_mtok="3.75",
                        cache_write_1h_mtok="6", web_searches_kcount="10",
                    ),
                ),
                _model(
                    "voice",
                    _priced(
                        input_mtok="4", output_mtok="16", cache_read_mtok="0.4", input_audio_mtok="32",
                        output_audio_mtok="64", cache_audio_read_mtok="0.4",
                    ),
                ),
                _model("painter", _priced(input_mtok="0.3", output_mtok="2.5", output_image_mtok="30")),
                _model("plain", _priced(input_mtok="2", output_mtok="8")),
                _model("embedder", _priced(input_mtok="0.02")),
            ],
        )
    ],
    from_auto_update=False,
)  # fmt: skip


@pytest.fixture
def listed() -> Iterator[None]:
    """The list of prices that the fake provider sells by."""
    set_custom_snapshot(LIST)
    yield
    set_custom_snapshot(None)


@dataclass(frozen=True)
class Case:
    """What a server sends, and what that costs. ``usage`` is at the top; ``more`` stands beside it."""

    what: str
    usage: object
    dollars: float | None
    status: CostStatus
    model: str = "text"
    more: Mapping[str, object] | None = None
    asked: Mapping[str, object] | None = None
    headers: Mapping[str, str] | None = None

    def __str__(self) -> str:
        return self.what


def chat(told: object, given: object, **more: object) -> dict[str, object]:
    """A usage in chat's words."""
    return {"prompt_tokens": told, "completion_tokens": given, **more}


TOKENS = (
    Case("plain", chat(1000, 100), 0.004 + 0.002, KNOWN),
    Case("cached", chat(1000, 100, prompt_tokens_details={"cached_tokens": 600}), 0.0016 + 0.00024 + 0.002, KNOWN),
    Case("cache write", chat(100_000, 100, prompt_tokens_details={"cache_write_tokens": 100_000}), 0.502, KNOWN),
    Case("long prompt", chat(300_000, 1000), 2.4 + 0.03, KNOWN),
    Case("reasoning", chat(1000, 100, completion_tokens_details={"reasoning_tokens": 90}), 0.006, KNOWN),
    Case("floats", chat(1000.0, 100.0, total_tokens=1100.0), 0.006, KNOWN),
    Case("texts", chat("1000", "100"), 0.006, KNOWN),
    Case("no total but the sum", {"completion_tokens": 100, "total_tokens": 1100}, 0.006, KNOWN),
    Case(
        "two lifetimes, in Anthropic's words",
        {
            "input_tokens": 1000, "output_tokens": 100, "cache_read_input_tokens": 2000,
            "cache_creation_input_tokens": 3000,
            "cache_creation": {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 2000},
        },
        (1000 * 3 + 2000 * 0.3 + 1000 * 3.75 + 2000 * 6 + 100 * 15) / 1e6, KNOWN, "claude",
    ),
    Case(
        "two lifetimes, in a gateway's words",
        chat(
            6000, 100, total_tokens=6100, cache_creation_input_tokens=3000,
            prompt_tokens_details={
                "cached_tokens": 2000, "cache_creation_tokens": 3000,
                "cache_creation_token_details": {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 2000},
            },
        ),
        (1000 * 3 + 2000 * 0.3 + 1000 * 3.75 + 2000 * 6 + 100 * 15) / 1e6, KNOWN, "claude",
    ),
    Case(
        "a lifetime without a price", chat(
            2000, 100, prompt_tokens_details={
                "cache_write_tokens": 1000, "cache_write_tokens_details": {"ttl_12h_tokens": 1000},
            },
        ),
        (1000 * 4 + 1000 * 5 + 100 * 20) / 1e6, ESTIMATED,
    ),
    Case("DeepSeek's cache", chat(1000, 100, prompt_cache_hit_tokens=600, prompt_cache_miss_tokens=400),
         0.0016 + 0.00024 + 0.002, KNOWN),
    Case("Moonshot's cache", chat(1000, 100, cached_tokens=600), 0.0016 + 0.00024 + 0.002, KNOWN),
    Case("cached, and no price of it", chat(1000, 100, prompt_tokens_details={"cached_tokens": 600}),
         0.0028, ESTIMATED, "plain"),
    Case("written, and no price of it", chat(1000, 100, prompt_tokens_details={"cache_write_tokens": 600}),
         0.0028, ESTIMATED, "plain"),
    Case(
        "audio in and out",
        chat(1000, 500, prompt_tokens_details={"audio_tokens": 800, "text_tokens": 200},
             completion_tokens_details={"audio_tokens": 400, "text_tokens": 100}),
        (200 * 4 + 800 * 32 + 100 * 16 + 400 * 64) / 1e6, KNOWN, "voice",
    ),
    Case(
        "cached audio, told apart",
        chat(1000, 100, prompt_tokens_details={
            "audio_tokens": 800, "cached_tokens": 500,
            "cached_tokens_details": {"audio_tokens": 400, "text_tokens": 100},
        }, completion_tokens_details={"audio_tokens": 0}),
        (100 * 4 + 100 * 0.4 + 400 * 32 + 400 * 0.4 + 100 * 16) / 1e6, KNOWN, "voice",
    ),
    Case(
        "cached audio, not told apart",
        chat(1000, 100, prompt_tokens_details={"audio_tokens": 800, "cached_tokens": 500},
             completion_tokens_details={"audio_tokens": 0}),
        (200 * 0.4 + 500 * 32 + 300 * 0.4 + 100 * 16) / 1e6, ESTIMATED, "voice",
    ),
    Case("audio, and no price of it", chat(1000, 100, prompt_tokens_details={"audio_tokens": 800}),
         0.0028, ESTIMATED, "plain"),
    Case("an image", chat(1000, 1300, completion_tokens_details={"image_tokens": 1290, "text_tokens": 10}),
         (1000 * 0.3 + 10 * 2.5 + 1290 * 30) / 1e6, KNOWN, "painter"),
    Case("a painter's answer that tells no image tokens", chat(1000, 1300), (1000 * 0.3 + 1300 * 2.5) / 1e6,
         ESTIMATED, "painter"),
    Case("images, and no price of them", chat(1000, 100, prompt_tokens_details={"image_tokens": 800}),
         0.0028, ESTIMATED, "plain"),
    Case("thought apart, told", chat(1000, 100, total_tokens=1400, completion_tokens_details={"reasoning_tokens": 300}),
         0.004 + 0.008, KNOWN),
    Case("thought apart, not told", chat(1000, 100, total_tokens=1400), 0.004 + 0.008, ESTIMATED),
    Case("something that nobody knows", chat(1000, 100, hologram_tokens=5), 0.006, ESTIMATED),
    Case("something that nobody knows, within", chat(1000, 100, prompt_tokens_details={"smell_tokens": 5}),
         0.006, ESTIMATED),
    Case("times are not billed", chat(1000, 100, queue_time=0.1, total_time=2.5, time_to_first_token=0.2),
         0.006, KNOWN),
    Case("more cached than sent", chat(1000, 100, total_tokens=1100, prompt_tokens_details={"cached_tokens": 1001}),
         None, ESTIMATED),
)  # fmt: skip

TERMS = (
    Case("priority", chat(1000, 100), 0.008 + 0.004, KNOWN, more={"service_tier": "priority"}),
    Case("flex", chat(1000, 100), 0.002 + 0.001, KNOWN, more={"service_tier": "flex"}),
    Case("flex, with a written cache", chat(1000, 100, prompt_tokens_details={"cache_write_tokens": 1000}),
         0.0025 + 0.001, KNOWN, more={"service_tier": "flex"}),
    Case("priority has no price of a written cache", chat(1000, 100, prompt_tokens_details={"cache_write_tokens": 500}),
         None, ESTIMATED, more={"service_tier": "priority"}),
    Case("priority has no price of long prompts", chat(300_000, 1000), None, ESTIMATED,
         more={"service_tier": "priority"}),
    Case("default", chat(1000, 100), 0.006, KNOWN, more={"service_tier": "default"}),
    Case("the app asked for priority, and got default", chat(1000, 100), 0.006, KNOWN,
         more={"service_tier": "default"}, asked={"service_tier": "priority"}),
    Case("a tier that was asked for, and never told", chat(1000, 100), 0.003, ESTIMATED,
         asked={"service_tier": "flex"}),
    Case("a tier without a price", chat(1000, 100), 0.006, ESTIMATED, more={"service_tier": "ultrafast"}),
    Case("a tier without a price, of another model", chat(1000, 100), 0.0028, ESTIMATED, "plain",
         more={"service_tier": "priority"}),
    Case("a tier within the usage", chat(1000, 100, service_tier="flex"), 0.003, KNOWN),
    Case("a speed without a price", chat(1000, 100, speed="fast"), 0.006, ESTIMATED),
    Case("a place that costs more", chat(1000, 100, inference_geo="us"), 0.006, ESTIMATED),
)  # fmt: skip

TOOLS = (
    Case("web search", chat(1000, 100, server_tool_use={"web_search_requests": 3}), 0.0045 + 0.03, KNOWN, "claude"),
    Case("web search, and no price of it", chat(1000, 100, server_tool_use={"web_search_requests": 3}), 0.0028,
         ESTIMATED, "plain"),
    Case("fetching costs its tokens alone", chat(1000, 100, server_tool_use={"web_fetch_requests": 3}), 0.0045, KNOWN,
         "claude"),
    Case("a search that the usage is silent of", chat(1000, 100), 0.006, ESTIMATED, asked={"web_search_options": {}}),
    Case("a tool of the provider's that the usage is silent of", chat(1000, 100), 0.006, ESTIMATED,
         asked={"tools": [{"type": "web_search"}]}),
    Case("a tool of the app's", chat(1000, 100), 0.006, KNOWN,
         asked={"tools": [{"type": "function", "function": {"name": "web_search"}}]}),
    Case("sources", chat(1000, 100, num_sources_used=4), 0.006, ESTIMATED),
    Case("several models", chat(1000, 100), 0.006, ESTIMATED, more={"usage_breakdown": {"models": [{"model": "a"}]}}),
)  # fmt: skip

OWN_WORD = (
    Case("OpenRouter", chat(1000, 100, cost=0.0123, is_byok=False), 0.0123, REPORTED),
    Case("as a text", chat(1000, 100, cost="0.0123"), 0.0123, REPORTED),
    Case("its own key", chat(1000, 100, cost=0.95, is_byok=True, cost_details={"upstream_inference_cost": 19}),
         19.95, REPORTED),
    Case("its own key, not said", chat(1000, 100, cost=0.95, cost_details={"upstream_inference_cost": 19}),
         19.95, REPORTED),
    Case("not its own key", chat(1000, 100, cost=0.5, is_byok=False, cost_details={"upstream_inference_cost": 0.4}),
         0.5, REPORTED),
    Case("not its own key, not said", chat(1000, 100, cost=0.5, cost_details={"upstream_inference_cost": 0.5}),
         0.5, REPORTED),
    Case("its own key, whose bill is not told", chat(1000, 100, cost=0.01, is_byok=True), 0.016, ESTIMATED),
    Case("its own key at a model without a price", chat(1000, 100, cost=0.01, is_byok=True), None, UNKNOWN, "unlisted"),
    Case("a free model", chat(1000, 100, cost=0), 0.0, REPORTED),
    Case("without a price in any list", chat(1000, 100, cost=0.01), 0.01, REPORTED, "unlisted"),
    Case("without a count of tokens", {"cost": 0.01}, 0.01, REPORTED),
    Case("Perplexity", chat(1000, 100, cost={"input_tokens_cost": 0.1, "request_cost": 0.2, "total_cost": 0.3}),
         0.3, REPORTED),
    Case("another currency", chat(1000, 100, cost={"total_cost": 3, "currency": "CNY"}), 0.006, ESTIMATED),
    Case("xAI's ticks", chat(1000, 100, cost_in_usd_ticks=37_756_000), 0.0037756, REPORTED),
    Case("LiteLLM's header", chat(1000, 100), 0.0456, REPORTED, headers={"x-litellm-response-cost": "0.0456"}),
    Case("LiteLLM's header without a price", chat(1000, 100), 0.006, KNOWN, headers={"x-litellm-response-cost": "0.0"}),
    Case("its own guess", chat(1000, 100, estimated_cost=0.01), 0.01, ESTIMATED, "unlisted"),
    Case("its own guess, and a list that knows", chat(1000, 100, estimated_cost=0.01), 0.006, KNOWN),
    Case("negative", chat(1000, 100, cost=-1), 0.006, ESTIMATED),
    Case("no number", chat(1000, 100, cost="free"), 0.006, ESTIMATED),
)  # fmt: skip

NOTHING = (
    Case("no usage", None, None, ESTIMATED),
    Case("an empty one", {}, None, ESTIMATED),
    Case("zeros for an answer that has words", chat(0, 0), None, ESTIMATED),
    Case("negative", chat(-1, 100), None, ESTIMATED),
    Case("truth values", chat(True, False), None, ESTIMATED),
    Case("too many", chat(10**30, 100), None, ESTIMATED),
    Case("a list", [1, 2], None, ESTIMATED),
    Case("no price", chat(1000, 100), None, UNKNOWN, "unlisted"),
    Case("no price of the output", chat(1000, 100), None, UNKNOWN, "embedder"),
)


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    """The provider that the list sells for."""
    with FakeProvider() as provider:
        yield provider


def routed(provider: FakeProvider, **route: object) -> dict[str, object]:
    models = ("text", "claude", "voice", "painter", "plain", "embedder", "unlisted")
    return {
        "providers": {"seller": {"base_url": provider.base_url}},
        "routes": {model: {"provider": "seller", "model": model, **route} for model in models},
        "tasks": {model: {"primary": model} for model in models},
    }


@pytest.fixture
async def router(provider: FakeProvider, listed: None) -> Any:
    """A router with a task for each model."""
    async with Router.from_mapping(routed(provider)) as router:
        yield router


def message(model: str, usage: object, more: Mapping[str, object] | None) -> dict[str, object]:
    """A chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "All is well."}, "finish_reason": "stop"}
    said = {"id": "c", "object": "chat.completion", "created": 1, "model": model, "choices": [choice], "usage": usage}
    return {**said, **(more or {})}


def check(attempt: Any, case: Case) -> None:
    assert (attempt.cost_status, attempt.cost_upper_usd) == (case.status, None)
    if case.dollars is not None:
        assert attempt.cost_usd == pytest.approx(case.dollars, rel=1e-9)
    else:
        assert (attempt.cost_usd is None) is (case.status is UNKNOWN)


MESSAGES: Any = [{"role": "user", "content": "Where is my parcel?"}]
ALL = (*TOKENS, *TERMS, *TOOLS, *OWN_WORD, *NOTHING)


@pytest.mark.parametrize("case", ALL, ids=str)
async def test_an_answer_costs_what_its_usage_says(case: Case, provider: FakeProvider, router: Router) -> None:
    """Reckoned by hand: what no price covers is never known."""
    provider.script(case.model, JsonBody(message(case.model, case.usage, case.more), headers=case.headers or {}))
    scope = router.scope()
    await scope.async_openai.chat.completions.create(
        model=case.model, messages=MESSAGES, extra_body=dict(case.asked or {})
    )
    check(scope.calls[0].attempts[0], case)


WHERE = {
    "in the choice": lambda usage: [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": usage}]}],
    "in x_groq": lambda usage: [{"choices": [], "x_groq": {"id": "r", "usage": usage}}],
    "in x_groq and at the top": lambda usage: [{"choices": [], "x_groq": {"usage": usage}, "usage": usage}],
    "twice": lambda usage: [{"choices": [], "usage": usage}, {"choices": [], "usage": usage}],
    "in each chunk": lambda usage: [
        {"choices": [], "usage": {**usage, "completion_tokens": count}} for count in range(1, 101)
    ],
    "input first, output last": lambda usage: [
        {"choices": [], "usage": {**usage, "completion_tokens": 1}},
        {"choices": [], "usage": {**usage, "prompt_tokens": 0}},
    ],
    "as floats": lambda usage: [{"choices": [], "usage": {name: float(count) for name, count in usage.items()}}],
    "and then nothing": lambda usage: [{"choices": [], "usage": usage}, {"choices": [], "usage": None}],
}


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("client", ["async", "sync"])
async def test_a_streams_usage_counts_wherever_it_stands(
    where: str, client: str, provider: FakeProvider, router: Router
) -> None:
    """And once, however often it is told."""
    words: list[Any] = [{"choices": [{"index": 0, "delta": {"content": word}}]} for word in ("All is ", "well.")]
    end = [] if where == "in the choice" else [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
    chunks = [{"id": "c", "model": "text", **chunk} for chunk in (*words, *end, *WHERE[where](chat(1000, 100)))]
    events = [*(msgspec.json.encode(chunk).decode() for chunk in chunks), "[DONE]"]
    provider.script("text", Body("".join(f"data: {event}\n\n" for event in events), "text/event-stream"))
    scope = router.scope()
    stream = await using(scope, client, lambda openai: _drain(openai, client))
    assert stream == "All is well."
    (attempt,) = scope.calls[0].attempts
    assert (attempt.input_tokens, attempt.output_tokens) == (1000, 100)
    assert (attempt.cost_usd, attempt.cost_status) == (pytest.approx(0.006), KNOWN)


def _drain(openai: Any, client: str) -> Any:
    options: Any = {"model": "text", "messages": MESSAGES, "stream": True}
    if client == "sync":
        return "".join(c.choices[0].delta.content or "" for c in openai.chat.completions.create(**options) if c.choices)

    async def drain() -> str:
        stream = await openai.chat.completions.create(**options)
        return "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])

    return drain()


RESPONSES = (
    Case("plain", {}, 0.006, KNOWN),
    Case("cached and written", {"input_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 400}},
         0.00024 + 0.002 + 0.002, KNOWN),
    Case("web search", {}, 0.026, KNOWN, more={"output": [
        {"type": "web_search_call", "id": "w1", "status": "completed", "action": {"type": "search", "query": "q"}},
        {"type": "web_search_call", "id": "w2", "status": "completed", "action": {"type": "search", "query": "r"}},
        {"type": "web_search_call", "id": "w3", "status": "completed", "action": {"type": "open_page", "url": "u"}},
    ]}),
    Case("web search, by the provider's own count", {}, 0.016, KNOWN, more={
        "output": [{"type": "web_search_call", "id": "w", "status": "completed", "action": {"type": "search"}}] * 2,
        "tool_usage": {"web_search": {"num_requests": 1}, "image_gen": {"input_tokens": 0, "output_tokens": 0}},
    }),
    Case("file search", {}, 0.0085, KNOWN, more={
        "output": [{"type": "file_search_call", "id": "f", "status": "completed", "queries": []}],
    }),
    Case("code that ran", {}, 0.006, ESTIMATED, more={
        "output": [{"type": "code_interpreter_call", "id": "i", "status": "completed", "container_id": "c"}],
    }),
    Case("an image that was made", {}, 0.006, ESTIMATED, more={
        "tool_usage": {"web_search": {"num_requests": 0}, "image_gen": {"input_tokens": 10, "output_tokens": 4000}},
    }),
    Case("the app's own tools", {}, 0.006, KNOWN, more={"output": [
        {"type": "function_call", "id": "f", "call_id": "c", "name": "web_search", "arguments": "{}"},
    ]}),
    Case("priority", {}, 0.012, KNOWN, more={"service_tier": "priority"}),
    Case("the provider's word", {"cost": 0.5}, 0.5, REPORTED),
)  # fmt: skip


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("case", RESPONSES, ids=str)
async def test_a_response_costs_what_its_usage_and_its_tools_say(
    case: Case, stream: bool, provider: FakeProvider, router: Router
) -> None:
    """Calls of the provider's own tools stand among the output, and in its own count."""
    said: Any = {"type": "message", "id": "m", "role": "assistant", "status": "completed"}
    said["content"] = [{"type": "output_text", "text": "All is well.", "annotations": []}]
    usage = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
    usage.update({"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}})  # type: ignore[dict-item]
    more = dict(case.more or {})
    output = [*more.pop("output", ()), said]  # type: ignore[misc]
    response = {
        "id": "r", "object": "response", "created_at": 1, "model": "text", "status": "completed", "output": output,
        "usage": {**usage, **case.usage}, "tools": [], "parallel_tool_calls": True, "tool_choice": "auto", **more,  # type: ignore[dict-item]
    }  # fmt: skip
    if stream:
        events = [{"type": "response.output_text.delta", "delta": "All is well.", "item_id": "m", "output_index": 0,
                   "content_index": 0, "sequence_number": 1, "logprobs": []}]  # fmt: skip
        events.append({"type": "response.completed", "sequence_number": 2, "response": response})
        text = "".join(f"event: {event['type']}\ndata: {msgspec.json.encode(event).decode()}\n\n" for event in events)
        provider.script("text", Body(text, "text/event-stream"))
    else:
        provider.script("text", JsonBody(response))
    scope = router.scope()
    reply: Any = await scope.async_openai.responses.create(model="text", input="Where is my parcel?", stream=stream)
    if stream:
        assert [event.type async for event in reply][-1] == "response.completed"
    check(scope.calls[0].attempts[0], case)


async def test_what_is_made_in_the_background_has_no_known_cost(provider: FakeProvider, router: Router) -> None:
    """The answer says that it will come; what it will use is told elsewhere, if at all."""
    response = {"id": "r", "object": "response", "created_at": 1, "model": "text", "status": "queued", "output": [],
                "usage": None, "tools": [], "parallel_tool_calls": True, "tool_choice": "auto"}  # fmt: skip
    provider.script("text", JsonBody(response))
    scope = router.scope()
    await scope.async_openai.responses.create(model="text", input="Hi", background=True, max_output_tokens=1000)
    (attempt,) = scope.calls[0].attempts
    assert (attempt.cost_usd, attempt.cost_status, attempt.failure) == (None, UNKNOWN, None)
    assert attempt.cost_upper_usd == pytest.approx(0.02, rel=0.1)  # 1,000 tokens out


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "web_search_preview"}, {"type": "browser_search"}, {"type": "code_interpreter"},
        {"type": "builtin_function", "function": {"name": "$web_search"}}, {"google_search": {}},
        {"googleSearch": {}}, {"code_execution": {}}, {"type": "x_search"},
    ],
)  # fmt: skip
async def test_a_providers_own_tool_may_cost_more_than_tokens(
    tool: dict[str, object], provider: FakeProvider, router: Router
) -> None:
    """Where the usage is silent of it, nothing is known."""
    provider.script("text", JsonBody(message("text", chat(1000, 100), {})))
    scope = router.scope()
    await scope.async_openai.chat.completions.create(model="text", messages=MESSAGES, extra_body={"tools": [tool]})
    assert scope.calls[0].attempts[0].cost_status is ESTIMATED


async def test_a_free_route_is_free_whatever_is_used(provider: FakeProvider) -> None:
    """A server of one's own tells cached tokens too: of nothing they are nothing."""
    async with Router.from_mapping(routed(provider, price={"input": 0.0, "output": 0.0})) as router:
        usage = chat(1000, 100, prompt_tokens_details={"cached_tokens": 900, "audio_tokens": 20})
        provider.script("text", JsonBody(message("text", usage, {})))
        scope = router.scope()
        await scope.async_openai.chat.completions.create(model="text", messages=MESSAGES)
        (attempt,) = scope.calls[0].attempts
        assert (attempt.cost_usd, attempt.cost_status) == (0.0, KNOWN)


async def test_a_providers_own_words_are_not_taken_into_the_record(provider: FakeProvider, router: Router) -> None:
    """A tool's name, a tier: what a server writes there may be what a user wrote."""
    usage = chat(1000, 100, server_tool_use={"canary-one": 2, "canary-two": 3}, **{"canary-three": 7})
    provider.script("text", JsonBody(message("text", usage, {"service_tier": "canary-four"})))
    scope = router.scope()
    await scope.async_openai.chat.completions.create(model="text", messages=MESSAGES)
    (attempt,) = scope.calls[0].attempts
    assert (attempt.tool_calls, attempt.service_tier) == ((("other", 5),), "other")
    assert attempt.cost_status is ESTIMATED
    assert "canary" not in repr(attempt)


async def test_embeddings_cost_their_input(provider: FakeProvider, router: Router) -> None:
    """They have no output, and no price of any."""
    item = {"object": "embedding", "index": 0, "embedding": [0.5] * 8}
    for usage in {"prompt_tokens": 1000, "total_tokens": 1000}, {"total_tokens": 1000.0}:
        provider.script("embedder", JsonBody({"object": "list", "model": "embedder", "data": [item], "usage": usage}))
        scope = router.scope()
        await scope.async_openai.embeddings.create(model="embedder", input="parcel", encoding_format="float")
        (attempt,) = scope.calls[0].attempts
        assert (attempt.cost_usd, attempt.cost_status) == (pytest.approx(0.00002), KNOWN)


async def test_media_of_which_nobody_tells_the_tokens_are_not_taken_for_text(
    provider: FakeProvider, router: Router
) -> None:
    """A model that sells audio at a price of its own, a question with audio, a usage without a word of it."""
    provider.script("voice", JsonBody(message("voice", chat(1000, 100), {})))
    sound = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    scope = router.scope()
    await scope.async_openai.chat.completions.create(model="voice", messages=[{"role": "user", "content": [sound]}])  # type: ignore[list-item]
    assert scope.calls[0].attempts[0].cost_status is ESTIMATED


async def test_all_that_was_told_is_in_the_record(provider: FakeProvider, router: Router) -> None:
    """Whatever becomes of the price."""
    usage = chat(
        1000, 500, total_tokens=1500, cost=0.95, is_byok=True, cost_details={"upstream_inference_cost": 19},
        prompt_tokens_details={
            "cached_tokens": 100, "cache_write_tokens": 200, "audio_tokens": 300, "image_tokens": 40,
            "cache_write_tokens_details": {"ttl_30m_tokens": 150, "ttl_12h_tokens": 50},
        },
        completion_tokens_details={"reasoning_tokens": 60, "audio_tokens": 70, "image_tokens": 80},
        server_tool_use={"web_search_requests": 2},
    )  # fmt: skip
    provider.script("text", JsonBody(message("text", usage, {"service_tier": "flex"})))
    scope = router.scope()
    await scope.async_openai.chat.completions.create(model="text", messages=MESSAGES)
    (attempt,) = scope.calls[0].attempts
    assert (attempt.input_tokens, attempt.output_tokens, attempt.cached_tokens) == (1000, 500, 100)
    assert (attempt.cache_write_tokens, attempt.cache_write_lifetimes) == (200, (("12h", 50), ("30m", 150)))
    assert (attempt.input_audio_tokens, attempt.output_audio_tokens, attempt.reasoning_tokens) == (300, 70, 60)
    assert (attempt.input_image_tokens, attempt.output_image_tokens) == (40, 80)
    assert (attempt.tool_calls, attempt.service_tier) == ((("web_search", 2),), "flex")
    assert (attempt.reported_cost_usd, attempt.upstream_cost_usd) == (0.95, 19.0)


async def test_the_providers_word_goes_before_a_routes_own_price(provider: FakeProvider) -> None:
    """The price in a config is what somebody expects; the cost in a usage is what was taken."""
    price = {"input": 1.0, "output": 2.0}
    async with Router.from_mapping(routed(provider, price=price)) as router:
        for usage, dollars, status in (
            (chat(1000, 100, cost=0.5), 0.5, REPORTED),
            (chat(1000, 100), 0.0012, KNOWN),
        ):
            provider.script("text", JsonBody(message("text", usage, {})))
            scope = router.scope()
            await scope.async_openai.chat.completions.create(model="text", messages=MESSAGES)
            (attempt,) = scope.calls[0].attempts
            assert (attempt.cost_usd, attempt.cost_status) == (pytest.approx(dollars), status)


async def test_several_requests_pay_each_for_its_own_prompt(provider: FakeProvider, listed: None) -> None:
    """Three prompts that are short by themselves are no long one, and three costs are one sum."""
    config = routed(provider, stand_in={"n": "calls"})
    for usage, dollars, status in (
        (chat(200_000, 100), 3 * (0.8 + 0.002), KNOWN),
        (chat(1000, 100, cost=0.25), 0.75, REPORTED),
    ):
        provider.script("text", *[JsonBody(message("text", usage, {}))] * 3)
        async with Router.from_mapping(config) as router:
            scope = router.scope()
            await scope.async_openai.chat.completions.create(model="text", messages=MESSAGES, n=3)
            (attempt,) = scope.calls[0].attempts
            assert (attempt.cost_usd, attempt.cost_status) == (pytest.approx(dollars), status)
