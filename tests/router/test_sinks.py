"""Where records go beside the log: OpenTelemetry's spans and metrics, and Prometheus."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import REGISTRY, CollectorRegistry

from lanewise import Call, ConfigError, Router, Score
from lanewise._telemetry.prometheus import PrometheusSink
from lanewise.testing import Status
from router.driving import FIRST_MODEL, FORMS, REQUEST_ID, SECOND_MODEL, Form, Stage, ask, config

pytestmark = pytest.mark.anyio

each_form = pytest.mark.parametrize("form", FORMS, ids=str)
PRICE = {"input": 2.0, "output": 10.0}


@dataclass(frozen=True)
class Telemetry:
    """OpenTelemetry's SDK, exporting into memory."""

    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader

    def spans(self) -> list[ReadableSpan]:
        return sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def points(self) -> dict[str, list[Any]]:
        data = self.reader.get_metrics_data()
        return {
            metric.name: list(metric.data.data_points)
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture(scope="module")
def sdk() -> Telemetry:
    """The process's own, as an app sets it up: once."""
    told = Telemetry(InMemorySpanExporter(), InMemoryMetricReader())
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(told.exporter))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([told.reader]))
    return told


@pytest.fixture
def told(sdk: Telemetry) -> Iterator[Telemetry]:
    sdk.exporter.clear()
    yield sdk
    sdk.exporter.clear()


def traced(stage: Stage, **router: object) -> dict[str, object]:
    return config(
        stage,
        first={"price": PRICE},
        second={"price": PRICE},
        more={"router": {"opentelemetry": True, **router}},
    )


