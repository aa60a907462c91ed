"""Replay: what was asked before is not asked again, by whatever client, in this worker or another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from _replay.replaying import asked_at_once, header, until_noted, worker, workers
from lanewise import CallerGone, Outcome, Router
from lanewise._runtime.call import replaying as replay
from lanewise.scope import state_of
from lanewise.testing import Answer, SlowHeaders, Status, StreamOf
from real_valkey import Valkey
from router.driving import FIRST_MODEL, FORMS, MESSAGES, REQUEST_ID, Form, Got, Stage, ask, ask_in, using

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("keys", "patient")]

each_form = pytest.mark.parametrize("form", FORMS, ids=str)

ANSWER = "canary-answer: it is at the depot"


@pytest.fixture(params=["memory", "shared"])
def state(request: pytest.FixtureRequest) -> str:
    """Where answers are kept."""
    if request.param == "memory":
        return "memory"
    valkey: Valkey = request.getfixturevalue("valkey")
    return valkey.url


def answering(stage: Stage, form: Form) -> None:
    """Both providers are well, and each of their answers is another."""
    chunks = ("canary-answer: ", "it is ", "at the depot")
    behaviour = StreamOf(chunks=chunks) if form.stream else Answer(ANSWER)
    stage.first.script(FIRST_MODEL, behaviour)


@each_form
async def test_a_call_that_is_made_again_is_given_the_answer_again(form: Form, stage: Stage, state: str) -> None:
    """By another worker, with nothing sent, and with the call that was paid for named."""
    answering(stage, form)
    async with workers(stage, state) as (one, other):
        first = await ask(one, form)
        again = await ask(other, form)

    assert first.text == again.text == ANSWER
    assert len(stage.received()) == 1
    assert again.call.replayed_from == first.call.id
    assert again.call.id != first.call.id
    assert again.call.outcome is Outcome.ANSWERED
    assert (again.call.route, again.call.lane) == ("first", "primary")
    assert again.call.attempts == ()
    assert first.call.replayed_from is None


@each_form
async def test_the_answer_says_that_it_is_given_again_and_whose_it_is(form: Form, stage: Stage, state: str) -> None:
    """In its headers, in the record's explanation, and for the scope that asks which call it was."""
    async with workers(stage, state) as (one, other):
        first = await ask(one, form)
        scope = other.scope(request_id=REQUEST_ID)

        def use(client: Any) -> Any:
            stream = {"stream": True} if form.stream else {}
            return client.chat.completions.with_raw_response.create(model="both", messages=MESSAGES, **stream)

        raw = await using(scope, form.client, use)
        assert scope.call_for(raw) is scope.calls[-1]
    assert raw.headers["x-lanewise-replayed"] == "true"
    assert raw.headers["x-lanewise-route"] == "first"
    assert raw.headers["x-lanewise-lane"] == "primary"
    assert raw.headers["x-lanewise-call-id"] == first.call.id
    explained = scope.calls[-1].explain()
    assert f"is given the answer of call {first.call.id} again" in explained
    assert "answered by first (primary), given again" in explained


@pytest.mark.parametrize("form", [form for form in FORMS if form.stream], ids=str)
async def test_a_stream_is_given_again_as_a_stream(form: Form, stage: Stage, state: str) -> None:
    """Chunk by chunk as it was, its usage included if it was asked for."""
    options = {"stream_options": {"include_usage": True}}
    async with workers(stage, state) as (one, other):
        first = await ask(one, form, **options)
        again = await ask(other, form, **options)
    assert first.chunks == again.chunks
    assert len(again.chunks) > 3
    assert again.chunks[-1].usage is not None
    assert header(again, "x-lanewise-replayed") == "true"
    assert header(first, "x-lanewise-replayed") is None
    assert len(stage.received()) == 1


