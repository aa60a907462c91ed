"""Sensitive requests that wait for a person: 202 with the place of the case, in each framework, and never the draft."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from busy_machine import LONG_ENOUGH
from integrations.contract import actions
from integrations.contract.harness import Action, Answer, AppPlan, Ask, Driver, EndpointSpec
from integrations.contract.served_apps import ServedApp, Stage, config, started
from lanewise import Review, ReviewStatus, Router
from lanewise import testing as fake

DRAFT = "canary-draft: refund it"
QUIET = ("canary", "model-", "provider", "first", "second", "127.0.0.1")


async def with_data(ask: Ask) -> Answer:
    """Say what a person is to know, then ask."""
    ask.scope.for_review({"ticket": 7})
    return {"text": await actions.text_of(ask.async_openai, ask.task)}


def endpoints(driver: Driver) -> dict[str, Action]:
    """Whole and as a stream, with both clients."""
    streamed: dict[str, Action] = {"streamed": actions.streamed} if driver.async_streams else {}
    return {"whole": with_data, "whole_sync": actions.whole_sync, "streamed_sync": actions.streamed_sync, **streamed}


@contextmanager
def desk(driver: Driver, stage: Stage, ledger: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedApp]:
    """The framework's app; nobody may answer its payments but the approved route, and the other one drafts."""
    monkeypatch.setenv("STORAGE_KEY", "canary-storage-key-of-at-least-32-characters")
    settings = config(
        stage,
        router={"ledger": f"sqlite:///{ledger}", "storage_key_env": "STORAGE_KEY", "review_location": "/cases/{id}/"},
        sensitive={"payment": {"routes": ["first"], "on_failure": "review", "review_routes": ["second"]}},
    )
    specs = [EndpointSpec(f"/{name}", action, category="payment") for name, action in endpoints(driver).items()]
    with started(driver, AppPlan(Router.from_mapping(settings), specs), stage) as served:
        yield served


def test_what_waits_for_a_person_is_202_with_its_place(
    driver: Driver, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller gets an id and a Location to ask again at, in no case the draft; the app's data is in the case."""
    stage.approved.script_all(fake.Status(500))
    stage.other.script_all(fake.Answer(DRAFT))
    with desk(driver, stage, tmp_path / "ledger.db", monkeypatch) as served:
        for path in endpoints(driver):
            reply = served.get(f"/{path}", {"X-Request-ID": f"review-{path}"})
            assert (reply.status, reply.is_problem, reply.whole) == (202, True, True), path
            review_id = reply.json["review_id"]
            assert reply.header("location") == f"/cases/{review_id}/"
            assert reply.header("cache-control") == "no-store"
            assert reply.json["request_id"] == reply.header("x-request-id") == f"review-{path}"
            assert not [word for word in QUIET if word in f"{reply.text} {reply.headers}"]
            review = _with_draft(served.router, review_id)
            assert (review.status, review.answer) == (ReviewStatus.PENDING, None)
            assert review.data == ({"ticket": 7} if path == "whole" else None)


def test_without_the_queue_the_request_fails_closed(
    driver: Driver, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503, and not a word of the database."""
    stage.approved.script_all(fake.Status(500))
    (tmp_path / "ledger.db").mkdir()
    with desk(driver, stage, tmp_path / "ledger.db", monkeypatch) as served:
        reply = served.get("/whole_sync")
    assert (reply.status, reply.is_problem, reply.header("location")) == (503, True, None)
    assert "ledger" not in reply.text
    assert stage.other.request_count == 0


def _with_draft(router: Router, review_id: str) -> Review:
    deadline = time.monotonic() + LONG_ENOUGH
    while not (review := router.sync_reviews.get(review_id)).has_draft:
        assert time.monotonic() < deadline, "no draft came"
        time.sleep(0.02)
    return review
