"""Budgets over HTTP: what a client may spend holds whatever subject it names, and no client spends another's."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from endpoint.stage import KEY, OTHER_KEY, USERS_KEY, WAYS, Stage, mounted
from lanewise.testing import Status, StreamOf


def budgets(stage: Stage, **budget: Any) -> dict[str, Any]:
    """A config with one budget, for each client or subject."""
    config = stage.config()
    config["budgets"] = {"each": {"limit": "3 calls", "window": "1h", "over": "refuse", **budget}}
    return config


@pytest.mark.parametrize("way", WAYS)
def test_a_client_s_budget_holds_whatever_subject_it_names(stage: Stage, way: str) -> None:
    """And it is the client's alone."""
    with mounted(way, stage.router(**budgets(stage, per="client"))) as endpoint:
        users = endpoint.as_client(USERS_KEY)
        answers = [users.post(headers={"X-User-ID": f"user-{number}"}) for number in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert answers[3].json()["error"]["code"] == "budget_exceeded"
        assert answers[3].headers["x-should-retry"] == "false"
        assert int(answers[3].headers["retry-after"]) >= 1
        for repeated in ([("X-User-ID", "a"), ("X-User-ID", "b")], [("X-User-ID", "")], []):
            assert users.post(headers=repeated).status_code == 429
        assert endpoint.as_client(OTHER_KEY).post().status_code == 200
    assert stage.sent == 4


@pytest.mark.parametrize("way", WAYS)
def test_a_subject_s_budget_is_no_other_client_s(stage: Stage, way: str) -> None:
    """Whoever names another's user, or another client, spends nothing of its budget."""
    with mounted(way, stage.router(**budgets(stage, per="subject"))) as endpoint:
        users = endpoint.as_client(USERS_KEY)
        names = ["anne"] * 4 + ["bob", "node", "node", "node", "node", "other"]
        spent = [users.post(headers={"X-User-ID": name}).status_code for name in names]
        assert spent == [200, 200, 200, 429, 200, 200, 200, 200, 429, 200], "another client's name is a user's here"
        for key in (KEY, OTHER_KEY):  # whose subject is their name
            assert endpoint.as_client(key).post(headers={"X-User-ID": "anne"}).status_code == 200


@pytest.mark.parametrize("way", WAYS)
def test_what_was_not_answered_is_not_spent_twice(stage: Stage, way: str) -> None:
    """A budget counts calls: one that fails is one, refused requests are none, and streams count as answers do."""
    with mounted(way, stage.router(**budgets(stage, per="client"))) as endpoint:
        assert endpoint.post(model="nowhere").status_code == 404
        assert endpoint.send(b"{").status_code == 400
        assert endpoint.post(base_url="x").status_code == 400
        assert endpoint.post(stream=True).status_code == 200
        stage.first.script_all(StreamOf(chunks=["word"], cut_after=1))
        assert endpoint.post(model="alone", stream=True).status_code == 200
        stage.first.script_all(Status(400))
        assert endpoint.post(model="alone").status_code == 422
        assert [endpoint.post(model="backup").status_code for _ in range(2)][-1] == 429


@pytest.mark.parametrize("way", WAYS)
def test_many_at_once_spend_no_more(stage: Stage, way: str) -> None:
    """Of twenty calls at once three go through."""
    with mounted(way, stage.router(**budgets(stage, per="client"))) as endpoint:
        statuses: list[int] = []
        threads = [threading.Thread(target=lambda: statuses.append(endpoint.post().status_code)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [200] * 3 + [429] * 17
    assert stage.sent == 3