@each_form
async def test_calls_that_are_made_at_once_are_paid_once(form: Form, stage: Stage, state: str) -> None:
    """Ten times the same request: one attempt, and nine that wait for its answer."""
    behaviour = StreamOf(first_token_delay=0.2, interval=0.02) if form.stream else Answer(delay=0.3)
    stage.first.script(FIRST_MODEL, behaviour)
    async with workers(stage, state) as (one, other):
        got = await asked_at_once([one, other] * 5, form)
    assert len(stage.received()) == 1
    assert len({each.text for each in got}) == 1
    (paid,) = [each.call for each in got if each.call.replayed_from is None]
    assert {each.call.replayed_from for each in got} == {None, paid.id}
    assert sum("waits for the same call, which runs" in each.call.explain() for each in got) == 9


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"temperature": 0.5}),
        ({"subject": "user-7"}, {"subject": "user-8"}),
        ({"subject": ""}, {}),
        ({}, {"task": "alone"}),
        ({}, {"extra_query": {"a": "b"}}),
    ],
    ids=["payload", "subject", "no-subject", "task", "query"],
)
async def test_another_call_is_another_call(
    one: dict[str, Any], other: dict[str, Any], stage: Stage, state: str
) -> None:
    """The same request id with another payload, for another user or task, gets an answer of its own."""
    async with workers(stage, state) as (router, _):
        await ask(router, FORMS[0], **one)
        got = await ask(router, FORMS[0], **other)
    assert got.call.replayed_from is None
    assert len(stage.received()) == 2


async def test_another_request_id_is_another_call(stage: Stage, state: str) -> None:
    """However equal the payload: two users may ask the same."""
    async with workers(stage, state) as (one, other):
        for router, request_id in ((one, "req-2026-000001"), (other, "req-2026-000002")):
            with router.scope(request_id=request_id) as scope:
                await scope.async_openai.chat.completions.create(model="both", messages=MESSAGES)
    assert len(stage.received()) == 2


async def test_a_drill_is_not_answered_by_what_was_none(stage: Stage, state: str) -> None:
    """It is there to try the lane."""
    async with workers(stage, state) as (router, _):
        await ask(router, FORMS[0])
        got = await ask_in(router.scope(request_id=REQUEST_ID, start="equivalent"), FORMS[0])
    assert got.routes == ["second"]


async def test_the_second_of_two_equal_calls_in_a_request_is_given_the_second_answer(stage: Stage, state: str) -> None:
    """What was asked twice was meant twice: a repeated request gets both answers, in their order."""
    stage.first.script(FIRST_MODEL, Answer("one"), Answer("two"), Answer("three"))

    async def both(router: Any) -> list[str]:
        with router.scope(request_id=REQUEST_ID) as scope:
            create: Callable[..., Any] = scope.async_openai.chat.completions.create
            return [(await create(model="both", messages=MESSAGES)).choices[0].message.content for _ in range(2)]

    async with workers(stage, state) as (one, other):
        assert await both(one) == ["one", "two"]
        assert await both(other) == ["one", "two"]
    assert len(stage.received()) == 2


async def test_the_backups_answer_is_given_again_as_the_backups(stage: Stage, state: str) -> None:
    """Whoever answered is named, though the primary is well again by then."""
    stage.first.script(FIRST_MODEL, Status(401), Answer())
    async with workers(stage, state) as (one, other):
        first = await ask(one, FORMS[0])
        again = await ask(other, FORMS[0])
    assert again.text == first.text
    assert (again.call.route, again.call.lane) == ("second", "equivalent")
    assert len(stage.first.journal) == 1


@each_form
async def test_a_failure_is_not_kept(form: Form, stage: Stage, state: str) -> None:
    """The same request may be lucky the next time."""
    stage.first.script(FIRST_MODEL, Status(400, error={"code": "content_filter"}), Answer("well again"))
    async with workers(stage, state) as (one, other):
        failed = await ask(one, form, "alone")
        again = await ask(other, form, "alone")
    assert failed.error is not None
    assert again.error is None
    assert again.text == "well again"
    assert again.call.replayed_from is None


async def test_those_who_wait_go_on_by_themselves_when_the_first_one_fails(stage: Stage, state: str) -> None:
    """One of them makes the answer, and the others are given that."""
    bad = Status(400, error={"code": "bad"})
    stage.first.script(FIRST_MODEL, SlowHeaders(0.5, then=bad), Answer("well again", delay=0.2))
    async with workers(stage, state) as (one, other):
        got = await asked_at_once([one, other] * 3, FORMS[0], task="alone")
    assert len(stage.received()) == 2
    assert sorted(each.text for each in got) == ["", *["well again"] * 5]
    assert sum("that call left no answer" in each.call.explain() for each in got) == 1


@pytest.mark.parametrize("form", [form for form in FORMS if form.stream], ids=str)
async def test_a_stream_that_breaks_is_not_kept(form: Form, stage: Stage, state: str) -> None:
    """An answer is whole or none."""
    stage.first.script(FIRST_MODEL, StreamOf(cut_after=2), StreamOf(chunks=("All", " of it")))
    async with workers(stage, state) as (one, other):
        broken = await ask(one, form, "alone")
        again = await ask(other, form, "alone")
    assert broken.error is not None
    assert again.text == "All of it"
    assert again.call.replayed_from is None


