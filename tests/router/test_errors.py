"""Final errors: the class that the app knows, the record of the call, a message that says where it went, no secrets."""

from __future__ import annotations

import logging
import pickle
import re
import traceback
from typing import Any

import anyio
import openai
import pytest

from lanewise import (
    AnswerCut,
    BadResponse,
    DeadlineExceeded,
    FailClosed,
    FailureKind,
    NotInScope,
    Outcome,
    Router,
    RouterClosed,
    RoutingError,
    StreamBroken,
    Unreachable,
    UpstreamTimeout,
)
from lanewise.router import scopes_of
from lanewise.testing import Answer, Behaviour, Body, Html, JsonBody, Raw, Silence, Status, StreamOf
from router.driving import (
    FIRST_KEY,
    FIRST_MODEL,
    FORMS,
    PROMPT,
    SECOND_KEY,
    SECOND_MODEL,
    WHOLE,
    Form,
    Got,
    Stage,
    ask,
    ask_in,
    config,
    using,
)

pytestmark = pytest.mark.anyio

each_form = pytest.mark.parametrize("form", FORMS, ids=str)
each_client = pytest.mark.parametrize("form", WHOLE, ids=str)

PROVIDER_TEXT = "canary-provider-text that quotes " + PROMPT
ANSWER = "canary-answer"
CANARIES = ("canary-prompt", "canary-answer", "canary-provider-text", FIRST_KEY, SECOND_KEY)

