"""What callers see of a budget that is used up: a 429 problem that says when to come again, in each framework."""

from __future__ import annotations

from integrations.contract import deeds
from integrations.contract.harness import AppPlan, Deed, Driver, Spot
from integrations.contract.house import Stage, config, started
from lanewise import Router

HIDDEN = ("free-users", "canary", "model-", "provider", "first", "second")


def test_a_request_beyond_its_budget_is_told_when_to_come_again(driver: Driver, stage: Stage) -> None:
    """Whole and as a stream, with both clients; nothing of the config is in it, and nothing is sent."""
    streamed: dict[str, Deed] = {"streamed": deeds.streamed} if driver.async_streams else {}
    endpoints: dict[str, Deed] = {
        "whole": deeds.whole,
        "whole_sync": deeds.whole_sync,
        "streamed_sync": deeds.streamed_sync,
        **streamed,
    }
    settings = config(stage, budgets={"free-users": {"limit": "1 call", "window": "1h"}})
    spots = [Spot(f"/{name}", deed) for name, deed in endpoints.items()]
    with started(driver, AppPlan(Router.from_mapping(settings), spots), stage) as house:
        assert house.get("/whole").status == 200
        sent = stage.approved.request_count + stage.other.request_count
        for path in endpoints:
            reply = house.get(f"/{path}")
            assert (reply.status, reply.is_problem, reply.whole) == (429, True, True), path
            assert 3500 < int(reply.header("retry-after") or 0) < 3700
            assert not [word for word in HIDDEN if word in reply.text]
        assert stage.approved.request_count + stage.other.request_count == sent
