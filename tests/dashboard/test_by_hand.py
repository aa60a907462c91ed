"""Routes opened and closed by hand on the page: it holds at once, and who did so and why is on record."""

from __future__ import annotations

import logging
import time

import pytest

from dashboard.stage import MOUNTS, Stage, Visitor, ask, mounted, visiting
from lanewise import Router
from lanewise.types import HealthState
from real_valkey import running_valkey

SCRIPT = "<script>alert(1)</script>"


def act(boss: Visitor, route: str, action: str, reason: str) -> int:
    """Open or close a route on the page."""
    token = boss.token("by-hand")
    return boss.post("by-hand", csrf=token, route=route, action=action, reason=reason).status_code


def test_a_route_is_opened_and_closed(
    stage: Stage, caplog: pytest.LogCaptureFixture, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Calls go elsewhere meanwhile; the page, the ledger and the log say who did it and why."""
    for mount in MOUNTS:
        path = tmp_path_factory.mktemp("by-hand") / "ledger.db"
        router = Router.from_mapping(stage.config(f"sqlite:///{path}"))
        caplog.clear()
        with mounted(mount, router) as url, visiting(url, {"x-user": "boss"}) as boss:
            with caplog.at_level(logging.WARNING, "lanewise"):
                assert act(boss, "flagship", "open", f"prices\r\nrose {SCRIPT}") == 303
            assert router.health.routes["flagship"].state is HealthState.OPEN
            before = stage.first.request_count
            ask(router)
            assert stage.first.request_count == before
            page = boss.text("by-hand")
            assert "open by hand" in page
            assert "the boss" in page
            assert f"prices  rose {SCRIPT}" in page
            assert SCRIPT not in boss.get("by-hand").text
            assert "flagship is open by hand" in boss.text()
            (line,) = [record for record in caplog.records if "was opened by hand" in record.getMessage()]
            assert "route flagship was opened by hand, by the boss: prices  rose" in line.getMessage()
            assert act(boss, "flagship", "close", "they fell") == 303
            assert router.health.routes["flagship"].state is HealthState.CLOSED
            assert "they fell" in boss.text("by-hand")
            ask(router)
            assert stage.first.request_count == before + 1


@pytest.mark.parametrize(
    ("route", "action", "reason"),
    [("flagship", "open", "  "), ("flagship", "explode", "x"), ("none such", "open", "x"), ("flagship", "", "x")],
)
def test_nothing_is_done_without_a_route_an_action_and_a_reason(
    boss: Visitor, route: str, action: str, reason: str
) -> None:
    """What is missing is said."""
    assert act(boss, route, action, reason) == 400
    assert "open by hand" not in boss.text("by-hand")


def test_a_store_that_is_silent_is_told(stage: Stage) -> None:
    """Nothing is changed then, and nothing is said to be."""
    router = Router.from_mapping(stage.config(state="redis://127.0.0.1:9/0"))
    with mounted("flask", router) as url, visiting(url, {"x-user": "boss"}) as boss:
        assert act(boss, "flagship", "open", "x") == 503
        assert router.health.routes["flagship"].state is HealthState.CLOSED


def test_all_workers_hear_of_it(stage: Stage) -> None:
    """Over the shared store: a worker that does not serve the page sends nothing to the route."""
    with running_valkey() as valkey:
        state = {"state": valkey.url}
        one, other = (Router.from_mapping(stage.config(**state)) for _ in range(2))
        with other, mounted("flask", one) as url, visiting(url, {"x-user": "boss"}) as boss:
            ask(other)
            assert act(boss, "flagship", "open", "x") == 303
            for router in (one, other):
                until = time.monotonic() + 30  # it is heard in the background
                while not router.health.routes["flagship"].by_hand:
                    assert time.monotonic() < until
                    time.sleep(0.02)
            assert "flagship is open by hand" in boss.text()