FINAL: dict[str, tuple[Behaviour, type[RoutingError], type[openai.OpenAIError], int | None]] = {
    "400": (Status(400, {"message": PROVIDER_TEXT}), RoutingError, openai.BadRequestError, 400),
    "401": (Status(401, {"message": PROVIDER_TEXT}), RoutingError, openai.AuthenticationError, 401),
    "403": (Status(403, {"message": PROVIDER_TEXT}), RoutingError, openai.PermissionDeniedError, 403),
    "404": (Status(404, {"message": PROVIDER_TEXT}), RoutingError, openai.NotFoundError, 404),
    "409": (Status(409, {"message": PROVIDER_TEXT}), RoutingError, openai.ConflictError, 409),
    "422": (Status(422, {"message": PROVIDER_TEXT}), RoutingError, openai.UnprocessableEntityError, 422),
    "429": (Status(429, {"message": PROVIDER_TEXT}), RoutingError, openai.RateLimitError, 429),
    "500": (Status(500, {"message": PROVIDER_TEXT}), RoutingError, openai.InternalServerError, 500),
    "503": (Status(503, {"message": PROVIDER_TEXT}), RoutingError, openai.InternalServerError, 503),
    "html": (Html(PROVIDER_TEXT), BadResponse, openai.APIResponseValidationError, None),
    "no-http": (Raw(PROVIDER_TEXT), AnswerCut, openai.APIConnectionError, None),
    "cut": (Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"), AnswerCut, openai.APIConnectionError, None),
    "undecodable": (Body("{}", encoding="gzip", compress=False), BadResponse, openai.APIResponseValidationError, None),
    "error-in-200": (
        JsonBody({"error": {"message": PROVIDER_TEXT, "code": "rate_limit_exceeded"}}),
        RoutingError,
        openai.RateLimitError,
        429,
    ),
    "code-as-message": (Status(400, {"code": PROVIDER_TEXT * 9}), RoutingError, openai.BadRequestError, 400),
    "no-choices": (JsonBody({"choices": [], "note": ANSWER}), BadResponse, openai.APIResponseValidationError, None),
    "silence": (Silence(), DeadlineExceeded, openai.APITimeoutError, None),
}


def _safe(error: BaseException, *more: str) -> None:
    """Check that no secret is in anything that could be logged or sent."""
    seen = [str(error), repr(error), repr(error.args), repr(vars(error)), *more]
    seen += traceback.format_exception(error)
    seen.append(repr(pickle.dumps(error)))
    request = getattr(error, "request", None)
    if request is not None:
        seen += [repr(request), repr(request.headers), repr(request.url), repr(request.read())]
    response = getattr(error, "response", None)
    if response is not None:
        seen += [repr(response), repr(response.headers), response.text]
    seen.append(repr(getattr(error, "body", None)))
    for text in seen:
        for canary in CANARIES:
            assert canary not in text


@each_form
@pytest.mark.parametrize("name", FINAL)
@pytest.mark.usefixtures("hurried")
async def test_a_final_error_is_what_the_app_catches_and_holds_no_secret(
    name: str, form: Form, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """The SDK's class and ours, the record, a message, all over again after a pickle, and never a secret."""
    behaviour, ours, native, status = FINAL[name]
    caplog.set_level(logging.DEBUG)
    for provider in (stage.first, stage.second):
        provider.script_all(behaviour)
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form, timeout=1.5 if name == "silence" else 8.0)

    error = got.error
    assert isinstance(error, ours)
    assert isinstance(error, native), repr(error)
    assert isinstance(error, RoutingError)
    assert error.call is got.call
    assert got.scope.call_for(error) is got.call
    assert got.call.outcome is Outcome.FAILED
    if status is not None:
        assert isinstance(error, openai.APIStatusError)
        assert error.status_code == status
        assert error.response.headers["x-should-retry"] == "false"
    response = getattr(error, "response", None)
    if response is not None:
        assert response.elapsed.total_seconds() * 1000 == pytest.approx(got.call.total_ms, abs=0.01)
    for attempt in got.call.attempts:
        assert f"{attempt.route} ({attempt.lane})" in str(error)
        assert str(attempt.failure) in str(error)
    _safe(error, caplog.text, *(repr(vars(record)) for record in caplog.records), got.call.explain(), repr(got.scope))
    again: Any = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.call.id == got.call.id
    assert [attempt.failure for attempt in again.call.attempts] == [attempt.failure for attempt in got.call.attempts]
    assert again.retry_after == error.retry_after


@each_client
@pytest.mark.usefixtures("hurried")
async def test_the_message_names_each_route_its_status_failure_code_and_what_was_skipped(
    form: Form, stage: Stage
) -> None:
    """One readable line tells what was tried, what came of it, and what was not tried and why."""
    stage.first.script(FIRST_MODEL, Status(500))
    stage.second.script(SECOND_MODEL, Status(401))
    more: Any = config(stage, second={"drop": ["tools"]}, task={"primary": ["first", "third"]})
    more["routes"]["third"] = {"provider": "second-provider", "model": SECOND_MODEL}
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    async with Router.from_mapping(more) as router:
        got = await ask(router, form, tools=tools)

    message = str(got.error)
    assert "task 'both'" in message
    assert "first (primary) 500, outage" in message
    assert "third (primary) 401, auth, code invalid_api_key" in message
    assert "second (equivalent) not tried: can't take tools" in message
    assert got.call.id in message


@each_client
@pytest.mark.usefixtures("hurried")
async def test_the_message_names_the_routes_that_a_call_never_came_to(form: Form, stage: Stage) -> None:
    """With what kept it from them: the attempts, the time, or their own list of failures."""
    stage.first.script(FIRST_MODEL, Status(500))
    more: Any = config(stage, task={"primary": ["first", "more"], "equivalent": {"routes": ["second"], "on": ["auth"]}})
    more["routes"]["more"] = more["routes"]["first"]
    more["routes"]["spare"] = more["routes"]["first"]
    more["tasks"]["both"]["degraded"] = "spare"
    more["tasks"]["alone"] = {"primary": ["first", "more", "spare"], "max_attempts": 2}
    async with Router.from_mapping(more) as router:
        unlisted = await ask(router, form)
        used_up = await ask(router, form, "alone")
        stage.first.script(FIRST_MODEL, Silence())
        late = await ask(router, form, "alone", timeout=0)

    assert "second (equivalent) not tried: is not used after outage" in str(unlisted.error)
    assert "spare (primary) not tried: no attempt is left for it. Stopped: all 2 attempts" in str(used_up.error)
    assert "skips spare (primary): no attempt is left for it" in used_up.call.explain()
    assert "more (primary) not tried: no time is left for it" in str(late.error)
    assert "the deadline of 0 s passed before the first attempt" in str(late.error)


@each_client
async def test_the_message_tells_what_a_status_does_not(form: Form, stage: Stage) -> None:
    """In our words: which header, how long to wait, which parameter, what a page of HTML may mean."""
    stage.first.script(
        FIRST_MODEL,
        Status(429, retry_after=7),
        Status(400, {"code": "invalid_value", "param": "temperature"}),
        Html(PROVIDER_TEXT),
    )
    told = []
    for _ in range(3):  # each by a router that knows nothing of the answers before
        async with Router.from_mapping(config(stage)) as router:
            told.append(str((await ask(router, form, "alone", timeout=1.0)).error))
    async with Router.from_mapping(config(stage)) as router:
        wrong = await ask(router, form, "alone", extra_headers={"X-Note": "canary\r\nX-Admin: yes"})
        await anyio.to_thread.run_sync(stage.first.stop)
        dead = await ask(router, form, "alone", timeout=1.0)

    assert "429, rate_limit, code rate_limit_exceeded, asks to wait 7 s" in told[0]
    assert "400, bad_request, code invalid_value, parameter temperature" in told[1]
    assert "200, bad_response, the answer is HTML: is the base URL right?" in told[2]
    assert "no answer, local, the value of header x-note is not plain ASCII text" in str(wrong.error)
    assert "(the value of header x-note is not plain ASCII text)" in wrong.call.explain()
    assert re.search(r"unreachable, no connection was made \(ECONNREFUSED\) \([23] times\)\. ", str(dead.error))
    for error in (*told, wrong.error, dead.error):
        assert "canary" not in str(error)


@each_client
async def test_no_retries_of_the_sdk_come_on_top(form: Form, stage: Stage) -> None:
    """An app that turns the SDK's retries on gets the router's, and no more."""
    stage.first.script_all(Status(429, retry_after=0.01))
    async with Router.from_mapping(config(stage)) as router:
        scope = router.scope()
        with pytest.raises(openai.RateLimitError):
            await using(
                scope,
                form.client,
                lambda client: client.with_options(max_retries=5).chat.completions.create(
                    model="alone", messages=[{"role": "user", "content": "hi"}]
                ),
            )
    assert len(scope.calls) == 1
    assert stage.first.request_count == len(scope.calls[0].attempts) <= 4


@each_form
@pytest.mark.usefixtures("hurried")
async def test_a_provider_that_says_not_to_retry_is_obeyed(form: Form, stage: Stage) -> None:
    """x-should-retry: false makes a same-route retry a switch; true makes a switch a same-route retry."""
    stage.first.script_all(Status(500, headers={"x-should-retry": "false"}))
    async with Router.from_mapping(config(stage)) as router:
        obeyed = await ask(router, form)
        stage.first.script_all(Status(424, headers={"x-should-retry": "true"}), Answer("again"))
        again = await ask(router, form)

    assert obeyed.routes == ["first", "second"]
    assert again.routes == ["first", "first"]
    assert again.text == "again"


@each_form
async def test_retry_after_reaches_the_app(form: Form, stage: Stage) -> None:
    """Where waiting may help, the error says for how long, as the SDK's users read it."""
    stage.first.script_all(Status(429, retry_after=7))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form, "alone", timeout=1.0)

    assert isinstance(got.error, openai.RateLimitError)
    assert got.error.retry_after == 7.0  # type: ignore[attr-defined]
    assert got.error.response.headers["retry-after"] == "7"


