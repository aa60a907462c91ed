"""Rows of the failure table that take more than a provider's behaviour: broken connections, clocks, callers."""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from typing import Any

import anyio
import anyio.abc
import openai
import pytest
import trustme

from busy_machine import until
from lanewise import (
    BadResponse,
    Config,
    DeadlineExceeded,
    FailClosed,
    FailureKind,
    HealthState,
    InvalidCall,
    Outcome,
    Router,
    StreamBroken,
    Unreachable,
)
from lanewise._transport.aiohttp_exchange import AiohttpExchange
from lanewise.config import Provider
from lanewise.testing import (
    Answer,
    Body,
    Drip,
    FakeProvider,
    JsonBody,
    RejectParameters,
    Reset,
    Silence,
    SlowHeaders,
    Status,
    StreamOf,
)
from router.driving import (
    FIRST_MODEL,
    FORMS,
    MESSAGES,
    REQUEST_ID,
    SECOND_MODEL,
    STREAMS,
    WHOLE,
    Form,
    Got,
    Spy,
    Stage,
    ask,
    ask_in,
    config,
    sends_of,
    using,
    waits_of,
)
from router.rows import is_of

pytestmark = pytest.mark.anyio

each_form = pytest.mark.parametrize("form", FORMS, ids=str)
each_client = pytest.mark.parametrize("form", WHOLE, ids=str)
each_stream = pytest.mark.parametrize("form", STREAMS, ids=str)

SHOWN = {
    "local": "test_what_cannot_be_written_as_http_is_sent_nowhere",
    "key-unavailable": "test_a_key_function_that_fails_takes_the_next_route",
    "over-budget": "test_a_budget_that_is_used_up_ends_the_call_without_asking_anybody",
    "capped": "test_a_cap_of_our_own_takes_the_next_route_without_asking_the_first",
    "too-long": "test_a_question_too_long_for_every_route_is_sent_nowhere",
    "bound-gone": "test_a_call_whose_memory_is_out_of_reach_is_sent_nowhere",
    "no-room": "test_a_route_whose_limits_leave_no_room_is_left_alone_before_it_says_429",
    "hedged": "test_a_hedge_that_answers_first_is_the_answer",
    "cancelled": "test_a_caller_that_goes_away_ends_the_upstream_exchange",
    "deadline": "test_the_deadline_of_the_call_ends_it",
    "deadline-long": "test_the_deadline_of_the_call_ends_it",
    "unreachable": "test_a_refused_connection_is_tried_again_at_once_and_then_left",
    "connect-timeout": "test_a_connection_that_is_not_made_in_time_is_not_tried_again_there",
    "slow": "test_a_route_that_answers_slowly_is_left_for_one_that_does_not",
    "silent": "test_a_provider_that_hangs_is_found_by_few",
    "stale-connection": "test_a_stale_connection_costs_a_fresh_one_and_no_wait",
    "tls": "test_a_wrong_certificate_takes_the_next_route",
    "timeout-short": "test_a_time_out_shorter_than_half_the_normal_one_says_nothing_of_the_route",
    "unsupported-parameter": "test_a_parameter_that_is_refused_is_left_out_once_and_from_then_on",
    "not-found-bound": "test_a_stale_response_id_is_the_apps_to_hear_of",
    "empty-embeddings": "test_an_empty_list_of_embeddings_is_no_answer",
    "stream-error-late": "test_an_error_event_after_the_commit_breaks_the_stream",
    "stalled": "test_a_stall_after_the_commit_breaks_the_stream",
    "content-filtered": "test_a_refusal_moves_only_into_a_lane_that_lists_it",
    "in-doubt": "test_what_decides_in_an_answer_to_a_sensitive_call_is_beyond_doubt",
    "unforeseen": "test_what_nobody_foresaw_is_a_failure_of_the_attempt",
    "substituted": "test_a_substituted_model_is_not_taken_for_a_sensitive_call",
}
"""The row and the test that shows it."""


@each_form
async def test_what_cannot_be_written_as_http_is_sent_nowhere(form: Form, stage: Stage, spy: type[Spy]) -> None:
    """A header that would smuggle a second one is the app's bug: a bad request, and neither provider hears of it."""
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form, extra_headers={"X-Note": "canary\r\nX-Admin: yes"})

    assert isinstance(got.error, InvalidCall)
    assert isinstance(got.error, openai.BadRequestError)
    assert "canary" not in str(got.error)
    assert stage.received() == []
    is_of(spy.seen[0], "local")


