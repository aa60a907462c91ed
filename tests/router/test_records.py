"""The record of a call: what each attempt used and cost, what may yet be billed, and who hears of it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from busy_machine import LONG_ENOUGH, until
from lanewise import Call, ConfigError, CostStatus, Router, Score
from lanewise.testing import Answer, JsonBody, Silence, Status, StreamOf
from router.driving import (
    FIRST_MODEL,
    FORMS,
    STREAMS,
    WHOLE,
    Form,
    Stage,
    ask,
    ask_in,
    config,
    using,
)

pytestmark = pytest.mark.anyio

each_form = pytest.mark.parametrize("form", FORMS, ids=str)
PRICE = {"input": 2.0, "output": 10.0, "cached_input": 0.5}
USAGE = {
    "prompt_tokens": 1000,
    "completion_tokens": 100,
    "prompt_tokens_details": {"cached_tokens": 400},
    "completion_tokens_details": {"reasoning_tokens": 60},
}


def priced(stage: Stage, **options: Any) -> dict[str, object]:
    return config(stage, first={"price": PRICE, **options}, second={"price": PRICE})


def whole(**more: object) -> JsonBody:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Fine."}, "finish_reason": "stop"}
    return JsonBody(
        {"id": "c", "object": "chat.completion", "created": 1, "model": FIRST_MODEL, "choices": [choice], **more}
    )


@each_form
async def test_an_answers_cost_is_known_by_its_usage(form: Form, stage: Stage) -> None:
    """Streams too, whose usage we ask for."""
    stage.first.script(FIRST_MODEL, Answer(usage=(1000, 100)) if not form.stream else StreamOf(usage=(1000, 100)))
    async with Router.from_mapping(priced(stage)) as router:
        got = await ask(router, form)
    (attempt,) = got.call.attempts
    assert (attempt.input_tokens, attempt.output_tokens, attempt.tokens_estimated) == (1000, 100, False)
    assert attempt.cost_usd == pytest.approx(0.003)
    assert (attempt.cost_status, attempt.cost_upper_usd) == (CostStatus.KNOWN, None)
    assert attempt.first_byte_ms is not None
    assert attempt.total_ms is not None
    assert (attempt.first_content_ms is not None) is form.stream
    assert got.call.cost_usd == attempt.cost_usd


@pytest.mark.parametrize("form", WHOLE, ids=str)
async def test_cached_and_reasoning_tokens_are_kept_apart(form: Form, stage: Stage) -> None:
    """Cached ones have a price of their own; reasoning is paid as output."""
    stage.first.script(FIRST_MODEL, whole(usage=USAGE))
    async with Router.from_mapping(priced(stage)) as router:
        got = await ask(router, form)
    (attempt,) = got.call.attempts
    assert (attempt.cached_tokens, attempt.reasoning_tokens) == (400, 60)
    assert attempt.cost_usd == pytest.approx((600 * 2 + 400 * 0.5 + 100 * 10) / 1e6)


@each_form
async def test_tokens_that_nobody_counted_are_estimated_and_marked(form: Form, stage: Stage) -> None:
    """By the bytes of the request and of the answer."""
    text = "All is well with your parcel, it comes on Monday. " * 4
    stage.first.script(
        FIRST_MODEL, StreamOf(chunks=[text[:100], text[100:]], usage=None) if form.stream else Answer(text, usage=None)
    )
    async with Router.from_mapping(priced(stage)) as router:
        got = await ask(router, form)
    (attempt,) = got.call.attempts
    assert attempt.tokens_estimated
    assert attempt.output_tokens == pytest.approx(len(text) / 4.7, rel=0.1)
    assert attempt.input_tokens is not None
    assert 10 < attempt.input_tokens < 100
    assert attempt.cost_status is CostStatus.ESTIMATED
    assert attempt.cost_usd


async def test_an_estimate_takes_no_image_for_text(stage: Stage) -> None:
    """Written into the body it would be a hundred times the question, and raise an alert of its cost."""
    stage.first.script(FIRST_MODEL, Answer("A parcel.", usage=None))
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{'A' * 300_000}"}}
    content = [{"type": "text", "text": "What is this?"}, image]
    async with Router.from_mapping(priced(stage)) as router:
        got = await ask(router, Form("async"), messages=[{"role": "user", "content": content}])
    (attempt,) = got.call.attempts
    assert attempt.tokens_estimated
    assert attempt.input_tokens is not None
    assert 10 < attempt.input_tokens < 100


@each_form
async def test_a_cost_that_is_not_known_is_none(form: Form, stage: Stage) -> None:
    """A loopback provider is in no price list: never 0."""
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form)
    (attempt,) = got.call.attempts
    assert attempt.input_tokens
    assert (attempt.cost_usd, attempt.cost_status) == (None, CostStatus.UNKNOWN)
    assert got.call.cost_usd is None


@each_form
async def test_a_silent_attempt_may_be_billed(form: Form, stage: Stage) -> None:
    """Its cost is unknown, and at the most what the app's cap on the answer allows."""
    stage.first.script(FIRST_MODEL, Silence())
    async with Router.from_mapping(priced(stage, timeout="0.4s")) as router:
        got = await ask(router, form, max_tokens=500)
    silent, answered = got.call.attempts
    assert (silent.cost_usd, silent.cost_status) == (None, CostStatus.UNKNOWN)
    assert silent.cost_upper_usd == pytest.approx(500 * 10 / 1e6, rel=0.2)
    assert answered.cost_status is CostStatus.KNOWN
    assert got.call.cost_usd == answered.cost_usd