@pytest.mark.parametrize("form", [form for form in FORMS if form.stream], ids=str)
async def test_a_stream_that_the_app_leaves_is_not_kept(form: Form, stage: Stage, state: str) -> None:
    """Its claim is given up at once: the next one need not wait for what never comes."""
    stage.first.script(
        FIRST_MODEL, StreamOf(chunks=("All", " of it"), stall_after=1), StreamOf(chunks=("All", " of it"))
    )
    async with workers(stage, state) as (one, other):
        scope = one.scope(request_id=REQUEST_ID)

        def leave(client: Any) -> None:
            next(stream := client.chat.completions.create(model="alone", messages=MESSAGES, stream=True))
            stream.close()

        async def leave_async(client: Any) -> None:
            stream = await client.chat.completions.create(model="alone", messages=MESSAGES, stream=True)
            await anext(stream)
            await stream.close()

        await using(scope, form.client, leave if form.client == "sync" else leave_async)
        again = await ask(other, form, "alone")
    assert again.text == "All of it"
    assert again.call.replayed_from is None


@pytest.mark.parametrize("form", [FORMS[0], FORMS[1]], ids=str)
async def test_an_answer_over_the_cap_is_not_kept(form: Form, stage: Stage, state: str) -> None:
    """Those who wait for it go on when that is known."""
    text = "canary " * 100
    stage.first.script(FIRST_MODEL, StreamOf(chunks=(text, text)) if form.stream else Answer(text + text))
    async with workers(stage, state, max_replay_bytes=1000) as (one, other):
        await ask(one, form)
        again = await ask(other, form)
    assert again.call.replayed_from is None
    assert len(stage.received()) == 2


async def test_one_who_waits_is_held_to_his_own_deadline(stage: Stage, state: str) -> None:
    """And pays for nothing."""
    stage.first.script(FIRST_MODEL, Answer(delay=30.0))
    async with workers(stage, state) as (one, other), anyio.create_task_group() as group:
        group.start_soon(ask, one, FORMS[0])
        await anyio.to_thread.run_sync(stage.first.wait_for, 1)
        waited = await ask(other, FORMS[0], timeout=1.0)
        group.cancel_scope.cancel()
    assert type(waited.error).__name__ == "DeadlineExceeded"
    assert waited.call.attempts == ()
    assert "waits for the same call" in waited.call.explain()
    assert waited.call.total_ms is not None
    assert waited.call.total_ms >= 990


async def test_a_call_that_is_cancelled_lets_the_next_one_go(stage: Stage, state: str) -> None:
    """Its claim is gone with it."""
    stage.first.script(FIRST_MODEL, Answer(delay=30.0), Answer("next"))
    async with workers(stage, state) as (one, other):
        async with anyio.create_task_group() as group:
            group.start_soon(ask, one, FORMS[0])
            await anyio.to_thread.run_sync(stage.first.wait_for, 1)
            group.cancel_scope.cancel()
        again = await ask(other, FORMS[0])
    assert again.text == "next"


@pytest.mark.parametrize("client", ["async", "sync"])
async def test_embeddings_and_responses_are_given_again(client: str, stage: Stage, state: str) -> None:
    """As objects of the SDK's own, and a responses stream as its events."""

    def embed(of: Any) -> Any:
        return of.embeddings.create(model="both", input="where?")

    def respond(of: Any) -> Any:
        return of.responses.create(model="both", input="where?")

    async with workers(stage, state) as (one, other):
        for use in (embed, respond):
            first = await using(one.scope(request_id=REQUEST_ID), client, use)
            again = await using(other.scope(request_id=REQUEST_ID), client, use)
            assert again == first
    assert len(stage.received()) == 2


async def test_a_responses_stream_is_given_again(stage: Stage, state: str) -> None:
    """With one response id throughout."""

    async def events(router: Any) -> list[Any]:
        client = router.scope(request_id=REQUEST_ID).async_openai
        return [event async for event in await client.responses.create(model="both", input="where?", stream=True)]

    async with workers(stage, state) as (one, other):
        first, again = await events(one), await events(other)
    assert again == first
    assert first[-1].type == "response.completed"
    assert len(stage.received()) == 1