@each_form
async def test_a_key_function_that_fails_takes_the_next_route(
    form: Form, stage: Stage, spy: type[Spy], caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is sent without a key; the log says that somebody has to mend it, without what the function said."""

    def no_key() -> str:
        raise RuntimeError("canary-vault-token")

    mapping = config(stage)
    plain = Config.from_mapping(mapping)
    given: Any = {"base_url": stage.first.base_url, "api_key": no_key}
    first = Provider(**given).named("first-provider")
    wanted = plain.model_copy(update={"providers": {**plain.providers, "first-provider": first}})
    async with Router(wanted) as router:
        got = await ask(router, form)

    assert got.routes == ["first", "second"]
    assert got.text == "Hello from model-two"
    assert stage.first.request_count == 0
    is_of(spy.seen[0], "key-unavailable")
    assert any(record.levelname == "WARNING" and "first" in record.message for record in caplog.records)
    assert "canary" not in caplog.text


@each_form
async def test_a_cap_of_our_own_takes_the_next_route_without_asking_the_first(form: Form, stage: Stage) -> None:
    """What the config says that the account allows is kept to, and the trace names it."""
    mapping = config(stage, first_provider={"rpm": 3}, task={"patience": "10ms"})
    async with Router.from_mapping(mapping) as router:
        for _ in range(3):
            await ask(router, form)
        got = await ask(router, form)

    assert got.routes == ["second"]
    assert got.text == "Hello from model-two"
    assert stage.first.request_count == 3
    assert "rpm = 3" in got.call.explain()


@each_form
async def test_a_budget_that_is_used_up_ends_the_call_without_asking_anybody(form: Form, stage: Stage) -> None:
    """It is the SDK's RateLimitError, which names the budget."""
    mapping = config(stage, more={"budgets": {"free": {"limit": "1 call", "window": "1d"}}})
    async with Router.from_mapping(mapping) as router:
        await ask(router, form)
        got = await ask(router, form)

    assert isinstance(got.error, openai.RateLimitError)
    assert "budget free is used up" in str(got.error)
    assert got.routes == []
    assert stage.first.request_count == 1
    assert stage.second.request_count == 0


@each_form
async def test_a_cap_of_tokens_counts_what_answers_took(form: Form, stage: Stage) -> None:
    """A question of a few bytes may take a minute's tokens: the next one goes elsewhere."""
    took = (6000, 0)
    stage.first.script_all(StreamOf(usage=took) if form.stream else Answer(usage=took))
    mapping = config(stage, first_provider={"tpm": 6000}, task={"patience": "10ms"})
    async with Router.from_mapping(mapping) as router:
        first, second = await ask(router, form), await ask(router, form)

    assert first.routes == ["first"]
    assert second.routes == ["second"]
    assert "tpm = 6000" in second.call.explain()


IMAGE: Any = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBOR" * 40_000}}


@each_form
async def test_an_image_does_not_count_by_its_bytes(form: Form, stage: Stage) -> None:
    """Of 200 kB of base64 no limit says that it is used up: a provider counts an image by its tiles."""
    room = {"x-ratelimit-remaining-tokens": "20000", "x-ratelimit-reset-tokens": "1m0s"}
    stage.first.script_all(StreamOf(headers=room) if form.stream else Answer(headers=room))
    mapping = config(stage, first_provider={"tpm": 30_000}, task={"patience": "10ms"})
    asked: Any = [{"role": "user", "content": [IMAGE]}]
    async with Router.from_mapping(mapping) as router:
        got = [await ask(router, form, messages=asked) for _ in range(2)]

    assert [one.routes for one in got] == [["first"], ["first"]]


@each_form
async def test_one_caller_s_long_question_closes_no_route_to_the_short_ones(form: Form, stage: Stage) -> None:
    """What it left of the tokens a minute is little for another one like it, and plenty for the usual ones."""
    room = {"x-ratelimit-remaining-tokens": "5000", "x-ratelimit-reset-tokens": "1m0s"}
    stage.first.script_all(StreamOf(headers=room) if form.stream else Answer(headers=room))
    long: Any = [{"role": "user", "content": "Where is my parcel? " * 3000}]
    async with Router.from_mapping(config(stage)) as router:
        got = [await ask(router, form), await ask(router, form, messages=long), await ask(router, form)]

    assert [one.routes for one in got] == [["first"]] * 3


@each_form
async def test_a_route_whose_limits_leave_no_room_is_left_alone_before_it_says_429(form: Form, stage: Stage) -> None:
    """The answer counts; the calls after it go elsewhere until the reset, and to the route again if it is alone."""
    full = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m0s"}
    stage.first.script_all(StreamOf(headers=full) if form.stream else Answer(headers=full))
    async with Router.from_mapping(config(stage)) as router:
        first, second, alone = (await ask(router, form), await ask(router, form), await ask(router, form, "alone"))

    assert first.routes == ["first"]
    assert second.routes == ["second"]
    assert alone.routes == ["first"]
    assert alone.error is None


async def test_a_caller_that_goes_away_ends_the_upstream_exchange(stage: Stage) -> None:
    """Cancelling the call closes the exchange, tries nothing else, and is what the record says."""
    stage.first.script(FIRST_MODEL, Silence())
    async with Router.from_mapping(config(stage)) as router:
        scope = router.scope()
        task = asyncio.create_task(scope.async_openai.chat.completions.create(model="both", messages=MESSAGES))
        await anyio.to_thread.run_sync(stage.first.wait_for, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await anyio.to_thread.run_sync(stage.first.wait_until, lambda: stage.first.in_flight == 0)

    call = scope.calls[-1]
    assert (call.outcome, call.failure) == (Outcome.CANCELLED, FailureKind.CANCELLED)
    assert [attempt.failure for attempt in call.attempts] == [FailureKind.CANCELLED]
    assert stage.first.journal[0].client_gone
    assert stage.second.request_count == 0


@each_stream
async def test_a_caller_that_leaves_a_stream_ends_the_upstream_exchange(form: Form, stage: Stage) -> None:
    """Closing a stream before its end closes the exchange: nobody pays for words that nobody reads."""
    stage.first.script(FIRST_MODEL, StreamOf(stall_after=1))
    async with Router.from_mapping(config(stage)) as router:
        scope = router.scope()
        if form.client == "sync":
            await anyio.to_thread.run_sync(_leave_sync, scope.openai)
        else:
            stream = await scope.async_openai.chat.completions.create(model="both", messages=MESSAGES, stream=True)
            await anext(aiter(stream))
            await stream.close()
        await anyio.to_thread.run_sync(stage.first.wait_until, lambda: stage.first.in_flight == 0)

    assert stage.first.journal[0].client_gone
    assert scope.calls[-1].outcome is Outcome.CANCELLED
    assert scope.calls[-1].attempts[0].failure is FailureKind.CANCELLED


def _leave_sync(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model="both", messages=MESSAGES, stream=True)
    next(iter(stream))
    stream.close()


@each_form
async def test_the_deadline_of_the_call_ends_it(form: Form, stage: Stage) -> None:
    """The deadline is one for the whole call: silence, drips and waits don't move it, and nothing is tried after it."""
    for behaviour in (Silence(), Drip(0.02)):
        stage.first.script(FIRST_MODEL, behaviour)
        async with Router.from_mapping(config(stage)) as router:
            got = await ask(router, form, "alone", timeout=1.0)

        assert isinstance(got.error, DeadlineExceeded)
        assert isinstance(got.error, openai.APITimeoutError)
        assert got.call.failure is FailureKind.DEADLINE
        assert len(got.call.attempts) == 1
        assert 950 < (got.call.total_ms or 0) < 8000


@each_form
async def test_a_refused_connection_is_tried_again_at_once_and_then_left(
    form: Form, stage: Stage, spy: type[Spy]
) -> None:
    """Nobody listens: once more at once, then the next route."""
    stage.first.pause()
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form)
        alone = await ask(router, form, "alone", timeout=3.0)

    assert got.routes == ["first", "first", "second"]
    assert waits_of(got.call) == []
    assert got.text == "Hello from model-two"
    is_of(spy.seen[0], "unreachable")
    assert isinstance(alone.error, Unreachable)
    assert isinstance(alone.error, openai.APIConnectionError)
    assert not isinstance(alone.error, openai.APITimeoutError)


@each_form
async def test_a_connection_that_is_not_made_in_time_is_not_tried_again_there(
    form: Form, stage: Stage, spy: type[Spy]
) -> None:
    """While another route is left: a peer that never shakes hands; the last one is tried again."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, _never_answer)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        base = {"base_url": f"https://127.0.0.1:{port}/v1"}
        async with Router.from_mapping(config(stage, first={"timeout": "0.3s"}, first_provider=base)) as router:
            got = await ask(router, form)
            alone = await ask(router, form, "alone")
        group.cancel_scope.cancel()

    assert got.routes == ["first", "second"]
    is_of(spy.seen[0], "connect-timeout")
    assert alone.routes == ["first"] * 3
    assert isinstance(alone.error, Unreachable)


async def _never_answer(stream: anyio.abc.SocketStream) -> None:
    async with stream:
        await anyio.sleep_forever()


async def test_a_provider_that_hangs_is_found_by_few(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five attempts without a byte: calls that come after that go elsewhere first, and its probe waits no longer."""
    monkeypatch.setattr("lanewise._health.breakers.route_health.LEAST_SILENCE", 0.5)
    stage.first.script_all(Silence())
    health = {"router": {"health": {"break_duration": "3s", "max_break_duration": "3s"}}}
    task = {"deadline": "60s"}
    async with (
        Router.from_mapping(config(stage, first={"timeout": "2.2s"}, task=task, more=health)) as router,
        anyio.create_task_group() as group,
    ):
        for _ in range(5):
            group.start_soon(ask, router, Form("async"))
        await anyio.sleep(1.3)  # longer than the half of the timeout, and well before all of it
        later = await ask(router, Form("async"))
        assert later.routes == ["second"]
        assert re.search(r"is open after timeout \(5 attempts without a byte for \d+\.\d s\)", later.call.explain())
        await anyio.to_thread.run_sync(until, lambda: router.health.routes["first"].state is HealthState.HALF_OPEN)
        probe = await ask(router, Form("async"))

    assert probe.routes == ["first", "second"]
    assert probe.call.attempts[0].total_ms < 2100


@each_form
async def test_a_hedge_that_answers_first_is_the_answer(form: Form, stage: Stage) -> None:
    """What it was to help is closed, and recorded as such."""
    stage.first.script(FIRST_MODEL, SlowHeaders(5.0))
    task = {"hedge": {"after": "30ms", "share": 1.0}}
    async with Router.from_mapping(config(stage, task=task)) as router:
        got = await ask(router, form)

    assert got.text == "Hello from model-two"
    assert [attempt.failure for attempt in got.call.attempts] == ["cancelled", None]


@each_form
async def test_a_route_that_answers_slowly_is_left_for_one_that_does_not(form: Form, stage: Stage) -> None:
    """Its slow answers are delivered; once most of ten were slow, calls go elsewhere first."""
    stage.first.script_all(SlowHeaders(0.05))
    slow = {"router": {"health": {"slow_call": "30ms"}}}
    async with Router.from_mapping(config(stage, more=slow)) as router:
        got = [await ask(router, form) for _ in range(12)]

    assert [each.error for each in got] == [None] * 12
    assert got[9].routes == ["first"]
    assert got[11].routes == ["second"]
    assert "is open after timeout" in got[11].call.explain()


@each_form
async def test_a_stale_connection_costs_a_fresh_one_and_no_wait(form: Form, stage: Stage, spy: type[Spy]) -> None:
    """A kept connection that the peer resets is replaced: the same route, the same key, no wait."""
    stage.first.script(FIRST_MODEL, Answer(), Reset("before_headers"), Answer("fresh"))
    async with Router.from_mapping(config(stage)) as router:
        await ask(router, form)
        got = await ask(router, form)

    assert got.routes == ["first", "first"]
    assert waits_of(got.call) == []
    assert got.text == "fresh"
    is_of(spy.seen[0], "stale-connection")
    _, reset, fresh = stage.first.journal
    assert fresh.connection > reset.connection
    assert fresh.headers["idempotency-key"] == reset.headers["idempotency-key"]


@each_form
async def test_a_wrong_certificate_takes_the_next_route(
    form: Form, stage: Stage, spy: type[Spy], caplog: pytest.LogCaptureFixture
) -> None:
    """A certificate that nobody vouches for is an error for the operator; the prompt does not go out."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with FakeProvider(ssl=context) as untrusted:
        async with Router.from_mapping(config(stage, first_provider={"base_url": untrusted.base_url})) as router:
            got = await ask(router, form)
        async with Router.from_mapping(config(stage, first_provider={"base_url": untrusted.base_url})) as router:
            alone = await ask(router, form, "alone")

    assert got.routes == ["first", "second"]
    assert got.text == "Hello from model-two"
    is_of(spy.seen[0], "tls")
    assert untrusted.request_count == 0
    assert isinstance(alone.error, Unreachable)
    assert any(record.levelname == "ERROR" and "certificate" in record.message for record in caplog.records)


@each_form
async def test_a_time_out_shorter_than_half_the_normal_one_says_nothing_of_the_route(
    form: Form, stage: Stage, spy: type[Spy]
) -> None:
    """The app gave the call less time than the route normally takes: the next route, and no mark on this one."""
    stage.first.script(FIRST_MODEL, Silence())
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form, timeout=0.5)

    assert got.routes == ["first", "second"]
    is_of(spy.seen[0], "timeout-short")
    assert sends_of(got.call)[0].timeout == pytest.approx(0.4, abs=0.05)


@each_form
@pytest.mark.parametrize("style", ["openai", "gemini", "mistral"])
async def test_a_parameter_that_is_refused_is_left_out_once_and_from_then_on(
    form: Form, style: Any, stage: Stage
) -> None:
    """The same route without it, at once; the next call leaves it out from the start, and both say what was dropped."""
    stage.first.script(FIRST_MODEL, RejectParameters("seed", style=style))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form, seed=7, temperature=0.2)
        then = await ask(router, form, seed=7, temperature=0.2)

    assert got.routes == ["first", "first"]
    assert [attempt.dropped for attempt in got.call.attempts] == [(), ("seed",)]
    assert waits_of(got.call) == []
    assert then.routes == ["first"]
    assert then.call.attempts[0].dropped == ("seed",)
    assert [("seed" in received.json, "temperature" in received.json) for received in stage.first.journal] == [
        (True, True),
        (False, True),
        (False, True),
    ]


@each_client
async def test_a_stale_response_id_is_the_apps_to_hear_of(form: Form, stage: Stage, spy: type[Spy]) -> None:
    """A 404 to a call that goes on from a stored response is no missing model: nobody else has that response."""
    stage.first.script(FIRST_MODEL, Status(404, {"message": "Previous response not found.", "code": None}))
    async with Router.from_mapping(config(stage)) as router:
        scope = router.scope()
        options: Any = {"model": "both", "input": "go on", "previous_response_id": "resp_gone"}
        with pytest.raises(openai.NotFoundError):
            await using(scope, form.client, lambda client: client.responses.create(**options))

    assert scope.calls[-1].failure is FailureKind.BAD_REQUEST
    is_of(spy.seen[0], "not-found-bound")
    assert stage.second.request_count == 0


@each_client
async def test_an_empty_list_of_embeddings_is_no_answer(form: Form, stage: Stage, spy: type[Spy]) -> None:
    """The same model elsewhere is asked; where there is none, the app hears of an invalid response."""
    stage.first.script(FIRST_MODEL, JsonBody({"object": "list", "data": [], "model": FIRST_MODEL}))
    async with Router.from_mapping(config(stage, second={"model": FIRST_MODEL})) as router:
        scope = router.scope()
        reply = await using(scope, form.client, lambda client: client.embeddings.create(model="both", input="x"))
        with pytest.raises(BadResponse) as caught:
            await using(scope, form.client, lambda client: client.embeddings.create(model="alone", input="x"))

    assert len(reply.data) == 1
    assert isinstance(caught.value, openai.APIResponseValidationError)
    is_of(spy.seen[0], "empty-embeddings")


@each_stream
async def test_an_error_event_after_the_commit_breaks_the_stream(form: Form, stage: Stage) -> None:
    """What came before is delivered, then StreamBroken; nobody else is asked."""
    stage.first.script(FIRST_MODEL, StreamOf(error_event_after=2, interval=0.1))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form)

    assert got.text == "Hello from"
    assert isinstance(got.error, StreamBroken)
    assert isinstance(got.error, openai.APIConnectionError)
    assert got.call.failure is FailureKind.STREAM_BROKEN
    assert (got.call.outcome, got.routes) == (Outcome.FAILED, ["first"])


@each_stream
async def test_a_stall_after_the_commit_breaks_the_stream(form: Form, stage: Stage) -> None:
    """Comments don't count as signs of life: a stalled stream is broken, and its exchange closed."""
    stage.first.script(FIRST_MODEL, StreamOf(stall_after=2, comments=0.03))
    async with Router.from_mapping(config(stage, first={"stall": "700ms"})) as router:
        got = await ask(router, form)
        await anyio.to_thread.run_sync(stage.first.wait_until, lambda: stage.first.in_flight == 0)

    assert got.text == "Hello from"
    assert isinstance(got.error, StreamBroken)
    assert got.call.failure is FailureKind.TIMEOUT
    assert stage.first.journal[0].client_gone


@each_form
async def test_a_refusal_moves_only_into_a_lane_that_lists_it(form: Form, stage: Stage) -> None:
    """A refusal is the app's to read, recorded as such; where a lane lists it, that lane is asked."""
    stage.first.script(FIRST_MODEL, Answer(refusal="I won't."))
    async with Router.from_mapping(config(stage)) as router:
        handed_through = await ask(router, form)
    listed = {"equivalent": {"routes": ["second"], "on": ["content_policy"]}}
    async with Router.from_mapping(config(stage, task=listed)) as router:
        moved = await ask(router, form)
        stage.second.script(SECOND_MODEL, Answer(refusal="Me neither."))
        refused_by_all = await ask(router, form)

    assert handed_through.routes == ["first"]
    assert _refusal(handed_through) == "I won't."
    assert moved.routes == ["first", "second"]
    assert moved.text == "Hello from model-two"
    assert refused_by_all.error is None
    assert _refusal(refused_by_all) == "Me neither."
    for got in (handed_through, refused_by_all):
        assert got.call.outcome is Outcome.ANSWERED
        assert got.call.attempts[-1].failure is FailureKind.CONTENT_POLICY


def _refusal(got: Got) -> str:
    if got.chunks:
        return "".join(choice.delta.refusal or "" for chunk in got.chunks for choice in chunk.choices)
    return str(got.reply.choices[0].message.refusal)


@each_stream
async def test_a_filter_that_speaks_after_the_commit_comes_too_late_to_move(form: Form, stage: Stage) -> None:
    """What has come is the app's, with the reason why it ended."""
    stage.first.script(FIRST_MODEL, StreamOf(chunks=("I", " can"), finish_reason="content_filter", interval=0.1))
    listed = {"equivalent": {"routes": ["second"], "on": ["content_policy"]}}
    async with Router.from_mapping(config(stage, task=listed)) as router:
        got = await ask(router, form)

    assert (got.text, got.routes) == ("I can", ["first"])
    assert got.chunks[-1].choices[0].finish_reason == "content_filter"
    assert got.call.outcome is Outcome.ANSWERED
    assert got.call.attempts[0].failure is FailureKind.CONTENT_POLICY


@each_form
async def test_a_substituted_model_is_not_taken_for_a_sensitive_call(form: Form, stage: Stage, spy: type[Spy]) -> None:
    """Another model's answer counts for nothing: the next approved route is asked, and without one it fails closed."""
    stage.first.script(FIRST_MODEL, Answer("canary-answer", model="model-one-mini"))
    more = {"sensitive": {"payment": {"routes": ["first", "second"]}}}
    async with Router.from_mapping(config(stage, more=more)) as router:
        got = await ask_in(router.scope(request_id=REQUEST_ID, sensitive="payment"), form)
        alone = await ask_in(router.scope(sensitive="payment"), form, "alone")

    assert got.routes == ["first", "second"]
    assert got.text == "Hello from model-two"
    is_of(spy.seen[0], "substituted")
    assert isinstance(alone.error, FailClosed)
    assert not isinstance(alone.error, openai.APIError)
    assert alone.call.outcome is Outcome.REFUSED
    assert alone.text == ""
    assert "canary" not in str(alone.error)


@each_form
async def test_a_slow_route_that_answers_in_time_is_left_alone(form: Form, stage: Stage) -> None:
    """Slowness within the route's time is no failure."""
    stage.first.script(FIRST_MODEL, SlowHeaders(0.2))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form)
    assert got.routes == ["first"]


