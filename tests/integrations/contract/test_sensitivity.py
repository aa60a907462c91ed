"""Sensitivity in each framework: it adds up, it only rises, and no way of passing a client on loses it."""

from __future__ import annotations

import logging

import pytest

from integrations.contract import actions
from integrations.contract.actions import BOARD
from integrations.contract.handovers import CLIENT_HANDOVERS
from integrations.contract.harness import AppPlan, Driver, EndpointSpec, Placement
from integrations.contract.served_apps import ServedApp, Stage, config, started
from lanewise import Router
from lanewise.testing import Answer, Status

CLOSED = "FailClosed"
FALLBACK = "Hello from model-two"


@pytest.fixture
def broken(served: ServedApp) -> ServedApp:
    """The served, and its approved provider is out of order."""
    served.stage.approved.script_all(Status(500))
    return served


# -- where it comes from -----------------------------------------------------------------------------------------------


def test_a_plain_endpoint_is_not_sensitive(broken: ServedApp) -> None:
    """The fallback may answer it."""
    assert broken.get("/quiet").json["sensitive"] == []
    assert broken.get("/whole").json["text"] == FALLBACK


def test_marks_of_groups_hold_for_their_members(served: ServedApp) -> None:
    """Whatever kind of group the framework has; and a member that is declared standard relaxes nothing."""
    for group in served.driver.groups:
        for path in ("/quiet", "/standard"):
            spec = EndpointSpec(path, actions.quiet, placement=Placement.GROUP, category="medical", group=group)
            assert served.get(spec.url).json["sensitive"] == ["medical"], group


def test_an_inner_mark_adds_to_the_outer_one(served: ServedApp) -> None:
    """A path rule and a mark: both hold, so only what both approve may answer."""
    assert served.get("/guarded/minors").json["sensitive"] == ["minors", "payment"]


@pytest.mark.parametrize(
    "path",
    [
        "/guarded",
        "/guarded/",
        "/guarded/minors",
        "/%67uarded/minors",
        "/guarded/m%69nors",
        "/guarded%2Fminors",
        "//guarded/minors",
        "/guarded//minors",
        "/guarded/./minors",
        "/x/../guarded/minors",
        "/guarded/minors/",
        "/guarded/minors?/../../quiet",
        "/guarded;a=b/minors",
        "/GUARDED/minors",
    ],
)
@pytest.mark.parametrize("root_path", ["", "/app", "/guarded"])
def test_a_path_rule_holds_however_the_path_is_written(path: str, root_path: str, served: ServedApp) -> None:
    """Encoded, doubled, with dots, under a root path: either nothing is found there, or it is sensitive."""
    reply = served.driver.direct(served.app, path, root_path=root_path)
    assert reply.status in (200, 301, 302, 307, 308, 404)
    if reply.status == 200:
        assert "payment" in reply.json["sensitive"]


def test_a_root_path_hides_no_rule(served: ServedApp) -> None:
    """An app that is mounted under a prefix has the same rules."""
    assert served.driver.direct(served.app, "/guarded", root_path="/app").json["sensitive"] == ["payment"]
    assert served.driver.direct(served.app, "/quiet", root_path="/app").json["sensitive"] == []


def test_a_path_rule_closes(broken: ServedApp) -> None:
    """It is as good as a mark."""
    assert broken.get("/guarded/refunds").status == 503
    assert broken.stage.other.journal == []


@pytest.mark.parametrize(
    ("undeclared", "unmarked"),
    [("standard", (200, FALLBACK)), ("sensitive:payment", (503, "")), ("refuse", (503, ""))],
)
def test_undeclared_decides_for_endpoints_without_a_mark(
    undeclared: str, unmarked: tuple[int, str], driver: Driver, stage: Stage
) -> None:
    """And for none that has one: neither ``standard`` nor a category is in doubt."""
    stage.approved.script("model-one", Status(500))
    specs = [
        EndpointSpec("/unmarked", actions.whole),
        EndpointSpec("/unmarked-sync", actions.whole_sync),
        EndpointSpec("/unmarked-stream", actions.streamed_late_sync),
        EndpointSpec("/standard", actions.whole, standard=True),
        EndpointSpec("/marked", actions.whole, category="payment"),
        EndpointSpec("/saved", actions.whole, category="payment"),
    ]
    router = Router.from_mapping(config(stage, router={"undeclared": undeclared}))
    with started(driver, AppPlan(router, specs), stage) as served:
        for path in ("/unmarked", "/unmarked-sync", "/unmarked-stream"):
            reply = served.get(path)
            assert (reply.status, reply.is_problem) == (unmarked[0], unmarked[0] == 503), path
            assert unmarked[1] in reply.text
        stage.other.reset()
        assert served.get("/marked").status == 503
        assert served.get("/saved?task=saved").json["text"] == "Hello from model-three"
        assert stage.other.journal == []
        assert served.get("/standard").json["text"] == FALLBACK


