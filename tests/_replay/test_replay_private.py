"""Replay and what must stay private: nothing of a sensitive call is kept, and what is kept can't be read."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from _replay.replaying import until_noted, worker
from busy_machine import LONG_ENOUGH
from lanewise import FailClosed, Router
from lanewise._replay.sealed_replays import KeptAnswer
from lanewise._replay.shared_replays import PREFIX
from lanewise.testing import Answer, StreamOf
from lanewise.types import LaneName
from real_valkey import Valkey
from router.driving import (
    FIRST_KEY,
    FIRST_MODEL,
    FORMS,
    MESSAGES,
    PROMPT,
    REQUEST_ID,
    Form,
    Stage,
    ask,
    ask_in,
    config,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("keys", "patient")]

each_form = pytest.mark.parametrize("form", FORMS, ids=str)

ANSWER = "canary-answer: at the depot"
SENSITIVE: dict[str, Any] = {"payment": {"routes": ["first"]}}


def sensitive_worker(stage: Stage, state: str, **task: object) -> Router:
    """As the other workers, with a category, and with what it approves answering it."""
    settings = {"state": state, "replay": "1h", "storage_key_env": "STORAGE_KEY"}
    first = {"answers_as": [FIRST_MODEL]}
    more = {"router": settings, "sensitive": SENSITIVE}
    return Router.from_mapping(config(stage, first=first, task=task, more=more))


async def stored(valkey: Valkey) -> bytes:
    """What the store has once there is something."""
    with anyio.fail_after(LONG_ENOUGH):
        while PREFIX.encode() not in (everything := valkey.everything()):
            await anyio.sleep(0.01)
    return everything


@each_form
async def test_the_store_has_no_text_that_can_be_read(
    form: Form, stage: Stage, valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the prompt nor the answer, nor who asked, nor a key; nor has the log."""
    stage.first.script(FIRST_MODEL, StreamOf(chunks=(ANSWER,)) if form.stream else Answer(ANSWER))
    with caplog.at_level(logging.DEBUG):
        async with worker(stage, valkey.url) as router:
            await ask(router, form, subject="canary-subject")
            everything = await stored(valkey)
            again = await ask(router, form, subject="canary-subject")
    assert again.call.replayed_from is not None
    logged = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    for canary in (ANSWER, "canary-answer", PROMPT, "canary-prompt", "canary-subject", REQUEST_ID, FIRST_KEY, "depot"):
        assert canary.encode() not in everything
        if canary != REQUEST_ID:
            assert canary not in logged
    assert "canary" not in again.call.explain()


async def test_an_answer_shows_nothing_of_itself_while_it_is_handled() -> None:
    """In no traceback."""
    kept = KeptAnswer("id", "first", LaneName.PRIMARY, [(b"h", ANSWER.encode())], ANSWER.encode(), stream=False)
    assert "canary" not in repr(kept)


@each_form
@pytest.mark.parametrize("where", ["scope", "task"])
async def test_nothing_of_a_sensitive_call_is_kept_or_claimed(
    where: str, form: Form, stage: Stage, valkey: Valkey
) -> None:
    """It is made each time, and the store never hears of it."""
    categories = ("payment",) if where == "scope" else ()
    task = {"sensitive": "payment"} if where == "task" else {}
    async with sensitive_worker(stage, valkey.url, **task) as router:
        for _ in range(2):
            got = await ask_in(router.scope(request_id=REQUEST_ID, sensitive=categories), form)
            assert got.error is None
            assert got.call.replayed_from is None
            assert got.call.notes == ()
    assert len(stage.received()) == 2
    assert valkey.everything() == b""


@each_form
async def test_a_sensitive_call_is_given_no_kept_answer(form: Form, stage: Stage, valkey: Valkey) -> None:
    """Not even the one of the very same call, made before without the mark."""
    async with sensitive_worker(stage, valkey.url) as router:
        await ask_in(router.scope(request_id=REQUEST_ID), form)
        await stored(valkey)
        got = await ask_in(router.scope(request_id=REQUEST_ID, sensitive="payment"), form)
    assert got.error is None
    assert got.call.replayed_from is None
    assert len(stage.received()) == 2


@pytest.mark.parametrize("state", ["memory", "shared"])
async def test_a_stream_whose_request_becomes_sensitive_is_not_kept(
    state: str, stage: Stage, request: pytest.FixtureRequest
) -> None:
    """It ends there."""
    url = "memory" if state == "memory" else request.getfixturevalue("valkey").url
    stage.first.script(FIRST_MODEL, StreamOf(interval=0.2))
    async with sensitive_worker(stage, url) as router:
        scope = router.scope(request_id=REQUEST_ID)
        create = scope.async_openai.chat.completions.create
        stream = await create(model="both", messages=MESSAGES, stream=True)

        async def read() -> None:
            async for _ in stream:
                scope.raise_sensitivity("payment")

        with pytest.raises(FailClosed):
            await read()
        again = await ask(router, FORMS[1])
    assert again.call.replayed_from is None
    assert len(stage.received()) == 2


async def test_a_call_whose_request_becomes_sensitive_is_not_kept(stage: Stage, valkey: Valkey) -> None:
    """It fails closed, and leaves nothing behind."""
    stage.first.script(FIRST_MODEL, Answer(ANSWER, delay=0.5))
    async with sensitive_worker(stage, valkey.url) as router:
        scope = router.scope(request_id=REQUEST_ID)
        async with anyio.create_task_group() as group:
            group.start_soon(_refused, scope)
            await anyio.to_thread.run_sync(stage.first.wait_for, 1)
            scope.raise_sensitivity("payment")
    assert PREFIX.encode() not in valkey.everything()


async def test_one_whose_request_becomes_sensitive_while_it_waits_is_given_nothing(
    stage: Stage, valkey: Valkey
) -> None:
    """Neither the answer that it waited for, nor one of its own."""
    stage.first.script(FIRST_MODEL, Answer(ANSWER, delay=1.0))
    async with sensitive_worker(stage, valkey.url) as router, anyio.create_task_group() as group:
        group.start_soon(ask, router, FORMS[0])
        await anyio.to_thread.run_sync(stage.first.wait_for, 1)
        scope = router.scope(request_id=REQUEST_ID)
        group.start_soon(_refused, scope)
        await until_noted(scope)
        scope.raise_sensitivity("payment")
    assert len(stage.received()) == 1


async def _refused(scope: Any) -> None:
    got = await ask_in(scope, FORMS[0])
    assert type(got.error) is FailClosed
    assert got.text == ""