@each_form
async def test_a_question_too_long_for_every_route_is_sent_nowhere(form: Form, stage: Stage) -> None:
    """It is so long that no count could make it fit: the app hears what a provider would say, and nobody else does."""
    narrow = {"context_window": 100}
    async with Router.from_mapping(config(stage, first=narrow, second=narrow)) as router:
        got = await ask(router, form, messages=[{"role": "user", "content": "Where is it? " * 500}])

    assert isinstance(got.error, openai.BadRequestError)
    assert got.error.code == "context_length_exceeded"
    assert got.call.failure is FailureKind.CONTEXT_LENGTH
    assert "has a window of 100 tokens" in str(got.error)
    assert stage.received() == []


@each_client
async def test_a_call_whose_memory_is_out_of_reach_is_sent_nowhere(form: Form, stage: Stage) -> None:
    """The route that made the response is off after a restart: nobody else can read what it keeps."""
    first = {"api": ["chat"]}
    async with Router.from_mapping(config(stage, first=first)) as router:
        scope = router.scope()
        go_on = {"model": "both", "input": "go on", "previous_response_id": "resp_1"}
        with pytest.raises(openai.BadRequestError) as caught:
            await using(scope, form.client, lambda client: client.responses.create(**go_on))

    assert caught.value.code == "bound_provider_gone"
    assert caught.value.param == "previous_response_id"
    assert "it continues an earlier response" in str(caught.value)
    assert stage.received() == []


