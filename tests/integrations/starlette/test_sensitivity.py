"""Sensitive endpoints of Starlette apps: however the mark was put on, an unapproved route never answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from integrations.asgi_stage import FIRST_TEXT, SECOND_TEXT, Stage, ask
from integrations.starlette.forms import (
    FORMS,
    PAYMENT,
    foreign,
    fresh,
    in_a_pool,
    openly,
    payment,
    plain,
    plain_stream,
    plain_sync,
)
from integrations.starlette.serving import serve
from lanewise import ConfigError, FailClosed
from lanewise.testing import Answer, Close, Html, Reset, Status, StreamOf
from starlette_lanewise import LanewiseMiddleware, SensitiveMiddleware, sensitive, standard

FAILURES: dict[str, Any] = {
    "429": Status(429),
    "500": Status(500),
    "reset": Reset(),
    "cut": Close(when="after_headers"),
    "html": Html(),
    "swapped": Answer(model="another-model"),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_marked_endpoint_fails_closed(stage: Stage, form: str) -> None:
    """Its approved route answers, or nobody does; the start-up check lets each form pass."""
    with serve(stage, routes=[FORMS[form]()]) as client:
        assert client.get("/x").text == FIRST_TEXT
        stage.first.script_all(Status(500))
        answer = client.get("/x")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert answer.headers["cache-control"] == "no-store"
    assert stage.asked_of_second == []


@pytest.mark.parametrize(
    "endpoint", [plain, plain_sync, plain_stream, in_a_pool], ids=lambda endpoint: endpoint.__name__
)
def test_the_same_without_a_mark_is_answered_by_the_fallback(stage: Stage, endpoint: Callable[..., Any]) -> None:
    """It is the mark that closes, nothing else."""
    stage.first.script_all(Status(500))
    with serve(stage, routes=[Route("/x", endpoint)]) as client:
        assert client.get("/x").text == SECOND_TEXT


@pytest.mark.parametrize(
    ("form", "failure"),
    [(form, failure) for form in ("function", "stream", "mount") for failure in FAILURES]
    + [("stream", "stream cut at once")],
)
def test_whatever_the_failure_is(stage: Stage, form: str, failure: str) -> None:
    """A 503 problem, and not a byte to the provider that is not approved."""
    stage.first.script_all(FAILURES.get(failure, StreamOf(cut_after=0)))
    with serve(stage, routes=[FORMS[form]()]) as client:
        answer = client.get("/x")
    assert (answer.status_code, answer.headers.get("cache-control")) == (503, "no-store")
    assert stage.asked_of_second == []


def test_a_method_is_marked_for_itself(stage: Stage) -> None:
    """HEAD goes where GET does; POST is another endpoint."""
    stage.first.script_all(Status(500))
    with serve(stage, routes=[FORMS["method"]()]) as client:
        assert client.head("/x").status_code == 503
        assert client.post("/x").text == SECOND_TEXT


def test_a_path_rule_holds_whatever_the_path_looks_like(stage: Stage) -> None:
    """The net under the marks: on the path as the app sees it."""
    router = stage.router(endpoints={"/payments/*": "payment"})
    stage.first.script_all(Status(500))
    with serve(stage, router=router, routes=[Mount("/payments", routes=[Route("/{rest:path}", plain)])]) as client:
        for path in ("/payments/7", "/payments//7", "/payments/%2e%2e/x", "/payments/%37", "/payments/a%2Fb"):
            assert client.get(path).status_code == 503, path
    assert stage.asked_of_second == []


def test_marks_add_up(stage: Stage) -> None:
    """Of the routes of two categories, those that both approve."""
    twice = Mount("/", routes=[Route("/x", sensitive("medical")(fresh(plain)))], middleware=PAYMENT)
    stage.first.script_all(Status(500))
    with serve(stage, routes=[twice]) as client:
        assert client.get("/x").status_code == 503
    assert stage.asked_of_second == []


def test_standard_relaxes_nothing(stage: Stage) -> None:
    """It declares; what lies around it still holds."""
    inner = Mount("/", routes=[Route("/x", standard(fresh(plain)))], middleware=PAYMENT)
    stage.first.script_all(Status(500))
    with serve(stage, routes=[inner]) as client:
        assert client.get("/x").status_code == 503


def test_a_background_task_stays_sensitive(stage: Stage) -> None:
    """It runs after the answer, in the same scope."""
    caught: list[Exception] = []

    @sensitive("payment")
    async def later(request: Request) -> Response:
        async def work() -> None:
            try:
                await ask(request.state.ai)
            except FailClosed as error:
                caught.append(error)

        return PlainTextResponse("accepted", background=BackgroundTask(work))

    stage.first.script_all(Status(500))
    with serve(stage, later) as client:
        assert client.get("/later").text == "accepted"
    assert len(caught) == 1
    assert stage.asked_of_second == []


def test_a_call_before_the_endpoint_runs_knows_its_mark(stage: Stage) -> None:
    """Middleware of the route itself runs after routing: the endpoint is known then, and its mark with it."""

    class Early:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, asgi: Any, receive: Any, send: Any) -> None:
            await ask(asgi["state"]["ai"])
            await self.app(asgi, receive, send)

    stage.first.script_all(Status(500))
    with serve(stage, routes=[Route("/x", payment(fresh(plain)), middleware=[Middleware(Early)])]) as client:
        assert client.get("/x").status_code == 503
    assert stage.asked_of_second == []


def test_a_call_before_routing_knows_the_mark_of_where_it_leads(stage: Stage) -> None:
    """The routers are asked which way they would take."""

    class Early(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: Any) -> Response:
            await ask(request.state.ai)
            return await call_next(request)  # type: ignore[no-any-return]

    with serve(stage, middleware=[Middleware(Early)], routes=[Route("/x", payment(fresh(plain)))]) as client:
        assert client.get("/x").text == FIRST_TEXT
        stage.first.script_all(Status(500))
        assert client.get("/x").status_code == 503
    assert stage.asked_of_second == []


def test_the_mark_may_lie_outside_of_the_middleware(stage: Stage) -> None:
    """Scopes that are opened inside of it are sensitive from their start."""
    router = stage.router()
    inner = Starlette(routes=[Route("/x", plain)], middleware=[Middleware(LanewiseMiddleware, router=router)])
    stage.first.script_all(Status(500))
    with router, TestClient(SensitiveMiddleware(inner, "payment")) as client:
        assert client.get("/x").status_code == 503
    assert stage.asked_of_second == []


def test_an_inner_router_keeps_the_outer_sensitivity(stage: Stage) -> None:
    """A mounted app with a router of its own serves by both."""
    inner_router = stage.router()
    inner = Starlette(routes=[Route("/x", plain)], middleware=[Middleware(LanewiseMiddleware, router=inner_router)])
    stage.first.script_all(Status(500))
    with inner_router, serve(stage, routes=[Mount("/", app=SensitiveMiddleware(inner, "payment"))]) as client:
        assert client.get("/x").status_code == 503
    assert stage.asked_of_second == []


def test_undeclared_endpoints_are_refused_where_the_config_says_so(stage: Stage) -> None:
    """Declared ones are served, by a mark of either kind."""
    router = stage.router(router={"undeclared": "refuse"})
    routes = [Route("/forgotten", plain), Route("/known", standard(openly(plain))), Route("/x", payment(fresh(plain)))]
    with serve(stage, router=router, routes=routes) as client:
        assert client.get("/forgotten").status_code == 503
        assert client.get("/known").text == FIRST_TEXT
        assert client.get("/x").text == FIRST_TEXT


def test_a_hidden_mark_stops_the_app(stage: Stage) -> None:
    """The decorator hides it from the check, so nobody could list it; it would still hold."""

    def secretly(function: Callable[..., Any]) -> Callable[..., Any]:
        async def wrapped(request: Request) -> Any:
            return await function(request)

        return wrapped

    with (
        pytest.raises(ConfigError, match=r"/x .*hides its mark 'payment'"),
        serve(stage, routes=[Route("/x", secretly(payment(fresh(plain))))]),
    ):
        pass


@pytest.mark.parametrize(
    "routes",
    [
        [Route("/x", sensitive("paiment")(fresh(plain)))],
        [Route("/x", plain, middleware=[Middleware(SensitiveMiddleware, "paiment")])],
        [Mount("/", routes=[Route("/x", plain)], middleware=[Middleware(SensitiveMiddleware, "paiment")])],
        [Mount("/", app=SensitiveMiddleware(foreign, "paiment"))],
        [Mount("/", app=Starlette(middleware=[Middleware(SensitiveMiddleware, category="paiment")], routes=[
            Route("/x", plain)])
        )],
    ],
    ids=["decorator", "route", "mount", "foreign", "mounted app"],
)  # fmt: skip
def test_an_unknown_category_stops_the_app(stage: Stage, routes: list[Any]) -> None:
    """However it was put on, the start fails and names the endpoint."""
    with pytest.raises(ConfigError, match=r"paiment"), serve(stage, routes=routes):
        pass


def test_categories_that_leave_no_route_stop_the_app(stage: Stage) -> None:
    """Such an endpoint could never answer."""
    with (
        pytest.raises(ConfigError, match=r"/x"),
        serve(stage, routes=[Route("/x", sensitive("other")(payment(fresh(plain))))]),
    ):
        pass
