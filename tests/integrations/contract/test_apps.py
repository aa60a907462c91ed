"""Apps as a whole: two of them side by side, those that must not start, and what they say of their endpoints."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from integrations.contract import actions
from integrations.contract.harness import AppPlan, Driver, EndpointSpec, Form, Placement
from integrations.contract.served_apps import ServedApp, Stage, config, started
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
    replies = [driver.direct(app, plan.specs[0].url) for _ in range(2)]
    assert [reply.status for reply in replies] == [500, 500]
    return caplog.text


# -- starting ----------------------------------------------------------------------------------------------------------


def test_an_app_whose_marks_hold_starts(driver: Driver, stage: Stage) -> None:
    """The same plan as below, with a category that there is."""
    plan = AppPlan(Router.from_mapping(config(stage)), [EndpointSpec("/refund", actions.quiet, category="payment")])
    app = driver.app(plan)
    driver.start(app)
    driver.start(app)  # test clients open and close an app more than once


@pytest.mark.parametrize("form", Form)
def test_an_unknown_category_stops_the_app(
    form: Form, driver: Driver, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """It names the endpoint, and the categories that there are."""
    specs = [EndpointSpec("/plain", actions.quiet), EndpointSpec("/refund", actions.whole, form, category="paymint")]
    said = complaint(driver, AppPlan(Router.from_mapping(config(stage)), specs), caplog)
    assert "unknown sensitive category 'paymint'" in said
    assert "/refund" in said
    assert "payment" in said


def test_an_unknown_category_on_a_group_stops_the_app(
    driver: Driver, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Of every kind of group."""
    for group in driver.groups:
        spec = EndpointSpec("/refund", actions.whole, placement=Placement.GROUP, category="paymint", group=group)
        said = complaint(driver, AppPlan(Router.from_mapping(config(stage)), [spec]), caplog)
        assert "unknown sensitive category 'paymint'" in said, group
        caplog.clear()