@each_client
async def test_a_broken_stream_survives_a_pickle_and_holds_nothing_of_the_answer(form: Form, stage: Stage) -> None:
    """Celery and multiprocessing carry errors by pickle."""
    stage.first.script_all(StreamOf(chunks=(ANSWER, ANSWER), interval=0.1, cut_after=1))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, Form(form.client, stream=True))

    assert ANSWER in got.text
    assert isinstance(got.error, StreamBroken)
    _safe(got.error)
    assert isinstance(pickle.loads(pickle.dumps(got.error)), StreamBroken)


@each_client
@pytest.mark.usefixtures("hurried")
async def test_explain_tells_each_step_with_its_time(form: Form, stage: Stage) -> None:
    """Why each route was or was not tried, a line a step."""
    stage.first.script(FIRST_MODEL, Status(500), Status(429, retry_after=60))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form)

    lines = got.call.explain().splitlines()
    assert lines[0] == f"call {got.call.id} to task 'both' (request req-2026-000042)"
    assert "tries first (primary), 8.0 s at most: outage, HTTP 500" in lines[1]
    assert "waits" in lines[2]
    assert "tries again first (primary)" in lines[3]
    assert "rate_limit, HTTP 429" in lines[3]
    assert "switches to second (equivalent)" in lines[4]
    assert "answered" in lines[4]
    assert lines[5].startswith("=> answered by second (equivalent) after")


