"""What a sensitive task could not answer, no other task of the request answers elsewhere, however it is put."""

from __future__ import annotations

import pytest

from lanewise import FailClosed, Outcome, Router, StreamBroken
from lanewise.testing import Status, StreamOf
from router.driving import FORMS, Form, Stage, ask_in, config

pytestmark = pytest.mark.anyio

each_form = pytest.mark.parametrize("form", FORMS, ids=str)
SECRET = {"secret": {"deadline": "10s", "primary": "first", "equivalent": "second", "sensitive": "payment"}}


def router_of(stage: Stage) -> Router:
    """The task ``secret`` is sensitive, and approved is only the first route; ``both`` is not."""
    mapping = config(stage, more={"sensitive": {"payment": {"routes": ["first"]}}})
    mapping["tasks"].update(SECRET)  # type: ignore[attr-defined]
    return Router.from_mapping(mapping)


@each_form
async def test_a_question_that_failed_closed_is_not_answered_by_another_task(form: Form, stage: Stage) -> None:
    """As LangChain's with_fallbacks would have it, which catches every exception."""
    stage.first.script_all(Status(401))
    async with router_of(stage) as router:
        scope = router.scope()
        first = await ask_in(scope, form, "secret")
        again = await ask_in(scope, form, "both", temperature=0.5)

    assert isinstance(first.error, FailClosed)
    assert isinstance(again.error, FailClosed)
    assert [call.sensitive for call in scope.calls] == [("payment",), ("payment",)]
    assert [call.outcome for call in scope.calls] == [Outcome.REFUSED, Outcome.REFUSED]
    assert stage.second.request_count == 0


@each_form
@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "Something else."}],
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        [{"role": "user", "name": "anna", "content": "Hi"}],
        [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    ],
    ids=["another question", "a system message more", "a name", "content parts"],
)
async def test_it_is_the_request_that_rises(messages: list[dict[str, object]], form: Form, stage: Stage) -> None:
    """However the question is put; another scope is what its tasks say."""
    stage.first.script_all(Status(401))
    async with router_of(stage) as router:
        scope = router.scope()
        await ask_in(scope, form, "secret")
        again = await ask_in(scope, form, "both", messages=messages)
        assert isinstance(again.error, FailClosed)
        assert stage.second.request_count == 0
        assert (await ask_in(router.scope(), form, "both")).error is None
    assert scope.sensitive == {"payment"}


@each_form
async def test_the_scopes_around_rise_too(form: Form, stage: Stage) -> None:
    """And so do those that are opened in them afterwards, and a client that is bound to another scope."""
    stage.first.script_all(Status(401))
    async with router_of(stage) as router:
        kept = router.scope()
        with router.scope() as outer:
            with router.scope() as inner:
                await ask_in(inner, form, "secret")
            tried = [await ask_in(scope, form, "both") for scope in (outer, router.scope(), kept)]
    assert [type(each.error) for each in tried] == [FailClosed] * 3
    assert stage.second.request_count == 0


@each_form
async def test_an_approved_route_may_still_answer_it(form: Form, stage: Stage) -> None:
    """Once it is well again: what is closed is the way to the others."""
    stage.first.script("model-one", Status(400, {"code": "invalid_image_url"}), StreamOf())
    async with router_of(stage) as router:
        scope = router.scope()
        assert isinstance((await ask_in(scope, form, "secret")).error, FailClosed)
        again = await ask_in(scope, form, "both")

    assert (again.error, again.text, again.routes) == (None, "Hello from the stream", ["first"])


@pytest.mark.parametrize("form", [form for form in FORMS if form.stream], ids=str)
async def test_a_sensitive_stream_that_broke_closes_its_question_too(form: Form, stage: Stage) -> None:
    """What was begun by an approved route is not ended by another one."""
    stage.first.script_all(StreamOf(interval=0.15, cut_after=2))
    async with router_of(stage) as router:
        scope = router.scope()
        first = await ask_in(scope, form, "secret")
        stage.first.script_all(Status(401))
        again = await ask_in(scope, form, "both")

    assert isinstance(first.error, FailClosed)
    assert not isinstance(first.error, StreamBroken)
    assert isinstance(again.error, FailClosed)
    assert stage.second.request_count == 0


@each_form
async def test_an_ordinary_failure_closes_nothing(form: Form, stage: Stage) -> None:
    """An app may ask another task after an error, as it always could."""
    stage.first.script_all(Status(401))
    async with router_of(stage) as router:
        scope = router.scope()
        first = await ask_in(scope, form, "alone")
        again = await ask_in(scope, form, "both")

    assert not isinstance(first.error, FailClosed)
    assert [call.outcome for call in scope.calls] == [Outcome.FAILED, Outcome.ANSWERED]
    assert (again.error, again.routes[-1]) == (None, "second")
