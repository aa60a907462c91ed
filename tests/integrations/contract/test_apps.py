"""Apps as a whole: two of them side by side, those that must not start, and what they say of their endpoints."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from integrations.contract import deeds
from integrations.contract.harness import AppPlan, Driver, Form, Placing, Spot
from integrations.contract.house import House, Stage, config, started
from lanewise import Router
from lanewise.config import ConfigError
from lanewise.testing import Status
from lanewise.web import STANDARD, endpoint_table


def complaint(driver: Driver, plan: AppPlan, caplog: pytest.LogCaptureFixture) -> str:
    """What an app by a plan says when it does not start; where there is no start, at its first and second request."""
    try:
        app = driver.app(plan)
        driver.start(app)
    except Exception as error:  # noqa: BLE001 - every framework has its own
        return f"{error} {error.__cause__ or ''} {caplog.text}"
    replies = [driver.direct(app, plan.spots[0].url) for _ in range(2)]
    assert [reply.status for reply in replies] == [500, 500]
    return caplog.text


# -- starting ----------------------------------------------------------------------------------------------------------


def test_an_app_whose_marks_hold_starts(driver: Driver, stage: Stage) -> None:
    """The same plan as below, with a category that there is."""
    plan = AppPlan(Router.from_mapping(config(stage)), [Spot("/refund", deeds.quiet, category="payment")])
    app = driver.app(plan)
    driver.start(app)
    driver.start(app)  # test clients open and close an app more than once


@pytest.mark.parametrize("form", Form)
def test_an_unknown_category_stops_the_app(
    form: Form, driver: Driver, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """It names the endpoint, and the categories that there are."""
    spots = [Spot("/plain", deeds.quiet), Spot("/refund", deeds.whole, form, category="paymint")]
    said = complaint(driver, AppPlan(Router.from_mapping(config(stage)), spots), caplog)
    assert "unknown sensitive category 'paymint'" in said
    assert "/refund" in said
    assert "payment" in said


def test_an_unknown_category_on_a_group_stops_the_app(
    driver: Driver, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Of every kind of group."""
    for group in driver.groups:
        spot = Spot("/refund", deeds.whole, placing=Placing.GROUP, category="paymint", group=group)
        said = complaint(driver, AppPlan(Router.from_mapping(config(stage)), [spot]), caplog)
        assert "unknown sensitive category 'paymint'" in said, group
        caplog.clear()


