"""Sensitivity in each framework: it adds up, it only rises, and no way of passing a client on loses it."""

from __future__ import annotations

import logging

import pytest

from integrations.contract import deeds
from integrations.contract.deeds import BOARD
from integrations.contract.harness import AppPlan, Driver, Placing, Spot
from integrations.contract.house import House, Stage, config, started
from integrations.contract.ways import CLIENT_WAYS
from lanewise import Router
from lanewise.testing import Answer, Status

CLOSED = "FailClosed"
FALLBACK = "Hello from model-two"


@pytest.fixture
def broken(house: House) -> House:
    """The house, and its approved provider is out of order."""
    house.stage.approved.script_all(Status(500))
    return house


# -- where it comes from -----------------------------------------------------------------------------------------------


def test_a_plain_endpoint_is_not_sensitive(broken: House) -> None:
    """The fallback may answer it."""
    assert broken.get("/quiet").json["sensitive"] == []
    assert broken.get("/whole").json["text"] == FALLBACK


def test_marks_of_groups_hold_for_their_members(house: House) -> None:
    """Whatever kind of group the framework has; and a member that is declared standard relaxes nothing."""
    for group in house.driver.groups:
        for path in ("/quiet", "/standard"):
            spot = Spot(path, deeds.quiet, placing=Placing.GROUP, category="medical", group=group)
            assert house.get(spot.url).json["sensitive"] == ["medical"], group


def test_an_inner_mark_adds_to_the_outer_one(house: House) -> None:
    """A path rule and a mark: both hold, so only what both approve may answer."""
    assert house.get("/guarded/minors").json["sensitive"] == ["minors", "payment"]


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
def test_a_path_rule_holds_however_the_path_is_written(path: str, root_path: str, house: House) -> None:
    """Encoded, doubled, with dots, under a root path: either nothing is found there, or it is sensitive."""
    reply = house.driver.direct(house.app, path, root_path=root_path)
    assert reply.status in (200, 301, 302, 307, 308, 404)
    if reply.status == 200:
        assert "payment" in reply.json["sensitive"]


def test_a_root_path_hides_no_rule(house: House) -> None:
    """An app that is mounted under a prefix has the same rules."""
    assert house.driver.direct(house.app, "/guarded", root_path="/app").json["sensitive"] == ["payment"]
    assert house.driver.direct(house.app, "/quiet", root_path="/app").json["sensitive"] == []


def test_a_path_rule_closes(broken: House) -> None:
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
    spots = [
        Spot("/unmarked", deeds.whole),
        Spot("/unmarked-sync", deeds.whole_sync),
        Spot("/unmarked-stream", deeds.streamed_late_sync),
        Spot("/standard", deeds.whole, standard=True),
        Spot("/marked", deeds.whole, category="payment"),
        Spot("/saved", deeds.whole, category="payment"),
    ]
    router = Router.from_mapping(config(stage, router={"undeclared": undeclared}))
    with started(driver, AppPlan(router, spots), stage) as house:
        for path in ("/unmarked", "/unmarked-sync", "/unmarked-stream"):
            reply = house.get(path)
            assert (reply.status, reply.is_problem) == (unmarked[0], unmarked[0] == 503), path
            assert unmarked[1] in reply.text
        stage.other.reset()
        assert house.get("/marked").status == 503
        assert house.get("/saved?task=saved").json["text"] == "Hello from model-three"
        assert stage.other.journal == []
        assert house.get("/standard").json["text"] == FALLBACK


# -- it only rises -----------------------------------------------------------------------------------------------------


def test_raised_before_the_first_call_it_holds_to_the_end(broken: House) -> None:
    """Also after the function that was marked has returned."""
    assert broken.get("/raised_before").json["outcomes"] == [CLOSED]
    assert broken.stage.other.journal == []


@pytest.mark.parametrize("path", ["/marked_inside", "/marked_inside_sync"])
def test_a_marked_function_inside_of_a_plain_endpoint_raises_it(path: str, broken: House) -> None:
    """No audit can see it: its wrapper speaks when it runs."""
    assert broken.get(path).json == {"outcomes": [CLOSED], "sensitive": ["payment"]}
    assert broken.stage.other.journal == []


def test_raised_after_a_call_it_closes_and_is_logged(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """What went out can't be taken back: nothing more goes, not even to approved routes."""
    assert house.get("/raised_between").json["outcomes"] == ["Hello from model-one", CLOSED, CLOSED]
    assert house.stage.approved.request_count == 1
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert any("became sensitive (payment) after a call had gone out" in record.getMessage() for record in errors)


def test_requests_know_nothing_of_each_other(broken: House) -> None:
    """A sensitive request leaves nothing behind in its thread or context."""
    for path in ("/sensitive/whole_sync", "/whole_sync", "/sensitive/whole", "/whole") * 3:
        assert broken.get(path).status == (503 if "sensitive" in path else 200)


# -- it can't be lost --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", CLIENT_WAYS)
def test_a_client_is_bound_for_life(way: str, broken: House) -> None:
    """Through tasks, threads, loops, copies and options; unmarked, the same ways lead to the fallback."""
    unmarked = broken.get(f"/any_way?way={way.replace(' ', '%20')}").json["outcomes"]
    assert set(unmarked) == {FALLBACK}
    broken.stage.other.reset()
    marked = broken.get(f"/sensitive/any_way?way={way.replace(' ', '%20')}").json["outcomes"]
    assert set(marked) == {CLOSED}
    assert broken.stage.other.journal == []


@pytest.mark.parametrize("way", ["to_thread", "wrap"])
def test_the_current_scope_is_found_in_threads(way: str, broken: House) -> None:
    """Where the context is copied, or carried along by ``scope.wrap``."""
    assert broken.get(f"/by_context?way={way}").json["outcomes"] == [FALLBACK]
    broken.stage.other.reset()
    assert broken.get(f"/sensitive/by_context?way={way}").json["outcomes"] == [CLOSED]
    assert broken.stage.other.journal == []


def test_a_lost_context_is_no_scope(broken: House) -> None:
    """A bare executor carries nothing along: there is no client to be had, rather than an unmarked one."""
    assert broken.get("/sensitive/by_context?way=lost").json["outcomes"] == ["no scope"]


@pytest.mark.parametrize("path", ["later", "later_sync"])
def test_background_work_stays_sensitive(path: str, broken: House) -> None:
    """The answer is out, the request is over, and the mark holds."""
    assert broken.get(f"/sensitive/{path}", {"X-Request-ID": f"sensitive-{path}"}).status == 200
    assert BOARD.take(f"sensitive-{path}") == CLOSED
    assert broken.stage.other.journal == []
    broken.stage.approved.script_all(Answer())
    assert broken.get(f"/sensitive/{path}", {"X-Request-ID": f"answered-{path}"}).status == 200
    assert BOARD.take(f"answered-{path}") == "Hello from model-one"
