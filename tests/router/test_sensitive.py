"""Sensitive calls: answered by approved routes, or not at all; what others would have got stays unsent."""

from __future__ import annotations

import pickle
from typing import Any

import openai
import pytest

from lanewise import ConfigError, FailClosed, FailureKind, Outcome, Router
from lanewise.testing import Answer, Behaviour, Html, JsonBody, RejectParameters, Reset, Silence, Status, StreamOf
from router.driving import (
    FIRST_MODEL,
    FORMS,
    MESSAGES,
    PROMPT,
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
each_client = pytest.mark.parametrize("form", WHOLE, ids=str)

ONLY_FIRST = {"payment": {"routes": ["first"]}}


def _config(stage: Stage, **more: Any) -> dict[str, object]:
    """The equivalent lane takes a call after anything at all: only the category keeps it away."""
    everything = {"equivalent": {"routes": ["second"], "on": ["bad_request", "content_policy", "context_length",
                  "substituted", "outage", "timeout", "rate_limit", "auth", "quota", "unreachable", "config",
                  "bad_response", "stream_broken", "unsupported_parameter", "model_missing", "conflict"]}}  # fmt: skip
    return config(stage, task=everything, more={"sensitive": ONLY_FIRST}, **more)


FAILURES: dict[str, Behaviour] = {
    "outage": Status(500),
    "unavailable": Status(503),
    "rate-limit": Status(429, retry_after=60),
    "auth": Status(401),
    "quota": Status(429, {"code": "insufficient_quota"}),
    "bad-request": Status(400),
    "content-policy": Status(400, {"code": "content_filter"}),
    "context-length": Status(400, {"code": "context_length_exceeded"}),
    "model-missing": Status(404),
    "html": Html(),
    "reset": Reset("before_headers"),
    "silence": Silence(),
    "no-choices": JsonBody({"choices": []}),
}


@each_form
@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.usefixtures("hurried")
async def test_no_failure_whatever_leads_to_a_route_that_is_not_approved(name: str, form: Form, stage: Stage) -> None:
    """It fails closed, by an error that no outer layer takes for a provider's; the other provider never hears of it."""
    stage.first.script_all(FAILURES[name])
    async with Router.from_mapping(_config(stage)) as router:
        got = await ask_in(router.scope(sensitive="payment"), form, timeout=1.5 if name == "silence" else 8.0)
        plain = await ask(router, form, timeout=8.0) if name == "outage" else None

    assert isinstance(got.error, FailClosed)
    assert not isinstance(got.error, openai.APIError)
    assert got.error.call is got.call
    assert got.call.outcome is Outcome.REFUSED
    assert got.call.sensitive == ("payment",)
    assert set(got.routes) == {"first"}
    assert "(sensitive: fails closed)" in str(got.error)
    assert PROMPT not in repr(pickle.dumps(got.error))
    assert stage.second.request_count == (0 if plain is None else 1)


@each_form
@pytest.mark.usefixtures("hurried")
async def test_approved_routes_are_tried_in_lane_order(form: Form, stage: Stage) -> None:
    """Sensitivity takes routes away; among those that are left the lanes hold."""
    stage.first.script_all(Status(500))
    more = {"sensitive": {"payment": {"routes": ["second", "first"]}}}
    async with Router.from_mapping(config(stage, more=more)) as router:
        got = await ask_in(router.scope(sensitive="payment"), form)
    assert got.routes == ["first", "first", "second"]
    assert got.text == "Hello from model-two"


@each_form
async def test_the_own_sensitivity_counts_as_the_scope_s(form: Form, stage: Stage) -> None:
    """A task that is sensitive stays so in a plain scope, and raises the scope's once a call to it failed closed."""
    mapping: Any = config(stage, task={"sensitive": "payment"}, more={"sensitive": ONLY_FIRST})
    async with Router.from_mapping(mapping) as router:
        scope = router.scope()
        assert (await ask_in(scope, form)).error is None
        assert scope.sensitive == frozenset()
        stage.first.script_all(Status(400))
        got = await ask_in(scope, form)
        stage.first.script_all(Answer())
        plain = await ask_in(scope, form, "alone")
    assert isinstance(got.error, FailClosed)
    assert plain.error is None
    assert scope.sensitive == {"payment"}
    assert stage.second.request_count == 0


@each_form
async def test_categories_add_up_to_their_intersection(form: Form, stage: Stage) -> None:
    """Nothing inner relaxes an outer one; where nothing is left, nothing is sent."""
    categories = {
        "payment": {"routes": ["first", "second"]},
        "medical": {"routes": ["second"]},
        "minors": {"routes": ["first"]},
    }
    async with Router.from_mapping(config(stage, more={"sensitive": categories})) as router:
        both = await ask_in(router.scope(sensitive=("payment", "medical")), form)
        none = await ask_in(router.scope(sensitive=("minors", "medical")), form)
        out_of_reach = await ask_in(router.scope(sensitive="medical"), form, "alone")
    assert both.routes == ["second"]
    assert [isinstance(got.error, FailClosed) for got in (none, out_of_reach)] == [True, True]
    assert none.call.outcome is Outcome.REFUSED
    assert stage.first.request_count == 0
    assert stage.second.request_count == 1


@each_form
@pytest.mark.parametrize(
    "behaviour",
    [Answer(model="model-one-mini"), Answer(model="model-two"), StreamOf(model="other"), Answer(model="model-one-7")],
    ids=["mini", "two", "stream", "number"],
)
async def test_the_answer_of_another_model_is_no_answer(behaviour: Behaviour, form: Form, stage: Stage) -> None:
    """A provider that quietly puts another model behind the name was not approved with it: nothing of it is seen."""
    stage.first.script_all(behaviour)
    async with Router.from_mapping(_config(stage)) as router:
        got = await ask_in(router.scope(sensitive="payment"), form)
        plain = await ask(router, form)
    assert isinstance(got.error, FailClosed)
    assert (got.text, got.chunks) == ("", [])
    assert got.call.failure is FailureKind.SUBSTITUTED
    assert got.call.attempts[0].model_answered == behaviour.model  # type: ignore[attr-defined]
    assert plain.error is None  # for a plain call it is the app's to read


@each_client
async def test_an_answer_that_names_no_model_counts_as_swapped(form: Form, stage: Stage) -> None:
    """In doubt it is another one."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "canary"}, "finish_reason": "stop"}
    stage.first.script_all(JsonBody({"id": "x", "object": "chat.completion", "created": 1, "choices": [choice]}))
    async with Router.from_mapping(_config(stage)) as router:
        got = await ask_in(router.scope(sensitive="payment"), form)
    assert isinstance(got.error, FailClosed)


@each_form
@pytest.mark.parametrize("name", ["model-one", "model-one-2026-03-01", "vendor/model-one", "house-model-3"])
async def test_the_model_that_was_asked_for_answers_under_its_names(name: str, form: Form, stage: Stage) -> None:
    """A date, a vendor's prefix, or what the route declares it answers as."""
    stage.first.script_all(Answer(model=name))
    async with Router.from_mapping(_config(stage, first={"answers_as": ["house-model-*"]})) as router:
        got = await ask_in(router.scope(sensitive="payment"), form)
    assert got.error is None
    assert got.call.attempts[0].model_answered == name


@each_client
async def test_substituted_embeddings_fail_closed_too(form: Form, stage: Stage) -> None:
    """The rule holds for all kinds of API."""
    stage.first.script_all(Answer(model="other"))
    async with Router.from_mapping(_config(stage)) as router:
        for use in (
            lambda client: client.embeddings.create(model="both", input="x"),
            lambda client: client.responses.create(model="both", input="x"),
        ):
            with pytest.raises(FailClosed):
                await using(router.scope(sensitive="payment"), form.client, use)
    assert stage.second.request_count == 0


@each_form
async def test_learned_drops_are_neither_used_nor_made(form: Form, stage: Stage) -> None:
    """Declared drops are the app's choice; a learned one would change a sensitive request on a provider's word."""
    stage.first.script(FIRST_MODEL, RejectParameters("seed"))
    async with Router.from_mapping(_config(stage)) as router:
        first = await ask_in(router.scope(sensitive="payment"), form, seed=7)
        assert isinstance(first.error, FailClosed)
        learned = await ask(router, form, seed=7)
        assert [attempt.dropped for attempt in learned.call.attempts] == [(), ("seed",)]
        again = await ask_in(router.scope(sensitive="payment"), form, seed=7)
    assert isinstance(again.error, FailClosed)
    assert "seed" in stage.first.journal[-1].json


@each_form
async def test_an_unknown_category_fails_closed(form: Form, stage: Stage) -> None:
    """It is refused where it is declared; raised on a running scope it closes it."""
    async with Router.from_mapping(_config(stage)) as router:
        with pytest.raises(ValueError, match="unknown sensitive category 'paiment'"):
            router.scope(sensitive="paiment")
        scope = router.scope()
        scope.raise_sensitivity("paiment")
        got = await ask_in(scope, form)
    assert isinstance(got.error, FailClosed)
    assert "paiment" in str(got.error)
    assert stage.received() == []


@each_form
async def test_a_scope_that_became_sensitive_too_late_is_closed(
    form: Form, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """What went out can't be taken back: nothing more goes, not even to approved routes, and it is logged."""
    async with Router.from_mapping(_config(stage)) as router:
        scope = router.scope()
        early = await ask_in(scope, form)
        scope.raise_sensitivity("payment")
        late = await ask_in(scope, form)
    assert early.error is None
    assert isinstance(late.error, FailClosed)
    assert stage.first.request_count == 1
    assert any(record.levelname == "ERROR" for record in caplog.records)


@each_form
async def test_a_sensitive_drill_stays_among_the_approved(form: Form, stage: Stage) -> None:
    """start = "equivalent" finds only unapproved routes there, and goes on to the approved one."""
    async with Router.from_mapping(_config(stage)) as router:
        got = await ask_in(router.scope(sensitive="payment", start="equivalent"), form)
    assert got.routes == ["first"]
    assert stage.second.request_count == 0


@each_client
async def test_a_broken_sensitive_stream_fails_closed(form: Form, stage: Stage) -> None:
    """No outer layer may start it over elsewhere."""
    stage.first.script_all(StreamOf(interval=0.1, cut_after=1))
    async with Router.from_mapping(_config(stage)) as router:
        got = await ask_in(router.scope(sensitive="payment"), Form(form.client, stream=True))
    assert got.text == "Hello"
    assert isinstance(got.error, FailClosed)
    assert stage.second.request_count == 0


@each_client
async def test_an_unknown_task_in_a_sensitive_scope_fails_closed(form: Form, stage: Stage) -> None:
    """No NotFoundError that an outer layer would take for a missing model."""
    async with Router.from_mapping(_config(stage)) as router:
        with pytest.raises(FailClosed):
            await using(
                router.scope(sensitive="payment"),
                form.client,
                lambda client: client.chat.completions.create(model="nothing", messages=MESSAGES),
            )
        with pytest.raises(FailClosed):
            await using(router.scope(sensitive="payment"), form.client, lambda client: client.files.list())


def test_a_sensitive_task_that_no_approved_route_can_answer_is_refused_at_start_up(stage: Stage) -> None:
    """Where it can be known, it is known before the first request."""
    more = {"sensitive": {"medical": {"routes": ["second"]}}}
    mapping: Any = config(stage, more=more)
    mapping["tasks"]["alone"]["sensitive"] = "medical"
    with pytest.raises(ConfigError, match="medical"):
        Router.from_mapping(mapping)
