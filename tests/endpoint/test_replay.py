"""An answer that is given again belongs to one client, one subject, one key and one body."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from endpoint.stage import KEY, MOUNTS, OTHER_KEY, USERS_KEY, Caller, Stage, mounted


@pytest.fixture(params=MOUNTS)
def replaying(request: pytest.FixtureRequest, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Caller]:
    """An endpoint that keeps answers."""
    monkeypatch.setenv("STORAGE_KEY", "canary-storage-key-" + "k" * 32)
    settings = {"replay": "1h", "storage_key_env": "STORAGE_KEY", "health": {"breakers": False}}
    with mounted(request.param, stage.router(router=settings)) as endpoint:
        yield endpoint


def named(
    endpoint: Caller, key: str = "order-7", *, user: str | None = None, content: str = "x", **more: object
) -> bool:
    """Whether a call with an Idempotency-Key is given the answer of an earlier one."""
    headers = {"Idempotency-Key": key} | ({} if user is None else {"X-User-ID": user})
    answer = endpoint.post(headers=headers, messages=[{"role": "user", "content": content}], **more)
    assert answer.status_code == 200
    return answer.headers.get("x-lanewise-replayed") == "true"


def test_a_call_that_is_made_again_is_answered_as_before(replaying: Caller, stage: Stage) -> None:
    """Whole and as a stream, whatever the request's own id."""
    assert [named(replaying), named(replaying), named(replaying)] == [False, True, True]
    assert [named(replaying, "order-8", stream=True), named(replaying, "order-8", stream=True)] == [False, True]
    assert stage.sent == 2


def test_it_is_never_given_to_another(replaying: Caller, stage: Stage) -> None:
    """Another client, subject, key, body, task or path has one of its own."""
    users = replaying.as_client(USERS_KEY)
    calls = [
        named(replaying),
        named(replaying.as_client(OTHER_KEY)),
        named(users),
        named(users, user="anne"),
        named(users, user="node"),
        named(users, user="bob"),
        named(replaying, "order-8"),
        named(replaying, content="y"),
        named(replaying, model="alone"),
        named(replaying, temperature=0.5),
    ]
    assert calls == [False] * len(calls)
    keys = [received.headers["idempotency-key"] for received in stage.first.journal]
    assert len(set(keys)) == len(calls), "nor would a provider take one for another"
    assert not any("order" in key for key in keys)


def test_a_request_s_id_names_no_call(replaying: Caller, stage: Stage) -> None:
    """It is for logs: a service sends many requests under one, and means each."""
    for request_id in ("req-2026-000042", "named-" + "0" * 32, "named:" + "0" * 32):
        answers = [replaying.post(headers={"X-Request-ID": request_id}) for _ in range(2)]
        assert not any("x-lanewise-replayed" in answer.headers for answer in answers)
    assert stage.sent == 6


def test_two_clients_under_one_request_id_send_other_keys_upstream(endpoint: Caller, asked: Stage) -> None:
    """A provider that honours them must not give the one's answer to the other."""
    for caller in (endpoint, endpoint.as_client(OTHER_KEY), endpoint.as_client(USERS_KEY)):
        caller.post(headers={"X-Request-ID": "req-2026-000042", "X-User-ID": "node"})
    keys = [received.headers["idempotency-key"] for received in asked.first.journal]
    assert len(set(keys)) == 3
    assert all(key.startswith("req-2026-000042-") for key in keys)


def test_the_same_name_is_the_same_key_upstream(endpoint: Caller, asked: Stage) -> None:
    """Also where no answers are kept: a provider that honours keys pays a repeated call once."""
    for _ in range(2):
        endpoint.post(headers={"Idempotency-Key": "order-7"})
    first, second = (received.headers["idempotency-key"] for received in asked.first.journal)
    assert first == second
    assert KEY not in first


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_name_that_is_none_is_told(endpoint: Caller, key: str) -> None:
    """Before anything is sent."""
    assert endpoint.post(headers={"Idempotency-Key": key}).status_code == 400
