"""Which route of a lane goes first: by cost, by speed, by weight, or always the same for a subject."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from lanewise import NoRouteAvailable, Router
from lanewise._runtime import candidate_selector
from lanewise.testing import Answer, Status, StreamOf
from router.driving import FORMS, STREAMS, WHOLE, Form, Stage, ask, ask_in, config, using

LONG: Any = [{"role": "user", "content": "Where is my parcel? " * 2000}]


def router(stage: Stage, select: str, *, first: object = None, second: object = None, **task: object) -> Router:
    """A router whose task ``both`` has both routes in its primary lane."""
    mapping = config(stage, first=first, second=second, task={"select": select, **task})  # type: ignore[arg-type]
    mapping["tasks"]["both"]["primary"] = ["first", "second"]  # type: ignore[index]
    del mapping["tasks"]["both"]["equivalent"]  # type: ignore[attr-defined]
    return Router.from_mapping(mapping)


def price(question: float, answer: float) -> dict[str, object]:
    return {"price": {"input": question, "output": answer}}


@pytest.mark.anyio
@pytest.mark.parametrize("form", FORMS, ids=str)
async def test_the_cheapest_route_depends_on_what_the_call_needs(stage: Stage, form: Form) -> None:
    """A long question with a short answer costs least here, a short one with a long answer there."""
    async with router(stage, "cheapest", first=price(1.0, 10.0), second=price(2.0, 2.0)) as routed:
        assert (await ask(routed, form, messages=LONG, max_tokens=10)).routes == ["first"]
        assert (await ask(routed, form, max_tokens=2000)).routes == ["second"]
        assert (await ask(routed, form)).routes == ["second"]  # an answer of no limit is taken to have 500 tokens


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("first", "second", "short", "long"),
    [
        ({"tiers": [{"above": 5000, "input": 9.0}]}, {"input": 2.0}, "first", "second"),
        ({"requests": 2.0}, {"input": 2.0}, "second", "first"),
        ({}, {"service_tiers": {"flex": {"input": 0.1, "output": 0.1}}}, "first", "first"),
    ],
)
async def test_the_cheapest_route_is_told_by_all_of_its_price(
    first: dict[str, object], second: dict[str, object], short: str, long: str, stage: Stage
) -> None:
    """Long prompts, requests; what nobody asks for is not reckoned with."""
    plain = {"input": 1.0, "output": 1.0}
    pair = [{"price": {**plain, **more}} for more in (first, {"input": 1.5, **second})]
    async with router(stage, "cheapest", first=pair[0], second=pair[1]) as routed:
        assert (await ask(routed, Form("async"), max_tokens=10)).routes == [short]
        assert (await ask(routed, Form("async"), messages=LONG, max_tokens=10)).routes == [long]


@pytest.mark.anyio
async def test_the_cheapest_route_is_that_of_the_service_tier_that_is_asked_for(stage: Stage) -> None:
    """By the app, or by the route itself."""
    first: dict[str, object] = price(1.0, 1.0)
    flex = {"service_tiers": {"flex": {"input": 0.1, "output": 0.1}}}
    second: dict[str, object] = {"price": {"input": 2.0, "output": 2.0, **flex}}
    async with router(stage, "cheapest", first=first, second=second) as routed:
        assert (await ask(routed, Form("async"))).routes == ["first"]
        assert (await ask(routed, Form("async"), service_tier="flex")).routes == ["second"]
    async with router(stage, "cheapest", first=first, second={**second, "drop": ["service_tier"]}) as routed:
        assert (await ask(routed, Form("async"), service_tier="flex")).routes == ["first"]


@pytest.mark.anyio
@pytest.mark.parametrize("form", FORMS, ids=str)
async def test_a_route_of_unknown_price_goes_last_and_still_answers(stage: Stage, form: Form) -> None:
    """Nobody reckons with a price that nobody knows."""
    async with router(stage, "cheapest", second=price(100.0, 100.0)) as routed:
        assert (await ask(routed, form)).routes == ["second"]
        stage.second.script("model-two", Status(401))
        assert (await ask(routed, form)).routes == ["second", "first"]


@pytest.mark.anyio
@pytest.mark.parametrize("form", FORMS, ids=str)
async def test_the_fastest_route_goes_first_once_both_are_known(
    stage: Stage, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are tried until they are. A stream counts to its first content, however long the rest of it takes."""
    first, second = Answer(delay=0.5), Answer()
    if form.stream:
        first, second = StreamOf(first_token_delay=0.5), StreamOf(interval=0.05)  # type: ignore[assignment]
    stage.first.script("model-one", first)
    stage.second.script("model-two", second)
    async with router(stage, "fastest") as routed:
        for known in ("second", "first"):
            monkeypatch.setattr(
                candidate_selector, "_random_pick", lambda route, known=known: 0.1 if route == known else 0.5
            )
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(ask, routed, form)
        assert [stage.first.request_count, stage.second.request_count] == [3, 3]
        assert (await ask(routed, form)).routes == ["second"]


