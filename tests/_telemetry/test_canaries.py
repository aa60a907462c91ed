"""No key, prompt, answer or user gets anywhere but to the provider: whatever happens, whatever is switched on."""

from __future__ import annotations

import io
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio.to_thread
import openai
import prometheus_client
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from busy_machine import LONG_ENOUGH
from lanewise import Call, JsonFormatter, Review, ReviewPending, Router, Scope, Score
from lanewise._telemetry.prometheus import PrometheusSink
from lanewise._telemetry.tracing import TracingSink
from lanewise.testing import (
    Answer,
    Behaviour,
    FakeProvider,
    Html,
    JsonBody,
    Silence,
    Status,
    StreamOf,
    ToolCall,
    TruncatedBody,
)

pytestmark = pytest.mark.anyio

CANARY = "canary"
"""In every key, prompt, answer, provider's message, tool argument and user of these tests, and in nothing else."""
KEY = "sk-canary-key-of-the-account"
PROMPT = "canary-prompt: where is my parcel?"
ANSWER = "canary-answer: it is on its way"
SUBJECT = "canary-user-7"
RESPONSE = "resp_canary"
MESSAGES: Any = [{"role": "system", "content": "canary-system"}, {"role": "user", "content": PROMPT}]
MODEL, BACKUP = "model-one", "model-two"
PROVIDERS_ERROR = {"message": "canary-said-by-the-provider", "code": "canary said this", "param": "canary param"}
TOOLS: Any = [{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}]
SCHEMA: Any = {
    "type": "json_schema",
    "json_schema": {"name": "reply", "schema": {"type": "object", "required": ["route"], "properties": {}}},
}

Use = Callable[[Any], Any]


def chat(**options: Any) -> Use:
    """One chat call by a client, its stream read to the end."""

    def use(client: Any) -> Any:
        return client.chat.completions.create(**{"model": "both", "messages": MESSAGES, "user": SUBJECT, **options})

    return use


CASES: dict[str, tuple[Use, Sequence[Behaviour], Sequence[Behaviour]]] = {
    "whole": (chat(), [Answer(ANSWER)], []),
    "stream": (chat(stream=True), [StreamOf(chunks=[ANSWER, ANSWER])], []),
    "switched": (chat(temperature=0.5), [Status(429, PROVIDERS_ERROR, retry_after=30)], [Answer(ANSWER)]),
    "wrong key": (chat(), [Status(401, PROVIDERS_ERROR)], [Status(403, PROVIDERS_ERROR)]),
    "bad request": (chat(), [Status(400, PROVIDERS_ERROR)], []),
    "all down": (chat(), [Status(500, PROVIDERS_ERROR)], [Status(503, PROVIDERS_ERROR)]),
    "a page": (chat(), [Html(f"<html>{ANSWER}</html>")], [TruncatedBody()]),
    "an error inside": (chat(), [JsonBody({"error": PROVIDERS_ERROR})], [JsonBody({"choices": [], "x": ANSWER})]),
    "silent": (chat(timeout=1.0), [Silence()], [Silence()]),
    "cut stream": (chat(stream=True), [StreamOf(chunks=[ANSWER] * 4, interval=0.01, cut_after=2)], []),
    "stream with an error": (
        chat(stream=True),
        [StreamOf(chunks=[ANSWER] * 4, error_event_after=2, error=PROVIDERS_ERROR)],
        [],
    ),
    "malformed stream": (chat(stream=True), [StreamOf(chunks=[ANSWER, b"data: {canary\n\n"])], []),
    "tools": (chat(tools=TOOLS), [Answer(None, tool_calls=[ToolCall("find", '{"who": "canary"}')])], []),
    "broken contract": (chat(response_format=SCHEMA), [Answer('{"canary": 1}')], [Answer(ANSWER)]),
    "refused by the model": (chat(), [Answer(ANSWER, refusal="canary-refusal")], []),
    "another model": (chat(model="secret"), [Answer(ANSWER, model="another-model")], []),
    "a model that quotes": (chat(), [Answer(ANSWER, model=PROMPT)], []),
    "a stream that quotes": (chat(stream=True), [StreamOf(chunks=[ANSWER] * 2, model=PROMPT, cut_after=1)], []),
    "sensitive": (chat(model="secret"), [Status(500, PROVIDERS_ERROR)], [Answer(ANSWER)]),
    "left to a person": (chat(model="asked"), [Status(500, PROVIDERS_ERROR)], [Answer(ANSWER)]),
    "unknown task": (chat(model="nobody"), [], []),
    "given again": (chat(model="again"), [Answer(ANSWER)], []),
    "embeddings": (lambda client: client.embeddings.create(model="both", input=PROMPT), [Answer()], []),
    "responses": (lambda client: client.responses.create(model="both", input=PROMPT), [Answer(ANSWER)], []),
    "stale response": (
        lambda client: client.responses.create(model="both", input=PROMPT, previous_response_id=RESPONSE),
        [Status(404, PROVIDERS_ERROR)],
        [],
    ),
}

