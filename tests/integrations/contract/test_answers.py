"""What callers see when calls fail: problems that give nothing away, streams that never end as if they were whole."""

from __future__ import annotations

import time
from dataclasses import dataclass

import openai
import pytest

from busy_machine import LONG_ENOUGH
from integrations.contract import actions
from integrations.contract.actions import BOARD
from integrations.contract.asking import hanging
from integrations.contract.harness import OWN_ANSWER, AppPlan, Driver, EndpointSpec
from integrations.contract.served_apps import ServedApp, Stage, config, started
from lanewise import Router, RoutingError
from lanewise.testing import Behaviour, Html, Silence, SlowHeaders, Status, StreamOf

SECRETS = ("provider", "model-", "canary", "127.0.0.1", "first", "second", "backup", "rationed", "rate_limit", "openai")


@dataclass(frozen=True)
class Case:
    """A failure of the approved route, and the problem that it is to the caller."""

    behaviour: Behaviour
    path: str
    status: int
    retry_after: str | None = None
    no_store: bool = False
    parameter: str | None = None


def _says(status: int, **fields: object) -> Status:
    return Status(status, {"message": "canary-upstream: the model said", **fields})


CASES = {
    "every route failed": Case(_says(500), "/whole?task=alone", 503, retry_after="1"),
    "an overload": Case(_says(503), "/whole_sync?task=alone", 503, retry_after="1"),
    "no answer at all": Case(Html("canary-upstream"), "/whole?task=alone", 503, retry_after="1"),
    "rationed": Case(Status(429, retry_after=7), "/whole?task=rationed", 503, retry_after="7"),
    "deadline": Case(Silence(), "/whole?task=hasty", 504),
    "bad request": Case(_says(400, param="temperature"), "/whole", 422, parameter="temperature"),
    "too long": Case(_says(400, code="context_length_exceeded", param="messages"), "/whole_sync", 422,
                     parameter="messages"),
    "content policy": Case(_says(400, code="content_filter"), "/whole", 422),
    "the app's own mistake": Case(_says(500), "/own_mistake", 500),
    "sensitive, an outage": Case(_says(500), "/sensitive/whole", 503, retry_after="1", no_store=True),
    "sensitive, an outage, sync": Case(_says(500), "/sensitive/whole_sync", 503, retry_after="1", no_store=True),
    "sensitive, a swap": Case(StreamOf(model="canary-cheap"), "/sensitive/whole", 503, no_store=True),
    "sensitive, a bad request": Case(_says(400, param="temperature"), "/sensitive/whole", 503, no_store=True),
    "sensitive, the app's own mistake": Case(_says(500), "/sensitive/own_mistake", 503, no_store=True),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_failed_call_is_a_problem(name: str, served: ServedApp) -> None:
    """By the table, and with no word of a provider, a model, a key, the prompt or upstream's text."""
    case = CASES[name]
    served.stage.approved.script_all(case.behaviour)
    reply = served.get(case.path, {"X-Request-ID": "problem-00001"})
    assert (reply.status, reply.is_problem, reply.whole) == (case.status, True, True)
    assert reply.header("retry-after") == case.retry_after
    assert reply.header("cache-control") == ("no-store" if case.no_store else None)
    assert reply.json["status"] == case.status
    assert reply.json["request_id"] == reply.header("x-request-id") == "problem-00001"
    assert reply.json.get("parameter") == case.parameter
    assert not [secret for secret in SECRETS if secret in f"{reply.text} {reply.headers}"]


@pytest.mark.parametrize("path", ["/whole?task=alone", "/whole_sync?task=alone", "/sensitive/whole", "/own_mistake"])
def test_a_problem_names_the_call_that_it_is_of(path: str, served: ServedApp) -> None:
    """The id that ``lanewise explain`` and the records know it by; none where there was no call."""
    served.stage.approved.script_all(_says(500))
    made: list[str] = []
    served.router.on_call(lambda call: made.append(call.id))
    reply = served.get(path)
    assert reply.is_problem
    if path == "/own_mistake":
        assert "call_id" not in reply.json
        return
    until = time.monotonic() + LONG_ENOUGH
    while reply.json["call_id"] not in made:  # the record of a call is written a moment after its answer
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_failure_that_time_does_not_cure_asks_nobody_to_wait(driver: Driver, stage: Stage) -> None:
    """A wrong key stays wrong: no Retry-After."""
    stage.approved.script_all(Status(401))
    plan = AppPlan(Router.from_mapping(config(stage)), [EndpointSpec("/refund", actions.whole, category="payment")])
    with started(driver, plan, stage) as served:
        reply = served.get("/refund")
    assert (reply.status, reply.header("retry-after"), reply.header("cache-control")) == (503, None, "no-store")


def test_an_error_of_the_app_s_own_is_its_own(served: ServedApp) -> None:
    """What has nothing to do with AI stays as the framework has it."""
    reply = served.get("/boom")
    assert (reply.status, reply.is_problem) == (500, False)


HANDLED = {
    "the class of the status": (openai.RateLimitError, Status(429, retry_after=30), "/whole?task=rationed"),
    "a wider class": (openai.APIStatusError, Status(400), "/whole"),
    "a bad request": (openai.BadRequestError, Status(400), "/whole_sync"),
    "an outage": (openai.InternalServerError, Status(500), "/whole_sync?task=alone"),
    "openai's base class": (openai.OpenAIError, Status(500), "/sensitive"),
    "the router's class": (RoutingError, Status(500), "/sensitive"),
}


@pytest.mark.parametrize("name", HANDLED)
def test_the_app_s_own_handler_wins(name: str, driver: Driver, stage: Stage) -> None:
    """An app that already answers an openai class goes on to; the rest are problems as before."""
    kind, behaviour, path = HANDLED[name]
    stage.approved.script_all(behaviour)
    specs = [
        EndpointSpec("/whole", actions.whole),
        EndpointSpec("/whole_sync", actions.whole_sync),
        EndpointSpec("/sensitive", actions.whole, category="payment"),
    ]
    plan = AppPlan(Router.from_mapping(config(stage)), specs, own_handlers=[kind])
    with started(driver, plan, stage) as served:
        reply = served.get(path)
        stage.approved.script_all(Status(500))
        closed = served.get("/sensitive?task=alone")
    assert (reply.status, reply.text) == OWN_ANSWER
    assert reply.all("x-request-id")
    if kind in (openai.OpenAIError, RoutingError):
        assert closed.status == OWN_ANSWER[0]
    else:
        assert (closed.status, closed.is_problem) == (503, True)


# -- streams -----------------------------------------------------------------------------------------------------------

BREAKS = {
    "cut": StreamOf(interval=0.02, cut_after=2),
    "reset": StreamOf(interval=0.02, cut_after=2, cut="reset"),
    "an error event": StreamOf(interval=0.02, error_event_after=2),
    "no end": StreamOf(interval=0.02, no_done=True, no_finish_reason=True),
    "nonsense": StreamOf(interval=0.02, malformed_after=2),
}
STREAMS = ("/streamed", "/streamed_sync", "/streamed_late", "/streamed_late_sync")


@pytest.mark.parametrize("name", BREAKS)
@pytest.mark.parametrize("path", [*STREAMS, *(f"/sensitive{path}" for path in STREAMS)])
def test_a_stream_that_breaks_never_ends_normally(name: str, path: str, served: ServedApp) -> None:
    """The connection is aborted: nobody takes half an answer for a whole one. Nobody else goes on with it either.

    A machine that is busy reads the break together with the first piece. Then nothing was sent yet: it is a 503, or the
    whole answer of another route where that may give one.
    """
    served.stage.approved.script_all(BREAKS[name])
    reply = served.get(path)
    if not reply.whole:
        assert reply.status in (0, 200)
        assert reply.text in ("", "Hello", "Hello from", "Hello from the stream")
        assert served.stage.other.journal == []
    elif reply.status == 200:
        assert not path.startswith("/sensitive")
        assert reply.text == "Hello from model-two"
    else:
        assert (reply.status, reply.is_problem) == (503, True)
        assert not path.startswith("/sensitive") or served.stage.other.journal == []


@pytest.mark.parametrize("path", STREAMS)
def test_a_stream_comes_in_pieces(path: str, served: ServedApp) -> None:
    """The first piece is there before the last one was made."""
    served.stage.approved.script_all(StreamOf(chunks=("Hello", " again"), stall_after=1))
    with hanging(served.address, path, read=b"Hello"):
        assert served.stage.approved.journal[0].finished_at is None


# -- hang-ups ----------------------------------------------------------------------------------------------------------


def _wait_for_hang_up(served: ServedApp) -> None:
    provider = served.stage.approved
    provider.wait_until(lambda: provider.request_count == 1 and provider.journal[0].client_gone is True)


@pytest.mark.parametrize("path", ["/whole", "/whole_sync", "/streamed_late", "/sensitive/whole"])
def test_a_caller_who_hangs_up_ends_the_call(path: str, served: ServedApp) -> None:
    """Also while nothing is being sent; nobody else is asked instead. (WSGI can't see it before the first piece.)"""
    if served.driver.name == "flask":
        pytest.skip("WSGI tells nothing of a caller while nothing is being sent")
    served.stage.approved.script_all(Silence())
    with hanging(served.address, path):
        served.stage.approved.wait_for(1)
    _wait_for_hang_up(served)
    assert served.stage.other.journal == []


@pytest.mark.parametrize("path", STREAMS)
def test_a_caller_who_hangs_up_ends_the_stream(path: str, served: ServedApp) -> None:
    """In mid-answer: the provider makes no more of it."""
    served.stage.approved.script_all(StreamOf(chunks=("Hello", *(" again",) * 500), interval=0.02))
    with hanging(served.address, path, read=b"Hello"):
        pass
    _wait_for_hang_up(served)


@pytest.mark.parametrize("path", ["/later", "/later_sync"])
def test_background_work_is_not_taken_for_a_hang_up(path: str, served: ServedApp) -> None:
    """The answer was complete; that its caller has gone means nothing to what goes on."""
    served.stage.approved.script_all(SlowHeaders(0.2))
    request_id = f"background{path.replace('/', '-')}"
    assert served.get(path, {"X-Request-ID": request_id}).status == 200
    assert BOARD.take(request_id) == "Hello from model-one"
    assert served.stage.approved.journal[0].client_gone is False


def test_a_call_may_survive_its_caller(served: ServedApp) -> None:
    """Where the endpoint says so, the answer is fetched to the end."""
    served.stage.approved.script_all(SlowHeaders(0.2))
    with hanging(served.address, "/survives", [("X-Request-ID", "survivor-0001")]):
        served.stage.approved.wait_for(1)
    assert BOARD.take("survivor-0001") == "Hello from model-one"