async def test_a_stored_response_is_gone_on_from_on_its_route_after_a_replay(stage: Stage, state: str) -> None:
    """The worker that only gave the answer again knows who made it."""
    stage.first.script(FIRST_MODEL, Status(401), Answer())
    async with workers(stage, state) as (one, other):
        await using(one.scope(request_id=REQUEST_ID), "async", _respond)
        scope = other.scope(request_id=REQUEST_ID)
        reply = await using(scope, "async", _respond)
        await scope.async_openai.responses.create(model="both", input="go on", previous_response_id=reply.id)
    assert [received.json.get("previous_response_id") for received in stage.second.journal] == [None, reply.id]


def _respond(client: Any) -> Any:
    return client.responses.create(model="both", input="where?")


async def test_nothing_is_kept_where_nobody_asked_for_it(stage: Stage, valkey: Valkey) -> None:
    """Replay is off by default: a repeated request is a new one, and the store gets nothing."""
    async with worker(stage, valkey.url, replay=None) as router:
        await ask(router, FORMS[0])
        await ask(router, FORMS[0])
    assert len(stage.received()) == 2
    assert valkey.everything() == b""


@pytest.mark.parametrize("gone", ["the first", "the one who waits"])
async def test_a_caller_who_hangs_up_holds_up_nobody(gone: str, stage: Stage, state: str) -> None:
    """Neither as the one who makes the answer, nor as one who waits for it."""
    stage.first.script(FIRST_MODEL, Answer("the first", delay=1.0), Answer("the second"))
    got: dict[str, Got] = {}
    async with workers(stage, state) as (one, other):
        scopes = {
            "the first": one.scope(request_id=REQUEST_ID),
            "the one who waits": other.scope(request_id=REQUEST_ID),
        }

        async def asks(who: str) -> None:
            got[who] = await ask_in(scopes[who], FORMS[0])

        async with anyio.create_task_group() as group:
            group.start_soon(asks, "the first")
            await anyio.to_thread.run_sync(stage.first.wait_for, 1)
            group.start_soon(asks, "the one who waits")
            await until_noted(scopes["the one who waits"])
            state_of(scopes[gone]).hang_up()
        last = await ask(one, FORMS[0])
    assert type(got[gone].error) is CallerGone
    assert got[gone].call.outcome is Outcome.CANCELLED
    text = "the second" if gone == "the first" else "the first"
    assert {each.text for who, each in got.items() if who != gone} == {text}
    assert last.text == text
    assert len(stage.received()) == (2 if gone == "the first" else 1)


async def test_a_stream_that_is_long_keeps_its_claim(
    stage: Stage, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its claim is renewed for as long as it goes on."""
    monkeypatch.setattr(replay, "LEASE", 3.0)
    monkeypatch.setattr(replay, "RENEW_EVERY", 0.1)
    stage.first.script(FIRST_MODEL, StreamOf(chunks=[f"{number} " for number in range(10)], interval=0.6))
    form = FORMS[1]
    got: list[Got] = []

    async def asks(router: Router) -> None:
        got.append(await ask(router, form))

    async with workers(stage, valkey.url) as (one, other), anyio.create_task_group() as group:
        group.start_soon(asks, one)
        await anyio.to_thread.run_sync(stage.first.wait_for, 1)
        await anyio.sleep(3.2)  # the claim of the beginning is over
        again = await ask(other, form)
    assert again.call.replayed_from == got[0].call.id
    assert again.text == got[0].text == "0 1 2 3 4 5 6 7 8 9 "
    assert len(stage.received()) == 1


@pytest.mark.parametrize("form", [FORMS[1], FORMS[3]], ids=str)
async def test_a_stream_that_started_over_is_given_again_from_there(form: Form, stage: Stage, state: str) -> None:
    """Without the part that broke: whoever asks again may be one who can't make sense of a restart."""
    stage.first.script(FIRST_MODEL, StreamOf(chunks=("Broken", " off"), interval=0.15, cut_after=2))
    options = {"extra_headers": {"x-lanewise-on-break": "restart"}}
    async with workers(stage, state, task={"stream": {"on_break": "restart"}}) as (one, other):
        first = await ask(one, form, **options)
        again = await ask(other, form)
    assert first.error is None
    assert first.text == "Broken offHello from model-two"
    assert again.call.replayed_from == first.call.id
    assert again.text == "Hello from model-two"
    assert not [chunk for chunk in again.chunks if getattr(chunk, "lanewise", None)]
    assert (again.call.route, first.call.route) == ("second", "second")
    assert len(stage.received()) == 2