async def test_an_upper_estimate_goes_by_the_route_where_the_app_has_no_cap(stage: Stage) -> None:
    """By what it can answer with, else by its window; unknown where nothing bounds it."""
    for options, upper in ({"max_output": 4000}, 0.04), ({"context_window": 8000}, 0.08), ({}, None):
        stage.first.script(FIRST_MODEL, Silence())
        async with Router.from_mapping(priced(stage, timeout="0.3s", **options)) as router:
            got = await ask(router, Form("async"))
        assert got.call.attempts[0].cost_upper_usd == (None if upper is None else pytest.approx(upper, rel=0.05))


@pytest.mark.parametrize("form", STREAMS, ids=str)
async def test_a_cut_stream_may_be_billed(form: Form, stage: Stage) -> None:
    """However much of it came."""
    stage.first.script(FIRST_MODEL, StreamOf(interval=0.02, cut_after=3))
    async with Router.from_mapping(priced(stage)) as router:
        got = await ask(router, form, max_tokens=500)
    (attempt,) = got.call.attempts
    assert got.error is not None
    assert (attempt.cost_usd, attempt.cost_status) == (None, CostStatus.UNKNOWN)
    assert attempt.cost_upper_usd is not None
    assert attempt.first_content_ms is not None
    assert attempt.total_ms is not None
    assert attempt.total_ms > attempt.first_content_ms


@each_form
@pytest.mark.usefixtures("hurried")
async def test_a_refusal_costs_nothing(form: Form, stage: Stage) -> None:
    """A 429 and a 500 are answers for which no provider sends a bill."""
    stage.first.script(FIRST_MODEL, Status(429, retry_after=30))
    async with Router.from_mapping(priced(stage)) as router:
        got = await ask(router, form)
    refused, answered = got.call.attempts
    assert (refused.cost_usd, refused.cost_status, refused.cost_upper_usd) == (None, CostStatus.NOT_BILLED, None)
    assert answered.cost_status is CostStatus.KNOWN


