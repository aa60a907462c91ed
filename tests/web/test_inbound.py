"""Inbound requests: their ids, their trace, the rules of their path, and calls outside of any."""

from __future__ import annotations

import logging
import uuid

import pytest

from lanewise import FailClosed, NotInScope, Router
from lanewise.scope import state_of
from lanewise.web import Inbound, RequestIdFilter, router_of

CONFIG = {
    "providers": {"one": {"base_url": "http://127.0.0.1:9/v1"}},
    "routes": {"first": {"provider": "one", "model": "m"}},
    "tasks": {"t": {"primary": "first"}},
    "sensitive": {"payment": {"routes": ["first"]}},
    "endpoints": {"/payments/*": "payment"},
}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def inbound(**settings: object) -> Inbound:
    return Inbound(Router.from_mapping({**CONFIG, "router": settings} if settings else CONFIG))


@pytest.mark.parametrize("given", ["req-2026-000042", b"req-2026-000042", "A" * 128, "a.b_c-1234"])
def test_a_well_formed_id_is_taken(given: str | bytes) -> None:
    """8 to 128 of the letters, digits and marks that are safe anywhere."""
    expected = given.decode() if isinstance(given, bytes) else given
    assert inbound().scope(path="/", request_ids=[given]).request_id == expected


@pytest.mark.parametrize(
    "given",
    [
        [],
        ["short"],
        ["A" * 129],
        ["A" * 100_000],
        ["req-1234\r\nX-Evil: 1"],
        [b"req-1234\x00"],
        ["req-1234 "],
        ["r\xe9quest-1234"],
        [b"r\xc3\xa9quest-1234"],
        ["req-12345678", "req-12345678"],
        [""],
    ],
    ids=["none", "short", "long", "100kB", "CRLF", "NUL", "space", "latin", "utf8", "twice", "empty"],
)
def test_anything_else_is_replaced(given: list[str | bytes]) -> None:
    """By a fresh UUIDv7: the caller's text gets into no header and no log."""
    fresh = inbound().scope(path="/", request_ids=given).request_id
    assert uuid.UUID(fresh).version == 7


def test_a_trace_is_passed_on() -> None:
    """The header of W3C Trace Context goes upstream as it came."""
    assert state_of(inbound().scope(path="/", traceparents=[TRACE])).forwarded == (("traceparent", TRACE),)


@pytest.mark.parametrize("given", [[TRACE, TRACE], ["00-nonsense"], [TRACE + "\r\nX: 1"], [TRACE.encode() + b"\x00"]])
def test_a_malformed_trace_is_not(given: list[str | bytes]) -> None:
    """Two of them, or text of another form, are left out."""
    assert state_of(inbound().scope(path="/", traceparents=given)).forwarded == ()


def test_a_path_rule_makes_the_scope_sensitive() -> None:
    """Before anything of the app has run."""
    assert inbound().scope(path="/payments/7").sensitive == {"payment"}
    assert inbound().scope(path="/health").sensitive == frozenset()


def test_undeclared_endpoints_can_be_refused() -> None:
    """Nothing is sent for an endpoint that does not say what it is; one that says so is served."""
    strict = inbound(undeclared="refuse")
    assert "undeclared" in (state_of(strict.scope(path="/health")).refusal or "")
    assert state_of(strict.scope(path="/payments/7")).refusal is None
    declared = strict.scope(path="/health", marks_resolver=lambda: frozenset())
    assert declared.sensitive == frozenset()
    assert state_of(declared).refusal is None


def test_undeclared_endpoints_can_be_sensitive() -> None:
    """The config's category holds until the endpoint says something else."""
    strict = inbound(undeclared="sensitive:payment")
    assert strict.scope(path="/health").sensitive == {"payment"}
    assert strict.scope(path="/health", marks_resolver=lambda: frozenset()).sensitive == frozenset()


def test_the_subject_is_asked_once_and_not_before_a_client_is() -> None:
    """The app may find out who the user is while the request runs."""
    asked: list[str] = []

    def subject() -> str:
        asked.append("asked")
        return "user-7"

    scope = inbound().scope(path="/", late_subject=subject)
    assert not asked
    assert scope.openai is not None
    assert scope.async_openai is not None
    assert (scope.subject, asked) == ("user-7", ["asked"])


def test_outside_of_a_request_a_call_is_refused() -> None:
    """A context that got lost must not become an unmarked call."""
    import openai

    router = inbound().router
    client = openai.OpenAI(api_key="-", base_url="http://127.0.0.1:9", http_client=router.sync_http_client())
    with pytest.raises(NotInScope, match=r"router\.scope\(\)"):
        client.chat.completions.create(model="t", messages=[])


def test_sensitivity_raised_after_a_call_fails_closed(caplog: pytest.LogCaptureFixture) -> None:
    """The late mark is an error in the log, and nothing more is sent."""
    from lanewise.testing import FakeProvider

    with FakeProvider() as provider:
        config = {**CONFIG, "providers": {"one": {"base_url": provider.base_url}}}
        with Router.from_mapping(config) as router:
            scope = Inbound(router).scope(path="/health")
            scope.openai.chat.completions.create(model="t", messages=[])
            scope.raise_sensitivity("payment")
            with pytest.raises(FailClosed, match=r"after a call had already gone out"):
                scope.openai.chat.completions.create(model="t", messages=[])
        assert provider.request_count == 1
    assert [record for record in caplog.records if record.levelno == logging.ERROR]


def test_log_records_have_the_requests_id() -> None:
    """A filter puts it there; outside of a request it is a dash."""
    record = logging.LogRecord("app", logging.INFO, __file__, 1, "hello", (), None)
    other = logging.LogRecord("app", logging.INFO, __file__, 1, "hello", (), None)
    with inbound().scope(path="/", request_ids=["req-12345678"]).active():
        assert RequestIdFilter().filter(record)
    assert RequestIdFilter().filter(other)
    assert (vars(record)["request_id"], vars(other)["request_id"]) == ("req-12345678", "-")


def test_a_router_may_be_given_as_the_path_of_its_config(tmp_path: object) -> None:
    """Anything that is neither is refused with what would be right."""
    router = Router.from_mapping(CONFIG)
    assert router_of(router) is router
    with pytest.raises(TypeError, match=r"a Router or the path of a config file, not int"):
        router_of(7)  # type: ignore[arg-type]