BY_THREADS = ("whole", "left to a person", "cut stream", "all down", "broken contract", "another model")
"""The cases that are played by a synchronous client too: its errors and streams come through another thread."""


@dataclass
class Everything:
    """All that could hold a text: what each sink got, and what the app caught."""

    ledger: Path
    lines: list[logging.LogRecord] = field(default_factory=list)
    written: io.StringIO = field(default_factory=io.StringIO)
    records: list[Call | Score] = field(default_factory=list)
    spans: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    metrics: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)
    registry: prometheus_client.CollectorRegistry = field(default_factory=prometheus_client.CollectorRegistry)
    errors: list[BaseException] = field(default_factory=list)
    scopes: list[Scope] = field(default_factory=list)
    seen: list[object] = field(default_factory=list)

    def texts(self) -> Iterator[tuple[str, str]]:
        """Each text with where it was found."""
        for line in self.lines:
            yield "the log", f"{line.getMessage()} {vars(line)!r}"
        yield "the JSON lines", self.written.getvalue()
        for record in self.records:
            yield "a record", f"{record!r} {record.explain() if isinstance(record, Call) else ''}"
            yield "a record's pickle", pickle.dumps(record).decode("latin-1")
        for span in self.spans.get_finished_spans():
            yield "a span", span.to_json()
        data = self.metrics.get_metrics_data()
        yield "the metrics", "" if data is None else data.to_json()
        yield "Prometheus", prometheus_client.generate_latest(self.registry).decode()
        for path in self.ledger.parent.glob(f"{self.ledger.name}*"):
            yield f"the ledger ({path.name})", path.read_bytes().decode("latin-1")
        for error in self.errors:
            yield from _of_error(error)
        for scope in self.scopes:
            yield "a scope", repr(scope)
        yield "what a person sees, unless it is asked for", repr(self.seen)


def _of_error(error: BaseException) -> Iterator[tuple[str, str]]:
    name = type(error).__name__
    yield f"{name}", f"{error} {error!r} {error.args!r} {vars(error)!r}"
    yield f"{name}'s traceback", "".join(traceback.format_exception(error))
    yield f"{name}'s pickle", pickle.dumps(error).decode("latin-1")


class Keeping(logging.Handler):
    """Keeps all lines."""

    def __init__(self, into: list[logging.LogRecord]) -> None:
        super().__init__()
        self.into = into

    def emit(self, record: logging.LogRecord) -> None:
        self.into.append(record)


class Kept:
    """A sink of the app's own."""

    def __init__(self, into: list[Call | Score]) -> None:
        self.into = into

    def write(self, batch: Sequence[Call | Score]) -> None:
        self.into += batch

    def close(self) -> None: ...


@pytest.fixture
def everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Everything]:
    """All loggers at DEBUG, OpenTelemetry's SDK, and the keys where the config looks for them."""
    monkeypatch.setenv("CANARY_KEY", KEY)
    monkeypatch.setenv("SECRET", "canary-secret")
    monkeypatch.setenv("STORAGE_KEY", "Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5MTI=")
    found = Everything(tmp_path / "ledger.db")
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(found.spans))
    meters = MeterProvider([found.metrics])
    monkeypatch.setattr("lanewise._runtime.sinks.TracingSink", lambda: TracingSink(provider, meters))
    own, as_json = Keeping(found.lines), logging.StreamHandler(found.written)
    as_json.setFormatter(JsonFormatter())
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(own)
    root.addHandler(as_json)
    # The SDK's own debug lines quote the request before it comes to us: whoever asks for them gets them.
    monkeypatch.setattr(logging.getLogger("openai"), "level", logging.INFO)
    yield found
    root.removeHandler(own)
    root.removeHandler(as_json)
    root.setLevel(level)


@pytest.fixture
def providers() -> Iterator[tuple[FakeProvider, FakeProvider]]:
    with FakeProvider() as first, FakeProvider() as second:
        yield first, second