async def test_embeddings_have_no_output(stage: Stage) -> None:
    """Their cost is that of their input."""
    async with Router.from_mapping(priced(stage)) as router:
        scope = router.scope()
        await using(scope, "async", lambda client: client.embeddings.create(model="both", input="where is it?"))
    (attempt,) = scope.calls[0].attempts
    assert attempt.output_tokens == 0
    assert attempt.input_tokens
    assert attempt.cost_usd == pytest.approx(attempt.input_tokens * 2 / 1e6)


@each_form
async def test_hooks_hear_of_each_call_once_it_has_ended(form: Form, stage: Stage) -> None:
    """With its whole record, also of those that failed; what one hook raises keeps nothing from another."""
    heard: list[Call] = []
    router = Router.from_mapping(priced(stage))

    @router.on_call
    def spoil(call: Call) -> None:
        raise LookupError("the app's own mistake")

    @router.on_call
    def hear(call: Call) -> None:
        heard.append(call)

    async with router:
        first = await ask(router, form)
        stage.first.script(FIRST_MODEL, Status(400))
        second = await ask(router, form)
    assert heard == [first.call, second.call]
    assert second.error is not None
    assert all(call.outcome is not None for call in heard)


async def test_a_hanging_hook_holds_up_no_request(stage: Stage) -> None:
    """It has a thread of its own, and so has each other."""
    may_end = threading.Event()
    done: list[str] = []
    router = Router.from_mapping(priced(stage))
    router.on_call(lambda call: may_end.wait(LONG_ENOUGH) and None)
    router.on_call(lambda call: done.append(call.id))
    async with router:
        begun = time.monotonic()
        for _ in range(3):
            await ask(router, Form("async"))
        assert time.monotonic() - begun < 15
        await anyio.to_thread.run_sync(until, lambda: len(done) == 3)
        may_end.set()


def test_an_async_hook_is_refused(stage: Stage) -> None:
    """Nothing would wait for it."""
    router = Router.from_mapping(config(stage))

    async def hook(call: Call) -> None: ...

    with pytest.raises(TypeError, match="plain function"):
        router.on_call(hook)  # type: ignore[arg-type]