@pytest.mark.parametrize("form", [Form.FUNCTION, Form.METHOD])
@pytest.mark.parametrize("action", [actions.whole, actions.whole_sync], ids=["async", "sync"])
def test_a_mark_that_a_decorator_hides_stops_the_app(
    action: object, form: Form, driver: Driver, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """It would still hold when the endpoint runs, but nobody could list or check it."""
    specs = [
        EndpointSpec("/plain", actions.quiet),
        EndpointSpec("/refund", action, form, Placement.UNDER_CARELESS, "payment"),  # type: ignore[arg-type]
    ]
    said = complaint(driver, AppPlan(Router.from_mapping(config(stage)), specs), caplog)
    assert "a decorator hides its mark 'payment'" in said
    assert "/refund" in said
    assert "functools.wraps" in said


def test_categories_that_leave_no_route_stop_the_app(
    driver: Driver, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """A mark and a path rule that approve of nothing in common."""
    more = {"sensitive": {"minors": {"routes": ["second"]}}}
    spec = EndpointSpec("/guarded/refund", actions.whole, category="minors")
    said = complaint(driver, AppPlan(Router.from_mapping(config(stage, **more)), [spec]), caplog)
    assert "no route is approved for minors, payment together" in said


def test_missing_keys_stop_the_app(
    driver: Driver, stage: Stage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name of the variable."""
    monkeypatch.delenv("APPROVED_KEY")
    said = complaint(driver, AppPlan(Router.from_mapping(config(stage)), [EndpointSpec("/x", actions.whole)]), caplog)
    assert "APPROVED_KEY" in said


def test_installed_twice_it_says_so(driver: Driver, stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Two scopes a request would be one too many."""
    plan = AppPlan(Router.from_mapping(config(stage)), [EndpointSpec("/x", actions.quiet)], installs=2)
    said = complaint(driver, plan, caplog)
    assert re.search("nstalled twice|installed in this .* already", said)


def test_not_installed_it_says_what_to_install(driver: Driver, stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """No client is better than an unmarked one."""
    specs = [EndpointSpec("/refund", actions.whole, category="payment")]
    said = complaint(driver, AppPlan(Router.from_mapping(config(stage)), specs, installs=0), caplog)
    # Litestar speaks before the adapter could: no plugin gives the client
    assert re.search("[Ll]anewise.* install|Explicit dependency 'ai'", said)
    assert stage.approved.journal == stage.other.journal == []


def test_a_closed_router_says_so(driver: Driver, stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """The app's own mistake: a 500, and the log says what to do."""
    router = Router.from_mapping(config(stage))
    app = driver.app(AppPlan(router, [EndpointSpec("/whole", actions.whole_sync)]))
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
    specs = [
        EndpointSpec("/whole", actions.whole),
        EndpointSpec("/whole_sync", actions.whole_sync),
        EndpointSpec("/guarded", actions.quiet),
    ]
    strict = Router.from_mapping(
        config(stage, router={"undeclared": "sensitive:payment", "request_id_header": "X-Correlation-ID"})
    )
    plain = Router.from_mapping(config(stage))
    with (
        started(driver, AppPlan(strict, specs), stage) as first,
        started(driver, AppPlan(plain, specs), stage) as second,
        ThreadPoolExecutor(4) as callers,
    ):
        asked = [(served, path) for served in (first, second) for path in ("/whole", "/whole_sync")] * 4
        replies = list(callers.map(lambda each: each[0].get(each[1], {"X-Correlation-ID": "correlation-1"}), asked))
    for (served, _), reply in zip(asked, replies, strict=True):
        assert reply.status == (503 if served is first else 200)
        assert reply.all("x-correlation-id") == (["correlation-1"] if served is first else [])
        assert bool(reply.all("x-request-id")) is (served is second)
    assert stage.other.request_count == sum(served is second for served, _ in asked)


# -- what they say of themselves ---------------------------------------------------------------------------------------


def test_the_endpoints_are_listed_with_where_their_marks_come_from(served: ServedApp) -> None:
    """All of them, each with its categories."""
    found = {endpoint.path: endpoint for endpoint in served.driver.endpoints(served.app)}
    listed = {path: sorted(endpoint.with_rules(served.router.config).categories) for path, endpoint in found.items()}
    assert listed["/whole"] == []
    assert listed["/sensitive/whole"] == ["payment"]
    assert listed["/guarded/minors"] == ["minors", "payment"]
    assert {source.category for source in found["/standard"].sources} == {STANDARD}
    for group in served.driver.groups:
        spec = EndpointSpec("/quiet", actions.quiet, placement=Placement.GROUP, category="medical", group=group)
        assert listed[spec.url] == ["medical"]
    assert not any(source.hidden for endpoint in found.values() for source in endpoint.sources)
    table = endpoint_table(list(found.values()), served.router.config)
    assert "/sensitive/whole" in table
    assert 'path rule "/guarded/*"' in table


def test_an_app_s_own_tests_can_assert_that_all_is_declared(driver: Driver, stage: Stage) -> None:
    """By a mark, a group, a path rule or ``standard``; those that say nothing are named."""
    declared = [
        EndpointSpec("/marked", actions.whole, category="payment"),
        EndpointSpec("/marked-class", actions.whole, Form.CLASS, category="payment"),
        EndpointSpec("/marked-method", actions.whole_sync, Form.METHOD, category="payment"),
        EndpointSpec("/standard", actions.quiet, standard=True),
        EndpointSpec("/guarded/inside", actions.whole),
        *(
            EndpointSpec("/in", actions.quiet, placement=Placement.GROUP, category="medical", group=group)
            for group in driver.groups
        ),
    ]
    driver.assert_declared(driver.app(AppPlan(Router.from_mapping(config(stage)), declared)))
    forgotten = driver.app(
        AppPlan(Router.from_mapping(config(stage)), [*declared, EndpointSpec("/forgotten", actions.whole)])
    )
    with pytest.raises(AssertionError, match="/forgotten") as raised:
        driver.assert_declared(forgotten)
    assert "/marked" not in str(raised.value)


def test_a_config_with_mistakes_makes_no_router(stage: Stage) -> None:
    """Path rules by unknown categories are found before any app is."""
    with pytest.raises(ConfigError, match="paymint"):
        Router.from_mapping(config(stage, endpoints={"/x/*": "paymint"}))