def config(first: FakeProvider, second: FakeProvider, ledger: Path) -> dict[str, object]:
    """Everything switched on."""
    price = {"input": 1.0, "output": 2.0}
    task = {"deadline": "4s", "primary": "first", "equivalent": "second"}
    return {
        "router": {
            "ledger": f"sqlite:///{ledger}",
            "secret_env": "SECRET",
            "storage_key_env": "STORAGE_KEY",
            "replay": "1h",
            "opentelemetry": True,
        },
        "providers": {
            "one": {"base_url": first.base_url, "api_key_env": "CANARY_KEY", "headers": {"X-Tenant": "canary-tenant"}},
            "two": {"base_url": second.base_url, "api_key_env": "CANARY_KEY", "query": {"v": "canary-query"}},
        },
        "routes": {
            "first": {"provider": "one", "model": MODEL, "timeout": "0.6s", "price": price, "context_window": 9000},
            "second": {"provider": "two", "model": BACKUP, "timeout": "0.6s", "drop": ["temperature"]},
        },
        "tasks": {
            "both": {**task, "alert_cost_per_day": "0.00001 USD"},
            "again": task,
            "secret": {**task, "sensitive": "payment"},
            "asked": {**task, "sensitive": "medical"},
        },
        "sensitive": {
            "payment": {"routes": ["first"]},
            "medical": {"routes": ["first"], "on_failure": "review", "review_routes": ["second"]},
        },
    }


async def play(router: Router, case: str, client: str, everything: Everything) -> None:
    """One case, by the client of a scope of its own; what the app would have to catch is kept."""
    use = CASES[case][0]
    request_id = f"req-{case.replace(' ', '-')}-42"
    with router.scope(request_id=request_id, subject=SUBJECT, review={"ticket": "canary-ticket"}) as scope:
        everything.scopes.append(scope)
        try:
            if client == "sync":
                await anyio.to_thread.run_sync(lambda: _read(use(scope.openai)))
            else:
                reply = await use(scope.async_openai)
                if isinstance(reply, openai.AsyncStream):
                    async for _ in reply:
                        pass
        except openai.OpenAIError as error:
            everything.errors.append(error)
            if isinstance(error, ReviewPending):
                await decide(router, str(error.review_id), everything)
        for call in scope.calls:
            router.score(call.id, 0.5, name="helpful")


async def decide(router: Router, review_id: str, everything: Everything) -> None:
    """A person waits for the draft, looks at it, and writes the answer."""
    with anyio.fail_after(LONG_ENOUGH):
        while not (review := await router.reviews.get(review_id)).has_draft:
            await anyio.sleep(0.02)
    case = await router.reviews.case(review_id)
    assert case.draft is not None
    assert CANARY in case.draft.text
    decided = await router.reviews.approve(review_id, by="Ada", answer=ANSWER)
    everything.seen += [review, case, case.draft, decided]


def _read(reply: Any) -> None:
    if isinstance(reply, openai.Stream):
        for _ in reply:
            pass


@pytest.mark.parametrize("client", ["async", "sync"])
async def test_nothing_of_a_call_gets_anywhere(
    client: str, everything: Everything, providers: tuple[FakeProvider, FakeProvider]
) -> None:
    """Neither into the log, a span, a metric, an exception, a pickle nor a table: all cases, then all is searched."""
    first, second = providers
    for case in CASES if client == "async" else BY_THREADS:
        _, firsts, seconds = CASES[case]
        first.script(MODEL, *firsts or [Answer(ANSWER)])
        second.script(BACKUP, *seconds or [Answer(ANSWER)])
        router = Router.from_mapping(config(first, second, everything.ledger))  # anew: what failed before is forgotten
        router.add_sink("kept", lambda: Kept(everything.records))
        router.add_sink("Prometheus", lambda: PrometheusSink(everything.registry))
        router.on_call(_spoil)
        router.on_review(_spoil_review)
        async with router:
            await play(router, case, client, everything)
            if case == "given again":
                await play(router, case, client, everything)

    assert any(CANARY in received.body.decode() for received in [*first.journal, *second.journal])
    found = [(where, text) for where, text in everything.texts() if CANARY in text.lower()]
    assert not found, "\n".join(f"{where}: {_around(text)}" for where, text in found)
    _check_that_there_was_something_to_find(everything)


def _spoil(call: Call) -> None:
    raise LookupError(f"the app's own hook can't do with {call.task}")


def _spoil_review(review: Review) -> None:
    raise LookupError(f"the app's own hook can't do with {review.data}")


def _around(text: str) -> str:
    at = text.lower().index(CANARY)
    return text[max(0, at - 200) : at + 100]


def _check_that_there_was_something_to_find(everything: Everything) -> None:
    """All sinks heard of all calls, and the app caught errors of many kinds."""
    calls = [record for record in everything.records if isinstance(record, Call)]
    assert len(calls) >= len(BY_THREADS)
    outcomes = {str(call.outcome) for call in calls}
    assert {"answered", "failed", "refused", "pending_review"} <= outcomes
    assert everything.seen
    assert len({type(error).__name__ for error in everything.errors}) >= 4
    assert len([line for line in everything.lines if line.name == "lanewise"]) > 2 * len(calls)
    assert len(everything.spans.get_finished_spans()) > len(calls)
    assert b"lanewise_call_seconds_count" in prometheus_client.generate_latest(everything.registry)
    assert everything.metrics.get_metrics_data() is not None
    assert calls[0].id.encode() in everything.ledger.read_bytes()