async def test_a_record_tells_the_user_only_by_a_keyed_hash(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same user has the same hash under one secret, another under another, and none without."""
    monkeypatch.setenv("SECRET", "canary-secret")
    hashes = []
    for more in {"router": {"secret_env": "SECRET"}}, {"router": {"secret_env": "SECRET"}}, {}:
        async with Router.from_mapping(config(stage, more=more)) as router:
            with router.scope(subject="canary-user", labels={"size": "short"}) as scope:
                await ask_in(scope, Form("async"))
        (call,) = scope.calls
        assert "canary" not in repr(call)
        assert call.labels == (("size", "short"),)
        hashes.append(call.subject_hash)
    assert hashes[0] == hashes[1] != None  # noqa: E711
    assert hashes[2] is None


def alerted(stage: Stage, alert: str = "0.005 USD") -> dict[str, object]:
    return config(stage, first={"price": PRICE}, second={"price": PRICE}, task={"alert_cost_per_day": alert})


async def test_a_task_that_costs_too_much_is_told_at_once_and_once_a_day(
    stage: Stage, caplog: pytest.LogCaptureFixture, time_machine: Any
) -> None:
    """The day is UTC's: after midnight it begins anew."""
    caplog.set_level(logging.INFO)
    stage.first.script(FIRST_MODEL, Answer(usage=(1000, 100)))
    time_machine.move_to(datetime(2026, 11, 27, 23, 59, tzinfo=UTC))
    async with Router.from_mapping(alerted(stage)) as router:
        for call in range(6):
            if call == 3:
                time_machine.move_to(datetime(2026, 11, 28, 0, 1, tzinfo=UTC))
            await ask(router, Form("async"))
            await ask(router, Form("async"), "alone")  # costs as much, and has no alert
    told = [line.message for line in caplog.records if line.levelno == logging.WARNING]
    assert told == 2 * [
        "both has cost 0.006 USD today (UTC), over its alert_cost_per_day of 0.005 USD, in this process alone"
    ]


async def test_an_alert_that_can_not_count_everything_says_so(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Where a price is not known, when the router opens."""
    more = {"task": {"alert_cost_per_day": "20 USD"}}
    async with Router.from_mapping(config(stage, first={"price": PRICE}, **more)):  # type: ignore[arg-type]
        pass
    assert "tasks.both.alert_cost_per_day: the price of second is not known" in caplog.text


@pytest.mark.parametrize("amount", ["20", "20 EUR", "-1 USD", "inf USD", True, float("nan"), "USD"])
def test_an_amount_that_is_none_is_refused(amount: object, stage: Stage) -> None:
    """With what to write."""
    with pytest.raises(ConfigError, match="20 USD"):
        Router.from_mapping(config(stage, task={"alert_cost_per_day": amount}))


class Kept:
    """A sink that keeps all records."""

    def __init__(self) -> None:
        self.records: list[Call | Score] = []

    def write(self, batch: Sequence[Call | Score]) -> None:
        self.records += batch

    def close(self) -> None: ...


async def test_scores_go_where_calls_go_also_in_a_later_request(stage: Stage) -> None:
    """By the call's id alone, through any router that is open."""
    kept = Kept()
    first, second = Router.from_mapping(config(stage)), Router.from_mapping(config(stage))
    second.add_sink("kept", lambda: kept)
    async with first, second:
        got = await ask(first, Form("async"))
        with_headers = await using(
            first.scope(),
            "async",
            lambda client: client.chat.completions.with_raw_response.create(
                model="both", messages=[{"role": "user", "content": "?"}]
            ),
        )
        second.score(got.call.id, 0.8, name="helpful")
        second.score(with_headers.headers["x-lanewise-call-id"], True, name="thumb")
    helpful, thumb = kept.records
    assert isinstance(helpful, Score)
    assert isinstance(thumb, Score)
    assert (helpful.call_id, helpful.name, helpful.value) == (got.call.id, "helpful", 0.8)
    assert thumb.value == 1.0
    assert helpful.at.tzinfo is UTC


@pytest.mark.parametrize(
    ("call_id", "value", "name"),
    [("x", 1.0, "a"), ("one two three", 1.0, "a"), ("0" * 36, float("nan"), "a"), ("0" * 36, 1.0, "a b")],
)
async def test_a_score_that_says_nothing_is_refused(call_id: str, value: float, name: str, stage: Stage) -> None:
    """Before anything of it is kept."""
    async with Router.from_mapping(config(stage)) as router:
        with pytest.raises(ValueError, match=r"id|finite|name"):
            router.score(call_id, value, name=name)
        with pytest.raises(TypeError):
            router.score("0" * 36, "good", name="a")  # type: ignore[arg-type]


async def test_a_sink_that_hangs_or_raises_is_not_the_requests_business(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor another sink's; what was lost is counted in the log."""

    class Raising(Kept):
        def write(self, batch: Sequence[Call | Score]) -> None:
            raise OSError("canary")

    may_end = threading.Event()

    class Hanging(Kept):
        def write(self, batch: Sequence[Call | Score]) -> None:
            may_end.wait(LONG_ENOUGH)

    kept = Kept()
    router = Router.from_mapping(config(stage))
    router.add_sink("raising", Raising)
    router.add_sink("hanging", Hanging)
    router.add_sink("kept", lambda: kept)
    async with router:
        begun = time.monotonic()
        for _ in range(5):
            assert (await ask(router, Form("async"))).error is None
        assert time.monotonic() - begun < 15
        await anyio.to_thread.run_sync(until, lambda: len(kept.records) == 5)
        may_end.set()
    line = "did not get into raising (it raised OSError), 5 since the process started"
    await anyio.to_thread.run_sync(until, lambda: line in caplog.text)  # by a thread of its own
    assert "canary" not in caplog.text