@each_form
async def test_a_call_is_a_span_and_each_attempt_one_below_it(form: Form, stage: Stage, told: Telemetry) -> None:
    """Under the span of the request, from threads too, with the conventions' names and the record's times."""
    stage.first.script(FIRST_MODEL, Status(429, retry_after=30))
    async with Router.from_mapping(traced(stage)) as router:
        with trace.get_tracer("app").start_as_current_span("request") as request:
            got = await ask(router, form)

    spans = {span.name: span for span in told.spans()}
    assert set(spans) == {"request", "call both", f"chat {FIRST_MODEL}", f"chat {SECOND_MODEL}"}
    call, refused, answered = spans["call both"], spans[f"chat {FIRST_MODEL}"], spans[f"chat {SECOND_MODEL}"]
    assert parent_of(call) == request.get_span_context().span_id
    assert parent_of(refused) == parent_of(answered) == id_of(call)
    assert (call.kind, answered.kind) == (SpanKind.INTERNAL, SpanKind.CLIENT)
    assert (call.status.status_code, refused.status.status_code) == (StatusCode.UNSET, StatusCode.ERROR)

    facts = dict(call.attributes or {})
    assert (facts["lanewise.call.id"], facts["lanewise.request.id"]) == (got.call.id, REQUEST_ID)
    assert (facts["lanewise.task"], facts["lanewise.route"], facts["lanewise.lane"]) == (
        "both", "second", "equivalent"
    )  # fmt: skip
    assert facts["lanewise.outcome"] == "answered"
    facts = dict(refused.attributes or {})
    assert (facts["error.type"], facts["http.response.status_code"]) == ("rate_limit", 429)
    assert facts["lanewise.cost.status"] == "not_billed"
    facts = dict(answered.attributes or {})
    assert (facts["gen_ai.operation.name"], facts["gen_ai.provider.name"]) == ("chat", "openai")
    assert (facts["gen_ai.request.model"], facts["gen_ai.response.model"]) == (SECOND_MODEL, SECOND_MODEL)
    assert (facts["gen_ai.usage.input_tokens"], facts["gen_ai.usage.output_tokens"]) == (12, 5)
    assert facts["server.address"] == "127.0.0.1"
    assert facts["lanewise.cost.usd"] == pytest.approx((12 * 2 + 5 * 10) / 1e6)
    assert ("gen_ai.response.time_to_first_chunk" in facts) is form.stream
    assert seconds_of(answered) == pytest.approx((got.call.attempts[1].total_ms or 0) / 1000, abs=0.001)
    assert seconds_of(call) == pytest.approx((got.call.total_ms or 0) / 1000, abs=0.001)


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def id_of(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.span_id


def seconds_of(span: ReadableSpan) -> float:
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e9


async def test_a_call_that_failed_is_an_error(stage: Stage, told: Telemetry) -> None:
    """With the failure as its type."""
    stage.first.script(FIRST_MODEL, Status(400))
    async with Router.from_mapping(traced(stage)) as router:
        await ask(router, Form("async"))
    call = next(span for span in told.spans() if span.name == "call both")
    assert call.status.status_code is StatusCode.ERROR
    assert call.status.description == "bad_request"
    assert dict(call.attributes or {})["error.type"] == "bad_request"


async def test_durations_tokens_costs_and_scores_are_metrics(stage: Stage, told: Telemetry) -> None:
    """By the conventions' names where they have one."""
    async with Router.from_mapping(traced(stage)) as router:
        got = await ask(router, Form("async", stream=True))
        router.score(got.call.id, 0.8, name="helpful")
    points = told.points()
    assert {"gen_ai.client.operation.duration", "gen_ai.client.operation.time_to_first_chunk"} <= set(points)
    assert {"lanewise.call.duration", "lanewise.cost", "lanewise.score"} <= set(points)
    tokens = {
        point.attributes["gen_ai.token.type"]: point
        for point in points["gen_ai.client.token.usage"]
        if point.attributes["lanewise.route"] == "first"
    }
    assert tokens["input"].sum % 12 == 0
    assert tokens["output"].sum % 5 == 0
    assert list(tokens["input"].explicit_bounds)[:4] == [1, 4, 16, 64]


async def test_breakers_that_open_are_a_metric(stage: Stage, told: Telemetry) -> None:
    """With whose they are."""
    stage.first.script(FIRST_MODEL, Status(404, error={"code": "model_not_found"}))
    async with Router.from_mapping(traced(stage)) as router:
        await ask(router, Form("async"))
    attributes = [dict(point.attributes) for point in told.points()["lanewise.breaker.changes"]]
    opened = {"lanewise.breaker.state": "open", "lanewise.route": "first", "lanewise.api": "chat"}
    assert {**opened, "lanewise.account": "first-provider", "error.type": "model_missing"} in attributes


async def test_without_the_setting_nothing_is_traced(stage: Stage, told: Telemetry) -> None:
    """An app that has OpenTelemetry for other things is asked first."""
    async with Router.from_mapping(config(stage)) as router:
        await ask(router, Form("async"))
    assert told.spans() == []


@pytest.mark.parametrize(
    ("key", "package", "extra"),
    [("opentelemetry", "opentelemetry.trace", "otel"), ("prometheus", "prometheus_client", "prometheus")],
)
def test_a_missing_package_is_told_with_its_extra(
    key: str, package: str, extra: str, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the router opens, and not at the first call."""
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr("lanewise.config.environment.credentials.find_spec", lambda name: None)
    router = Router.from_mapping(config(stage, more={"router": {key: True}}))
    with pytest.raises(ConfigError, match=rf"lanewise\[{extra}\]"):
        router.__enter__()


@each_form
async def test_prometheus_counts_calls_attempts_tokens_and_costs(form: Form, stage: Stage) -> None:
    """In the default registry, which all routers of a process share."""
    stage.first.script(FIRST_MODEL, Status(429, retry_after=30))
    priced = config(stage, first={"price": PRICE}, second={"price": PRICE}, more={"router": {"prometheus": True}})
    before = {name: value(REGISTRY, name, **labels) for name, labels in COUNTED.items()}
    async with Router.from_mapping(priced) as router, Router.from_mapping(priced) as other:
        await ask(router, form)
        await ask(other, form, "alone")
    after = {name: value(REGISTRY, name, **labels) for name, labels in COUNTED.items()}
    grown = {name: after[name] - before[name] for name in COUNTED}
    assert grown == {
        "lanewise_call_seconds_count": 1,
        "lanewise_attempt_seconds_count": 1,
        "lanewise_tokens_total": 12,
        "lanewise_cost_usd_total": pytest.approx(74e-6),
    }


COUNTED = {
    "lanewise_call_seconds_count": {
        "task": "both", "lane": "equivalent", "route": "second", "outcome": "answered", "failure": ""
    },
    "lanewise_attempt_seconds_count": {
        "task": "both", "lane": "primary", "route": "first", "failure": "rate_limit"
    },
    "lanewise_tokens_total": {"task": "both", "route": "second", "type": "input", "counted": "provider"},
    "lanewise_cost_usd_total": {"task": "both", "route": "second", "status": "known"},
}  # fmt: skip


def value(registry: CollectorRegistry, name: str, /, **labels: str) -> float:
    return registry.get_sample_value(name, labels) or 0.0


async def test_a_sink_may_count_into_another_registry(stage: Stage) -> None:
    """Of the app's own, as any sink is added; scores are counted too."""
    registry = CollectorRegistry()
    router = Router.from_mapping(config(stage))
    router.add_sink("our metrics", lambda: PrometheusSink(registry))
    async with router:
        got = await ask(router, Form("async"))
        router.score(got.call.id, 0.25, name="helpful")
    assert value(registry, "lanewise_score_sum", name="helpful") == 0.25
    assert value(registry, "lanewise_attempts_of_unknown_cost_total", task="both", route="first") == 1


async def test_all_sinks_hear_of_the_same_call(stage: Stage) -> None:
    """A record is one object: what one sink sees, each sees."""
    kept: list[list[Call | Score]] = [[], []]

    class Kept:
        def __init__(self, into: list[Call | Score]) -> None:
            self.into = into

        def write(self, batch: Any) -> None:
            self.into += batch

        def close(self) -> None: ...

    router = Router.from_mapping(config(stage))
    for into in kept:
        router.add_sink("kept", lambda into=into: Kept(into))
    async with router:
        got = await ask(router, Form("async"))
    assert kept == [[got.call], [got.call]]
