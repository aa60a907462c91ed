"""What an endpoint keeps to itself: nothing of a key, a prompt or an answer is logged, and cases wait for a person."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import pytest

from endpoint.stage import KEY, MARKED_KEY, MOUNTS, Caller, Stage, mounted
from lanewise.testing import Answer, Reset, Status, StreamOf


def test_nothing_private_is_logged(endpoint: Caller, asked: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever goes wrong."""
    caplog.set_level(logging.DEBUG)
    endpoint.as_client("lw_canary-key").post()
    endpoint.as_client(None).http.get("models?api_key=canary-key", headers={"api-key": "canary-key"})
    endpoint.post(model="canary-model")
    endpoint.post(api_key="canary-key")
    endpoint.send(b'{"model": "chat", "messages": "canary-prompt')
    endpoint.send(gzip.compress(b"canary-prompt")[:-3], headers={"Content-Encoding": "gzip"})
    endpoint.post(response_format={"type": "json_schema", "json_schema": {"name": "canary-prompt", "schema": 7}})
    endpoint.post(headers={"Idempotency-Key": "canary-key", "X-User-ID": "canary-subject", "X-Request-ID": "canary id"})
    for behaviour in (
        Status(400, {"message": "canary-answer", "param": "canary-param"}),
        Status(500, {"message": "canary-answer"}),
        Reset(),
        Answer("canary-answer"),
        StreamOf(chunks=["canary-answer", "canary-answer"], cut_after=1),
    ):
        asked.first.script_all(behaviour)
        asked.second.script_all(behaviour)
        for key in (KEY, MARKED_KEY):
            answer = endpoint.as_client(key).post(stream=isinstance(behaviour, StreamOf))
            if answer.status_code != 200:
                assert "canary" not in answer.text
    ours = [record for record in caplog.records if record.name.startswith("lanewise")]
    assert ours
    for record in ours:
        shown = f"{record.getMessage()} {record.args} {record.exc_info} {vars(record)}"
        assert "canary" not in shown, shown
        assert not any(key in shown for key in (KEY, MARKED_KEY))


@pytest.mark.parametrize("mount", MOUNTS)
def test_a_call_that_is_left_to_a_person_is_a_202(
    stage: Stage, mount: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the place where the caller may ask for it, and nothing that anybody may keep."""
    monkeypatch.setenv("STORAGE_KEY", "canary-storage-key-" + "k" * 32)
    config = stage.config()
    config["router"] |= {"ledger": f"sqlite:///{tmp_path}/ledger.db", "storage_key_env": "STORAGE_KEY"}
    config["sensitive"]["payment"]["on_failure"] = "review"
    stage.first.script_all(Status(500))
    router = stage.router(**config)
    with mounted(mount, router) as endpoint:
        for stream in (False, True):
            answer = endpoint.as_client(MARKED_KEY).post(stream=stream)
            error = answer.json()["error"]
            assert (answer.status_code, error["code"]) == (202, "review_pending")
            assert answer.headers["location"] == f"/reviews/{error['review_id']}"
            assert answer.headers["cache-control"] == "no-store"
        assert router.sync_reviews.get(error["review_id"]).status == "pending"
    assert stage.second.request_count == 0
