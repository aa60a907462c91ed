"""What the health of a router keeps in this process: nothing that grows with its calls."""

from __future__ import annotations

from understudy import Api, Config
from understudy.engine.health import Health
from understudy.policy import failures

CONFIG = {
    "providers": {"one": {"base_url": "http://127.0.0.1:9/v1"}},
    "routes": {"first": {"provider": "one", "model": "m"}},
    "tasks": {"task": {"primary": "first"}},
}
FAILED = failures.SERVER_ERROR.failure(http_status=500)


def test_failures_leave_nothing_behind_where_nobody_is_told_of_them() -> None:
    """With state = "memory" there is nobody to hear of a failure, nor of the success after it."""
    health = Health(Config.from_mapping(CONFIG))
    for outcome in (FAILED, None, None) * 200:
        entry = health.enter("first", Api.CHAT)
        assert entry is not None
        health.leave("first", Api.CHAT, entry, outcome, scope="req-2026-000042")
    assert health.unsaid() == {}
    assert not health.busy