# -- it only rises -----------------------------------------------------------------------------------------------------


def test_raised_before_the_first_call_it_holds_to_the_end(broken: ServedApp) -> None:
    """Also after the function that was marked has returned."""
    assert broken.get("/raised_before").json["outcomes"] == [CLOSED]
    assert broken.stage.other.journal == []


@pytest.mark.parametrize("path", ["/marked_inside", "/marked_inside_sync"])
def test_a_marked_function_inside_of_a_plain_endpoint_raises_it(path: str, broken: ServedApp) -> None:
    """No audit can see it: its wrapper speaks when it runs."""
    assert broken.get(path).json == {"outcomes": [CLOSED], "sensitive": ["payment"]}
    assert broken.stage.other.journal == []


def test_raised_after_a_call_it_closes_and_is_logged(served: ServedApp, caplog: pytest.LogCaptureFixture) -> None:
    """What went out can't be taken back: nothing more goes, not even to approved routes."""
    assert served.get("/raised_between").json["outcomes"] == ["Hello from model-one", CLOSED, CLOSED]
    assert served.stage.approved.request_count == 1
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert any("became sensitive (payment) after a call had gone out" in record.getMessage() for record in errors)


def test_requests_know_nothing_of_each_other(broken: ServedApp) -> None:
    """A sensitive request leaves nothing behind in its thread or context."""
    for path in ("/sensitive/whole_sync", "/whole_sync", "/sensitive/whole", "/whole") * 3:
        assert broken.get(path).status == (503 if "sensitive" in path else 200)


# -- it can't be lost --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("handover", CLIENT_HANDOVERS)
def test_a_client_is_bound_for_life(handover: str, broken: ServedApp) -> None:
    """Through tasks, threads, loops, copies and options; unmarked, the same ways lead to the fallback."""
    unmarked = broken.get(f"/handed_over?handover={handover.replace(' ', '%20')}").json["outcomes"]
    assert set(unmarked) == {FALLBACK}
    broken.stage.other.reset()
    marked = broken.get(f"/sensitive/handed_over?handover={handover.replace(' ', '%20')}").json["outcomes"]
    assert set(marked) == {CLOSED}
    assert broken.stage.other.journal == []


@pytest.mark.parametrize("handover", ["to_thread", "wrap"])
def test_the_current_scope_is_found_in_threads(handover: str, broken: ServedApp) -> None:
    """Where the context is copied, or carried along by ``scope.wrap``."""
    assert broken.get(f"/by_context?handover={handover}").json["outcomes"] == [FALLBACK]
    broken.stage.other.reset()
    assert broken.get(f"/sensitive/by_context?handover={handover}").json["outcomes"] == [CLOSED]
    assert broken.stage.other.journal == []


def test_a_lost_context_is_no_scope(broken: ServedApp) -> None:
    """A bare executor carries nothing along: there is no client to be had, rather than an unmarked one."""
    assert broken.get("/sensitive/by_context?handover=lost").json["outcomes"] == ["no scope"]


@pytest.mark.parametrize("path", ["later", "later_sync"])
def test_background_work_stays_sensitive(path: str, broken: ServedApp) -> None:
    """The answer is out, the request is over, and the mark holds."""
    assert broken.get(f"/sensitive/{path}", {"X-Request-ID": f"sensitive-{path}"}).status == 200
    assert BOARD.take(f"sensitive-{path}") == CLOSED
    assert broken.stage.other.journal == []
    broken.stage.approved.script_all(Answer())
    assert broken.get(f"/sensitive/{path}", {"X-Request-ID": f"answered-{path}"}).status == 200
    assert BOARD.take(f"answered-{path}") == "Hello from model-one"
