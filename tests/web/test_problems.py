"""Problems: the statuses of the table, and that nothing of a provider is in them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from lanewise import (
    Api,
    Call,
    FailClosed,
    FailureKind,
    NotInScope,
    Outcome,
    ReviewPending,
    Router,
    RoutingError,
)
from lanewise.testing import FakeProvider, Status
from lanewise.web import problem_for

SECRETS = (
    "canary-model",
    "canary-provider",
    "canary-route",
    "canary-key",
    "canary-prompt",
    "canary-upstream",
    "127.0.0.1",
)


def config(provider: FakeProvider) -> dict[str, object]:
    return {
        "providers": {"canary-provider": {"base_url": provider.base_url}},
        "routes": {"canary-route": {"provider": "canary-provider", "model": "canary-model"}},
        "tasks": {"t": {"primary": "canary-route", "deadline": "2s", "retries": {"outage": 0, "rate_limit": 0}}},
        "sensitive": {"payment": {"routes": ["canary-route"]}},
    }


def failing(provider: FakeProvider, **scope: Any) -> RoutingError:
    """The error of a call, as an app would get it."""
    with Router.from_mapping(config(provider)) as router, router.scope(**scope) as opened:
        with pytest.raises(RoutingError) as caught:
            opened.openai.chat.completions.create(
                model="t", messages=[{"role": "user", "content": "canary-prompt"}], temperature=0.2
            )
        return caught.value


@pytest.mark.parametrize(
    ("behaviour", "status", "name"),
    [
        (Status(500, {"message": "canary-upstream"}), 503, "unavailable"),
        (Status(401, {"message": "canary-upstream canary-key"}), 503, "unavailable"),
        (Status(400, {"message": "canary-upstream", "param": "messages"}), 422, "bad-request"),
        (Status(400, {"message": "canary-upstream", "code": "context_length_exceeded"}), 422, "context-length"),
        (Status(400, {"message": "canary-upstream", "code": "content_filter"}), 422, "content-policy"),
    ],
)
def test_a_failure_is_the_problem_of_the_table_and_says_nothing_of_the_provider(
    behaviour: Status, status: int, name: str
) -> None:
    """The caller learns what it can do about it, and neither where the app asks, nor what came back."""
    with FakeProvider() as provider:
        provider.script_all(behaviour)
        problem = problem_for(failing(provider), request_id="req-12345678")
    assert problem.status == status
    said = json.loads(problem.body)
    assert said["type"] == f"urn:lanewise:problem:{name}"
    assert said["status"] == status
    assert said["request_id"] == "req-12345678"
    everything = problem.body.decode() + repr(problem.all_headers)
    assert not [secret for secret in SECRETS if secret in everything]


def test_a_sensitive_call_fails_closed_and_is_not_stored() -> None:
    """Whatever the failure was, it is a 503 that no cache keeps."""
    with FakeProvider() as provider:
        provider.script_all(Status(400, {"message": "canary-upstream"}))
        problem = problem_for(failing(provider, sensitive="payment"))
    headers = dict(problem.all_headers)
    assert (problem.status, headers["cache-control"]) == (503, "no-store")
    assert "retry-after" not in headers, "time does not cure a bad request"


def test_a_sensitive_call_that_time_cures_says_when() -> None:
    """A rate limit passes, so the caller is told to come back."""
    with FakeProvider() as provider:
        provider.script_all(Status(429, retry_after=30))
        problem = problem_for(failing(provider, sensitive="payment"))
    headers = dict(problem.all_headers)
    assert problem.status == 503
    assert 1 <= int(headers["retry-after"]) <= 300


def call(kind: FailureKind | None) -> Call:
    return Call(
        id="call-1",
        request_id="req-1",
        task="t",
        api=Api.CHAT,
        started_at=datetime.now(UTC),
        failure=kind,
        outcome=Outcome.FAILED,
    )


def test_what_waits_for_a_person_is_accepted() -> None:
    """A 202, which no cache keeps either."""
    problem = problem_for(ReviewPending("waits", call(None)))
    assert (problem.status, dict(problem.headers)["cache-control"]) == (202, "no-store")


def test_the_apps_own_bug_is_a_500() -> None:
    """Nothing was sent, and nobody outside can mend it."""
    assert problem_for(NotInScope("no scope")).status == 500


def test_the_media_type_and_the_length_are_told() -> None:
    """RFC 9457."""
    problem = problem_for(FailClosed("closed", None))
    headers = dict(problem.all_headers)
    assert headers["content-type"] == "application/problem+json"
    assert int(headers["content-length"]) == len(problem.body)


def test_every_kind_of_failure_has_a_status() -> None:
    """No failure is left without an answer."""
    for kind in FailureKind:
        assert problem_for(RoutingError("no answer", call(kind))).status in (422, 500, 502, 503, 504)
