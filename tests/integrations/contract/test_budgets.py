"""What callers see of a budget that is used up: a 429 problem that says when to come again, in each framework."""

from __future__ import annotations

from integrations.contract import actions
from integrations.contract.harness import Action, AppPlan, Driver, EndpointSpec
from integrations.contract.served_apps import Stage, config, started
from lanewise import Router

HIDDEN = ("free-users", "canary", "model-", "provider", "first", "second")


def test_a_request_beyond_its_budget_is_told_when_to_come_again(driver: Driver, stage: Stage) -> None:
    """Whole and as a stream, with both clients; nothing of the config is in it, and nothing is sent."""
    streamed: dict[str, Action] = {"streamed": actions.streamed} if driver.async_streams else {}
    endpoints: dict[str, Action] = {
        "whole": actions.whole,
        "whole_sync": actions.whole_sync,
        "streamed_sync": actions.streamed_sync,
        **streamed,
    }
    settings = config(stage, budgets={"free-users": {"limit": "1 call", "window": "1h"}})
    specs = [EndpointSpec(f"/{name}", action) for name, action in endpoints.items()]
    with started(driver, AppPlan(Router.from_mapping(settings), specs), stage) as served:
        assert served.get("/whole").status == 200
        sent = stage.approved.request_count + stage.other.request_count
        for path in endpoints:
            reply = served.get(f"/{path}")
            assert (reply.status, reply.is_problem, reply.whole) == (429, True, True), path
            assert 3500 < int(reply.header("retry-after") or 0) < 3700
            assert not [word for word in HIDDEN if word in reply.text]
        assert stage.approved.request_count + stage.other.request_count == sent