async def test_a_closed_router_says_so(stage: Stage) -> None:
    """Using a router after it was closed is no mystery, and it can be opened again."""
    router = Router.from_mapping(config(stage))
    async with router:
        scope = router.scope()
    got = await ask_in(scope, Form("async"))
    assert isinstance(got.error, RouterClosed)
    assert isinstance(got.error, RoutingError)
    async with router:
        assert (await ask_in(router.scope(), Form("async"))).text == "Hello from model-one"


async def test_a_lost_scope_is_refused_where_an_adapter_is_installed(stage: Stage) -> None:
    """A lost context must not become an unmarked call."""
    async with Router.from_mapping(config(stage)) as router:
        scopes_of(router).require()
        client = openai.AsyncOpenAI(http_client=router.http_client(), api_key="-", max_retries=0)
        with pytest.raises(NotInScope) as caught:
            await client.chat.completions.create(model="both", messages=[{"role": "user", "content": PROMPT}])
    assert "router.scope()" in str(caught.value)
    assert not isinstance(caught.value, openai.APIError)
    _safe(caught.value)
    assert stage.received() == []


def test_the_classes_are_those_of_the_design() -> None:
    """What else each error is, so that what the app catches already still catches."""
    assert issubclass(DeadlineExceeded, openai.APITimeoutError)
    assert issubclass(UpstreamTimeout, openai.APITimeoutError)
    assert issubclass(Unreachable, openai.APIConnectionError)
    assert not issubclass(Unreachable, openai.APITimeoutError)
    assert issubclass(StreamBroken, openai.APIConnectionError)
    assert issubclass(BadResponse, openai.APIResponseValidationError)
    assert issubclass(FailClosed, openai.OpenAIError)
    assert not issubclass(FailClosed, openai.APIError)


@each_client
async def test_a_failure_that_only_the_rules_of_one_lane_caused_goes_on(form: Form, stage: Stage) -> None:
    """A bad request ends a call: unless only this lane's own rules made it, and an earlier lane worked on the body."""
    stage.first.script(FIRST_MODEL, Html())
    stage.second.script(SECOND_MODEL, Status(400))
    mapping: Any = config(stage, second={"set": {"service_tier": "odd"}}, task={"degraded": "third"})
    mapping["routes"]["third"] = {"provider": "second-provider", "model": "model-three"}
    async with Router.from_mapping(mapping) as router:
        got: Got = await ask(router, form)
        plain: Got = await ask(router, form, "alone")

    assert got.routes == ["first", "second", "third"]
    assert got.text == "Hello from model-three"
    assert plain.call.failure is FailureKind.BAD_RESPONSE