@each_form
async def test_what_nobody_foresaw_is_a_failure_of_the_attempt(
    form: Form, stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, spy: type[Spy]
) -> None:
    """The next route answers; the log tells a class and a place, and no text."""
    read = AiohttpExchange.read_some

    async def broken(exchange: AiohttpExchange) -> bytes:
        if len(stage.received()) == 1:
            raise ZeroDivisionError("canary")
        return await read(exchange)

    monkeypatch.setattr(AiohttpExchange, "read_some", broken)
    async with Router.from_mapping(config(stage)) as router:
        with caplog.at_level(logging.ERROR, "lanewise"):
            got = await ask(router, form)

    assert got.error is None
    assert got.routes == ["first", "second"]
    is_of(spy.seen[0], "unforeseen")
    assert got.call.attempts[0].detail.startswith("ZeroDivisionError in test_rows_of_their_own.py, line ")
    assert "ZeroDivisionError" in caplog.text
    assert "canary" not in caplog.text


@each_form
async def test_what_decides_in_an_answer_to_a_sensitive_call_is_beyond_doubt(
    form: Form, stage: Stage, spy: type[Spy]
) -> None:
    """A finish reason that is there twice is read otherwise by somebody else: the next approved route is asked."""
    name = b"delta" if form.stream else b"message"
    said = b'{"role": "assistant", "content": "canary"}, "finish_reason": "length", "finish_reason": "stop"'
    body = b'{"id": "c", "model": "model-one", "choices": [{"index": 0, "%s": %s}]}' % (name, said)
    if form.stream:
        stage.first.script_all(Body(b"data: " + body + b"\n\ndata: [DONE]\n\n", content_type="text/event-stream"))
    else:
        stage.first.script_all(Body(body))
    more = {"sensitive": {"payment": {"routes": ["first", "second"]}}}
    async with Router.from_mapping(config(stage, more=more)) as router:
        got = await ask_in(router.scope(request_id=REQUEST_ID, sensitive="payment"), form)
        plain = await ask(router, form, "alone")

    assert got.routes == ["first", "second"]
    assert got.text == "Hello from model-two"
    is_of(spy.seen[0], "in-doubt")
    assert plain.text == "canary", "a call that is not sensitive takes it, as the plain SDK does"
