"""Idempotency keys on the wire: the same where a provider should take two attempts for one, another where not."""

from __future__ import annotations

import re

import pytest

from lanewise import Router
from lanewise.testing import Answer, Behaviour, JsonBody, RejectParameters, Reset, Status, StreamOf
from router.driving import FIRST_MODEL, FORMS, REQUEST_ID, Form, Stage, ask, ask_in, config

pytestmark = pytest.mark.anyio

each_form = pytest.mark.parametrize("form", FORMS, ids=str)

SAME_KEY = {
    "408": Status(408),
    "409": Status(409),
    "429": Status(429),
    "502": Status(502),
    "503": Status(503),
    "504": Status(504),
    "520": Status(520),
    "reset": Reset("before_headers"),
}
NEW_KEY = {
    "500": Status(500),
    "no-choices": JsonBody({"choices": []}),
    "error-in-200": JsonBody({"error": {"code": "x"}}),
}


def _keys(stage: Stage) -> list[str]:
    return [received.headers["idempotency-key"] for received in stage.first.journal]


@each_form
@pytest.mark.parametrize("behaviour", SAME_KEY.values(), ids=SAME_KEY.keys())
@pytest.mark.usefixtures("hurried")
async def test_the_same_key_goes_again_where_the_outcome_is_unknown_or_nothing_ran(
    behaviour: Behaviour, form: Form, stage: Stage
) -> None:
    """So that a provider which honours it does not do, and bill, the work twice."""
    stage.first.script(FIRST_MODEL, behaviour, behaviour, Answer())
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form, "alone")

    assert got.error is None
    keys = _keys(stage)
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert re.fullmatch(re.escape(REQUEST_ID) + "-[0-9a-f]{16}", keys[0])
    assert [attempt.idempotency_key for attempt in got.call.attempts] == keys


@each_form
@pytest.mark.parametrize("behaviour", NEW_KEY.values(), ids=NEW_KEY.keys())
@pytest.mark.usefixtures("hurried")
async def test_another_key_goes_after_a_definite_failure(behaviour: Behaviour, form: Form, stage: Stage) -> None:
    """A provider that honours the key would replay the failure."""
    stage.first.script(FIRST_MODEL, behaviour, behaviour, Answer())
    async with Router.from_mapping(config(stage)) as router:
        await ask(router, form, "alone")

    first, *others = _keys(stage)
    assert others == [f"{first}-retry", f"{first}-retry2"]


async def test_a_stream_that_failed_inside_a_200_gets_another_key(stage: Stage) -> None:
    """As an error inside a whole answer does."""
    stage.first.script(FIRST_MODEL, StreamOf(error_event_after=0), StreamOf())
    async with Router.from_mapping(config(stage)) as router:
        await ask(router, Form("async", stream=True))
    first, second = _keys(stage)
    assert second == f"{first}-retry"


@each_form
async def test_a_second_identical_call_of_a_scope_has_its_ordinal(form: Form, stage: Stage) -> None:
    """The app meant to ask twice: the second is no replay of the first."""
    async with Router.from_mapping(config(stage)) as router:
        scope = router.scope(request_id=REQUEST_ID)
        for _ in range(3):
            await ask_in(scope, form)
    first, second, third = _keys(stage)
    assert (second, third) == (f"{first}-2", f"{first}-3")


@each_form
async def test_the_key_is_the_same_for_the_same_and_another_for_the_rest(form: Form, stage: Stage) -> None:
    """The same request, payload, route and user, also of another router; each of them changed changes the key."""
    stage.second.script_all(Answer())
    keys = []
    for _ in range(2):
        async with Router.from_mapping(config(stage)) as router:
            await ask(router, form, subject="user-7")
            keys.append(_keys(stage)[-1])
    assert keys[0] == keys[1]
    async with Router.from_mapping(config(stage)) as router:
        await ask(router, form, subject="user-8")
        await ask(router, form)
        await ask(router, form, subject="user-7", temperature=0.5)
        await ask_in(router.scope(request_id="req-2026-000043", subject="user-7"), form)
        stage.first.script(FIRST_MODEL, Status(401))
        await ask(router, form, subject="user-7")
    others = [*_keys(stage)[2:6], stage.second.journal[0].headers["idempotency-key"]]
    assert len({keys[0], *others}) == 6
    assert "user-7" not in "".join(others)


async def test_a_learned_drop_makes_another_key(stage: Stage) -> None:
    """Another body under the same key would be refused by a provider that checks."""
    stage.first.script(FIRST_MODEL, RejectParameters("seed"))
    async with Router.from_mapping(config(stage)) as router:
        await ask(router, Form("async"), seed=7)
    first, second = _keys(stage)
    assert first != second
    assert not second.startswith(first)


@each_form
async def test_each_attempt_can_be_found_at_the_provider(form: Form, stage: Stage) -> None:
    """X-Client-Request-Id is the call's id and the attempt's number; a provider without a key header gets none."""
    stage.first.script(FIRST_MODEL, Reset("before_headers"), Answer())
    async with Router.from_mapping(config(stage, first_provider={"idempotency_header": False})) as router:
        got = await ask(router, form, "alone")
    assert [received.headers["x-client-request-id"] for received in stage.first.journal] == [
        f"{got.call.id}-1",
        f"{got.call.id}-2",
    ]
    assert "idempotency-key" not in stage.first.journal[0].headers
