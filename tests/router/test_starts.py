"""Where calls start: in a lane by the task's word, by rules over the call's facts, or by a drill."""

from __future__ import annotations

from typing import Any

import pytest

from lanewise import Router
from lanewise.testing import Answer, Status
from router.driving import FORMS, WHOLE, Form, Stage, ask, ask_in, config, using

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 20_000}}
TOOL = {"type": "function", "function": {"name": "track", "parameters": {"type": "object"}}}


def router(stage: Stage, *rules: str, **task: object) -> Router:
    """A router whose task ``both`` starts in the lane of the second route if a rule is true."""
    start = [{"when": rule, "lane": "equivalent"} for rule in rules]
    return Router.from_mapping(config(stage, task={"start": start, **task}))


@pytest.mark.anyio
@pytest.mark.parametrize("form", FORMS, ids=str)
async def test_a_rule_sends_small_calls_elsewhere(stage: Stage, form: Form) -> None:
    """What is short and has no tools is routine work; the rest goes to the primary."""
    async with router(stage, "tokens < 200 and not tools") as routed:
        assert (await ask(routed, form)).routes == ["second"]
        assert (await ask(routed, form, tools=[TOOL])).routes == ["first"]
        long: Any = [{"role": "user", "content": "Where is it? " * 100}]
        assert (await ask(routed, form, messages=long)).routes == ["first"]


@pytest.mark.anyio
@pytest.mark.parametrize("form", WHOLE, ids=str)
@pytest.mark.parametrize(
    ("rule", "options"),
    [
        ("images == 1", {"messages": [{"role": "user", "content": [IMAGE]}]}),
        ("images and tokens < 100", {"messages": [{"role": "user", "content": [IMAGE]}]}),
        ("json", {"response_format": {"type": "json_object"}}),
        ("max_tokens >= 500", {"max_tokens": 500}),
        ("reasoning", {"reasoning_effort": "high"}),
        ("task == 'both' and api == 'chat' and 0 <= hour < 24", {}),
    ],
)
async def test_rules_see_the_facts_of_a_call(stage: Stage, form: Form, rule: str, options: dict[str, Any]) -> None:
    """The rule is true of this call, and of a plain one only if it asks for nothing special."""
    async with router(stage, rule) as routed:
        assert (await ask(routed, form, **options)).routes[0] == "second"
        if options:
            assert (await ask(routed, form)).routes == ["first"]


@pytest.mark.anyio
@pytest.mark.parametrize("form", FORMS, ids=str)
async def test_the_first_rule_that_is_true_counts(stage: Stage, form: Form) -> None:
    """Rules are read from the top, and none that is true leaves the call at the primary."""
    start = [{"when": "stream", "lane": "primary"}, {"when": "not labels.vip", "lane": "equivalent"}]
    async with Router.from_mapping(config(stage, task={"start": start})) as routed:
        assert (await ask(routed, form)).routes == (["first"] if form.stream else ["second"])
        with routed.scope(labels={"vip": "yes"}) as scope:
            assert (await ask_in(scope, form)).routes == ["first"]


@pytest.mark.anyio
@pytest.mark.parametrize("form", WHOLE, ids=str)
async def test_labels_that_a_scope_gets_later_count_from_then_on(stage: Stage, form: Form) -> None:
    """A request's scope is there before the app knows what the request is about."""
    async with router(stage, "labels.size == 'short'") as routed:
        with routed.scope() as scope:
            assert (await ask_in(scope, form)).routes == ["first"]
            scope.label(size="short")
            assert scope.labels == {"size": "short"}
            assert (await ask_in(scope, form)).routes == ["second"]
            scope.label(size="long", tier="free")
            assert (await ask_in(scope, form)).routes == ["first"]


@pytest.mark.anyio
@pytest.mark.parametrize("form", FORMS, ids=str)
async def test_a_call_that_starts_later_may_still_end_at_the_primary(stage: Stage, form: Form) -> None:
    """The lanes before the start come last, and ``explain`` says which rule it was."""
    stage.second.script("model-two", Status(503))
    async with router(stage, "tokens < 200") as routed:
        got = await ask(routed, form)
    assert got.error is None
    assert got.routes[0] == "second"
    assert got.routes[-1] == "first"
    assert "starts in equivalent: tokens < 200" in got.call.explain().splitlines()[1]


@pytest.mark.anyio
@pytest.mark.parametrize("form", WHOLE, ids=str)
async def test_a_drill_goes_before_the_rules(stage: Stage, form: Form) -> None:
    """The scope's word counts more than the task's."""
    async with router(stage, "true") as routed:
        got = await ask_in(routed.scope(start="primary"), form)
        assert got.routes == ["first"]
        assert "starts in primary: its scope says so" in got.call.explain()


@pytest.mark.anyio
@pytest.mark.parametrize("form", WHOLE, ids=str)
async def test_a_task_may_start_in_one_lane_always(stage: Stage, form: Form) -> None:
    """Without any rule."""
    async with Router.from_mapping(config(stage, task={"start": "equivalent"})) as routed:
        got = await ask(routed, form)
    assert got.routes == ["second"]
    assert "starts in equivalent: its task says so" in got.call.explain()


@pytest.mark.anyio
@pytest.mark.parametrize("form", WHOLE, ids=str)
async def test_no_rule_leads_a_sensitive_call_past_its_approved_routes(stage: Stage, form: Form) -> None:
    """The lane that a rule names has no approved route: the call goes to the one that is, and to no other."""
    more = {"sensitive": {"payment": {"routes": ["first"]}}}
    task = {"start": [{"when": "true", "lane": "equivalent"}]}
    async with Router.from_mapping(config(stage, task=task, more=more)) as routed:
        got = await ask_in(routed.scope(sensitive="payment"), form)
    assert got.routes == ["first"]
    assert stage.second.request_count == 0


@pytest.mark.anyio
@pytest.mark.parametrize("client", ["async", "sync"])
async def test_rules_see_responses_and_embeddings_too(stage: Stage, client: str) -> None:
    """Facts come from the shape that each API has."""
    task = {
        "start": [{"when": "(api == 'responses' and json and tools == 1) or api == 'embeddings'", "lane": "equivalent"}]
    }
    second = {"same_as": ["first"]}
    asked: dict[str, Any] = {
        "input": "Where is it?",
        "tools": [{"type": "function", "name": "track", "parameters": {}, "strict": False}],
        "text": {"format": {"type": "json_object"}},
    }
    stage.second.script("model-two", Answer("{}"))
    async with Router.from_mapping(config(stage, second=second, task=task)) as routed:
        with routed.scope() as scope:
            await using(scope, client, lambda it: it.responses.create(model="both", **asked))
            await using(scope, client, lambda it: it.responses.create(model="both", input="Where is it?"))
            await using(scope, client, lambda it: it.embeddings.create(model="both", input="Where is it?"))
        assert [call.route for call in scope.calls] == ["second", "first", "second"]