@pytest.mark.parametrize("form", [Form.FUNCTION, Form.METHOD])
@pytest.mark.parametrize("deed", [deeds.whole, deeds.whole_sync], ids=["async", "sync"])
def test_a_mark_that_a_decorator_hides_stops_the_app(
    deed: object, form: Form, driver: Driver, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """It would still hold when the endpoint runs, but nobody could list or check it."""
    spots = [
        Spot("/plain", deeds.quiet),
        Spot("/refund", deed, form, Placing.UNDER_CARELESS, "payment"),  # type: ignore[arg-type]
    ]
    said = complaint(driver, AppPlan(Router.from_mapping(config(stage)), spots), caplog)
    assert "a decorator hides its mark 'payment'" in said
    assert "/refund" in said
    assert "functools.wraps" in said


def test_categories_that_leave_no_route_stop_the_app(
    driver: Driver, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """A mark and a path rule that approve of nothing in common."""
    more = {"sensitive": {"minors": {"routes": ["second"]}}}
    spot = Spot("/guarded/refund", deeds.whole, category="minors")
    said = complaint(driver, AppPlan(Router.from_mapping(config(stage, **more)), [spot]), caplog)
    assert "no route is approved for minors, payment together" in said


def test_missing_keys_stop_the_app(
    driver: Driver, stage: Stage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name of the variable."""
    monkeypatch.delenv("APPROVED_KEY")
    said = complaint(driver, AppPlan(Router.from_mapping(config(stage)), [Spot("/x", deeds.whole)]), caplog)
    assert "APPROVED_KEY" in said


def test_installed_twice_it_says_so(driver: Driver, stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Two scopes a request would be one too many."""
    plan = AppPlan(Router.from_mapping(config(stage)), [Spot("/x", deeds.quiet)], installs=2)
    said = complaint(driver, plan, caplog)
    assert re.search("nstalled twice|installed in this .* already", said)


def test_not_installed_it_says_what_to_install(driver: Driver, stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """No client is better than an unmarked one."""
    spots = [Spot("/refund", deeds.whole, category="payment")]
    said = complaint(driver, AppPlan(Router.from_mapping(config(stage)), spots, installs=0), caplog)
    # Litestar speaks before the adapter could: no plugin gives the client
    assert re.search("[Ll]anewise.* install|Explicit dependency 'ai'", said)
    assert stage.approved.journal == stage.other.journal == []


def test_a_closed_router_says_so(driver: Driver, stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """The app's own mistake: a 500, and the log says what to do."""
    router = Router.from_mapping(config(stage))
    app = driver.app(AppPlan(router, [Spot("/whole", deeds.whole_sync)]))
    with router:
        pass
    reply = driver.direct(app, "/whole")
    assert (reply.status, reply.is_problem) == (500, True)
    assert "closed" in caplog.text
    assert stage.approved.journal == []


# -- side by side ------------------------------------------------------------------------------------------------------


def test_two_apps_in_one_process_keep_to_their_own_routers(driver: Driver, stage: Stage) -> None:
    """Each has its rules, its header and its routes, also when both serve at once."""
    stage.approved.script_all(Status(500))
    spots = [Spot("/whole", deeds.whole), Spot("/whole_sync", deeds.whole_sync), Spot("/guarded", deeds.quiet)]
    strict = Router.from_mapping(
        config(stage, router={"undeclared": "sensitive:payment", "request_id_header": "X-Correlation-ID"})
    )
    plain = Router.from_mapping(config(stage))
    with (
        started(driver, AppPlan(strict, spots), stage) as first,
        started(driver, AppPlan(plain, spots), stage) as second,
        ThreadPoolExecutor(4) as callers,
    ):
        asked = [(house, path) for house in (first, second) for path in ("/whole", "/whole_sync")] * 4
        replies = list(callers.map(lambda each: each[0].get(each[1], {"X-Correlation-ID": "correlation-1"}), asked))
    for (house, _), reply in zip(asked, replies, strict=True):
        assert reply.status == (503 if house is first else 200)
        assert reply.all("x-correlation-id") == (["correlation-1"] if house is first else [])
        assert bool(reply.all("x-request-id")) is (house is second)
    assert stage.other.request_count == sum(house is second for house, _ in asked)


# -- what they say of themselves ---------------------------------------------------------------------------------------


def test_the_endpoints_are_listed_with_where_their_marks_come_from(house: House) -> None:
    """All of them, each with its categories."""
    found = {endpoint.path: endpoint for endpoint in house.driver.endpoints(house.app)}
    listed = {path: sorted(endpoint.with_rules(house.router.config).categories) for path, endpoint in found.items()}
    assert listed["/whole"] == []
    assert listed["/sensitive/whole"] == ["payment"]
    assert listed["/guarded/minors"] == ["minors", "payment"]
    assert {source.category for source in found["/standard"].sources} == {STANDARD}
    for group in house.driver.groups:
        spot = Spot("/quiet", deeds.quiet, placing=Placing.GROUP, category="medical", group=group)
        assert listed[spot.url] == ["medical"]
    assert not any(source.hidden for endpoint in found.values() for source in endpoint.sources)
    table = endpoint_table(list(found.values()), house.router.config)
    assert "/sensitive/whole" in table
    assert 'path rule "/guarded/*"' in table


def test_an_app_s_own_tests_can_assert_that_all_is_declared(driver: Driver, stage: Stage) -> None:
    """By a mark, a group, a path rule or ``standard``; those that say nothing are named."""
    declared = [
        Spot("/marked", deeds.whole, category="payment"),
        Spot("/marked-class", deeds.whole, Form.CLASS, category="payment"),
        Spot("/marked-method", deeds.whole_sync, Form.METHOD, category="payment"),
        Spot("/standard", deeds.quiet, standard=True),
        Spot("/guarded/inside", deeds.whole),
        *(Spot("/in", deeds.quiet, placing=Placing.GROUP, category="medical", group=group) for group in driver.groups),
    ]
    driver.assert_declared(driver.app(AppPlan(Router.from_mapping(config(stage)), declared)))
    forgotten = driver.app(AppPlan(Router.from_mapping(config(stage)), [*declared, Spot("/forgotten", deeds.whole)]))
    with pytest.raises(AssertionError, match="/forgotten") as raised:
        driver.assert_declared(forgotten)
    assert "/marked" not in str(raised.value)


def test_a_config_with_mistakes_makes_no_router(stage: Stage) -> None:
    """Path rules by unknown categories are found before any app is."""
    with pytest.raises(ConfigError, match="paymint"):
        Router.from_mapping(config(stage, endpoints={"/x/*": "paymint"}))