@pytest.mark.anyio
@pytest.mark.parametrize("form", FORMS, ids=str)
async def test_a_route_that_fails_is_not_the_fastest(stage: Stage, form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure at once takes no time at all, and counts for nothing but a failure."""
    monkeypatch.setattr(candidate_selector, "_random_pick", lambda route: 0.1 if route == "first" else 0.5)
    stage.first.script("model-one", Status(529))
    async with router(stage, "fastest") as routed:
        assert (await ask(routed, form)).routes == ["first", "second"]
        assert (await ask(routed, form)).routes == ["second"]


@pytest.mark.anyio
@pytest.mark.parametrize("form", WHOLE, ids=str)
async def test_a_subject_stays_on_its_route_over_routers_and_restarts(stage: Stage, form: Form) -> None:
    """Nothing is remembered: the subject alone decides, the same in every worker. Subjects are shared out."""
    seen: dict[str, set[str]] = {}
    for _ in range(2):
        async with router(stage, "weight", sticky="subject") as routed:
            for number in range(24):
                subject = f"user-{number}"
                with routed.scope(subject=subject) as scope:
                    got = await ask_in(scope, form)
                seen.setdefault(subject, set()).update(got.routes)
    assert all(len(routes) == 1 for routes in seen.values())
    assert {route for routes in seen.values() for route in routes} == {"first", "second"}


@pytest.mark.anyio
@pytest.mark.parametrize("form", FORMS, ids=str)
async def test_a_subject_moves_on_when_its_route_fails_and_comes_back(stage: Stage, form: Form) -> None:
    """What keeps a conversation together never keeps it from its answer."""
    async with router(stage, "weight", sticky="subject") as routed:
        (home,) = (await ask(routed, form, subject="user-7")).routes
        provider, model = (stage.first, "model-one") if home == "first" else (stage.second, "model-two")
        provider.script(model, Status(529), Answer("back"))
        away = (await ask(routed, form, subject="user-7")).routes
        assert away == [home, "second" if home == "first" else "first"]
        assert (await ask(routed, form, subject="user-7")).routes == [home]


@pytest.mark.anyio
async def test_without_a_subject_a_sticky_task_draws(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """By weight, as if it were not sticky."""
    async with router(stage, "weight", sticky="subject") as routed:
        for low in ("first", "second"):
            monkeypatch.setattr(candidate_selector, "_random_pick", lambda route, low=low: 0.1 if route == low else 0.9)
            assert (await ask(routed, WHOLE[0])).routes == [low]


@pytest.mark.anyio
@pytest.mark.parametrize("form", FORMS, ids=str)
async def test_a_question_too_long_for_a_route_skips_it_before_sending(stage: Stage, form: Form) -> None:
    """And ``explain`` says so; a short one is not kept from it."""
    async with Router.from_mapping(config(stage, first={"context_window": 8000})) as routed:
        assert (await ask(routed, form, messages=LONG)).routes == ["second"]
        got = await ask(routed, form)
        assert got.routes == ["first"]
        got = await ask(routed, form, messages=LONG)
    assert "skips first (primary): has a window of 8000 tokens, and the question has about" in got.call.explain()
    assert stage.first.request_count == 1


@pytest.mark.anyio
@pytest.mark.parametrize("form", WHOLE, ids=str)
async def test_more_output_than_a_route_gives_skips_it(stage: Stage, form: Form) -> None:
    """The app's limit is neither cut nor sent to be refused."""
    async with Router.from_mapping(config(stage, first={"max_output": 4096})) as routed:
        assert (await ask(routed, form, max_tokens=4096)).routes == ["first"]
        got = await ask(routed, form, max_tokens=5000)
    assert got.routes == ["second"]
    own = {"max_output": 4096, "set": {"max_tokens": 4096}}
    async with Router.from_mapping(config(stage, first=own)) as routed:
        assert (await ask(routed, form, max_tokens=5000)).routes == ["first"]  # its own limit is what it gets
    assert "answers with 4096 tokens at the most, and 5000 are asked for" in got.call.explain()


@pytest.mark.anyio
@pytest.mark.parametrize("form", WHOLE, ids=str)
async def test_a_sensitive_call_too_long_for_its_approved_route_is_tried_there_and_nowhere_else(
    stage: Stage, form: Form
) -> None:
    """Another route with more room is none for it: the approved one has the word."""
    more = {"sensitive": {"payment": {"routes": ["first"]}}}
    async with Router.from_mapping(config(stage, first={"context_window": 8000}, more=more)) as routed:
        got = await ask_in(routed.scope(sensitive="payment"), form, messages=LONG)
    assert got.routes == ["first"]
    assert stage.second.request_count == 0


# -- what rests on one provider's memory ---------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("client", ["async", "sync"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_response_is_gone_on_from_where_it_was_made(stage: Stage, client: str, stream: bool) -> None:
    """By a fallback, say: the next turn goes there, though the primary is well again; also when it was a stream."""
    stage.first.script("model-one", Status(529), Answer("first again"))
    async with Router.from_mapping(config(stage)) as routed:
        with routed.scope() as scope:
            made = await using(scope, client, lambda it: respond(it, client, stream=stream, input="Where is it?"))
            turn = {"input": "And now?", "previous_response_id": made}
            await using(scope, client, lambda it: respond(it, client, stream=stream, **turn))
    assert [call.route for call in scope.calls] == ["second", "second"]
    assert scope.calls[1].attempts[0].route == "second"


@pytest.mark.anyio
@pytest.mark.parametrize("client", ["async", "sync"])
@pytest.mark.parametrize("conversation", ["conv_1", {"id": "conv_1"}], ids=["text", "object"])
async def test_a_conversation_stays_with_the_provider_that_answered_in_it(
    stage: Stage, client: str, conversation: object
) -> None:
    """The first turn asks the primary's provider; from the answer on the route is known."""
    async with Router.from_mapping(config(stage, task={"start": "equivalent"})) as routed:
        with routed.scope() as scope:
            turn = {"input": "Where is it?", "conversation": conversation}
            for _ in range(2):
                await using(scope, client, lambda it: respond(it, client, stream=False, **turn))
    assert [call.route for call in scope.calls] == ["first", "first"]
    assert stage.second.request_count == 0


@pytest.mark.anyio
@pytest.mark.parametrize("client", ["async", "sync"])
async def test_a_response_of_a_route_that_the_task_lacks_is_gone_on_from_at_its_provider(
    stage: Stage, client: str
) -> None:
    """Another task made it, by another model of the same account."""
    mapping: Any = config(stage)
    mapping["routes"]["other"] = {"provider": "second-provider", "model": "model-three"}
    mapping["tasks"]["elsewhere"] = {"primary": "other"}
    async with Router.from_mapping(mapping) as routed:
        with routed.scope() as scope:
            made = await using(
                scope, client, lambda it: respond(it, client, stream=False, task="elsewhere", input="Hi")
            )
            turn = {"input": "And now?", "previous_response_id": made}
            await using(scope, client, lambda it: respond(it, client, stream=False, **turn))
    assert [call.route for call in scope.calls] == ["other", "second"]


@pytest.mark.anyio
@pytest.mark.parametrize("form", [*WHOLE, *STREAMS], ids=str)
async def test_a_chat_with_a_stored_file_stays_with_the_primary_provider(stage: Stage, form: Form) -> None:
    """Though the primary fails: nobody else has the file."""
    stage.first.script("model-one", Status(401))
    file: Any = [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]
    async with Router.from_mapping(config(stage)) as routed:
        got = await ask(routed, form, messages=file)
    assert got.error is not None
    assert got.routes == ["first"]
    assert "the call is bound to what first-provider keeps" in str(got.error)
    assert stage.second.request_count == 0


@pytest.mark.anyio
@pytest.mark.parametrize("client", ["async", "sync"])
async def test_while_its_route_is_left_alone_a_bound_call_is_told_when_to_come_back(stage: Stage, client: str) -> None:
    """The breaker is open: nobody else is asked, and the error says for how long and why."""
    stage.first.script("model-one", Answer("made"), Status(401))
    async with Router.from_mapping(config(stage)) as routed:
        with routed.scope() as scope:
            made = await using(scope, client, lambda it: respond(it, client, stream=False, input="Where is it?"))
            await ask_in(scope, Form("async"))
            turn = {"input": "And now?", "previous_response_id": made}
            with pytest.raises(NoRouteAvailable) as caught:
                await using(scope, client, lambda it: respond(it, client, stream=False, **turn))
    assert [call.route for call in scope.calls] == ["first", "second", None]
    assert "first (primary) not tried: is open after auth" in str(caught.value)
    assert "second (equivalent) not tried: the call is bound to first" in str(caught.value)
    assert int(caught.value.response.headers["retry-after"]) >= 1


async def _respond(client: Any, options: dict[str, Any]) -> str:
    if not options["stream"]:
        return (await client.responses.create(**options)).id
    made = ""
    async for event in await client.responses.create(**options):
        made = getattr(event, "response", None).id if event.type == "response.created" else made
    return made


def _respond_sync(client: Any, options: dict[str, Any]) -> str:
    if not options["stream"]:
        return client.responses.create(**options).id
    made = ""
    for event in client.responses.create(**options):
        made = event.response.id if event.type == "response.created" else made
    return made


def respond(client: Any, kind: str, *, stream: bool, task: str = "both", **options: Any) -> Any:
    """The id of a response."""
    asked = {"model": task, "stream": stream, **options}
    return _respond_sync(client, asked) if kind == "sync" else _respond(client, asked)
