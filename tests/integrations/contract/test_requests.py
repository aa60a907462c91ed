"""What each framework's requests have: their own clients, one id that is the same everywhere, and keys by user."""

from __future__ import annotations

import logging
import re
import time

import openai
import pytest

from busy_machine import LONG_ENOUGH
from integrations.contract.actions import PROMPT
from integrations.contract.harness import USER_HEADER
from integrations.contract.served_apps import ServedApp
from lanewise import NotInScope
from lanewise.testing import Status
from lanewise.web import RequestIdFilter

REQUEST_ID = "req-2026-000042"
FRESH = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
CLOSED = ("/sensitive/whole", "/sensitive/whole_sync")
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
POISONED = {
    "CR and LF": b"good-id-123456\r\nX-Evil: 1",
    "LF": b"good-id-123456\nevil",
    "NUL": b"good-id-123456\x00",
    "100 kB": b"a" * 100_000,
    "not ASCII": "канарейка-канарейка".encode(),
    "Latin-1": b"caf\xe9-canary-1234",
    "too short": b"abc",
    "a character too long": b"a" * 129,
    "empty": b"",
    "spaces": b"good id 123456",
    "markup": b"<script>canary</script>",
}


def test_clients_and_scope_are_injected(served: ServedApp) -> None:
    """Real SDK clients of both kinds, and the scope, which is the current one too."""
    assert served.get("/types").json == {"right": [True, True, True], "is_current": True}


@pytest.mark.parametrize("path", ["/whole", "/whole_sync", "/streamed", "/streamed_sync", "/streamed_late"])
def test_both_clients_answer(path: str, served: ServedApp) -> None:
    """Whole and in pieces."""
    reply = served.get(path)
    assert (reply.status, reply.whole) == (200, True)
    assert "Hello from model-one" in reply.text


def test_no_client_works_outside_of_a_request(served: ServedApp) -> None:
    """A lost context must not become an unmarked call: nothing is sent."""
    client = openai.OpenAI(http_client=served.router.sync_http_client(), api_key="-", base_url="http://ai.invalid/v1")
    with pytest.raises(NotInScope, match="scope"):
        client.chat.completions.create(model="both", messages=[{"role": "user", "content": PROMPT}])
    assert served.stage.approved.journal == []


@pytest.mark.parametrize("path", ["/quiet", "/quiet_sync", "/whole", "/streamed", "/later", "/nowhere", "/boom"])
def test_the_id_is_echoed_once_whatever_the_answer_is(path: str, served: ServedApp) -> None:
    """Also where nothing is found, and where the app itself fails."""
    if path == "/boom" and served.driver.name in ("starlette", "fastapi"):
        pytest.skip("Starlette makes its plain 500 outside of all middleware")
    assert served.get(path, {"X-Request-ID": REQUEST_ID}).all("x-request-id") == [REQUEST_ID]


def test_an_inbound_id_is_the_scope_s(served: ServedApp) -> None:
    """What the app sees is what the caller sent."""
    assert served.get("/quiet", {"X-Request-ID": REQUEST_ID}).json["request_id"] == REQUEST_ID


def test_a_request_without_an_id_gets_a_fresh_one(served: ServedApp) -> None:
    """A UUIDv7, another one for each request."""
    first, second = (served.get("/quiet") for _ in range(2))
    assert FRESH.fullmatch(first.json["request_id"])
    assert first.header("x-request-id") == first.json["request_id"] != second.json["request_id"]


@pytest.mark.parametrize("name", POISONED)
@pytest.mark.parametrize("path", ["/quiet", "/quiet_sync"])
def test_a_poisoned_id_is_replaced(name: str, path: str, served: ServedApp, caplog: pytest.LogCaptureFixture) -> None:
    """No crash, and nothing of it in a header or in the log."""
    caplog.set_level(logging.DEBUG)
    reply = served.driver.direct(served.app, path, [(b"X-Request-ID", POISONED[name])])
    assert reply.status == 200
    assert FRESH.fullmatch(reply.header("x-request-id") or "")
    assert reply.json["request_id"] == reply.header("x-request-id")
    assert reply.header("x-evil") is None
    assert not any(word in caplog.text for word in ("canary", "evil", "good-id", "good id", "aaaaaaaa"))


@pytest.mark.parametrize("values", [(REQUEST_ID, REQUEST_ID), (REQUEST_ID, "req-2026-000043"), (REQUEST_ID, "")])
def test_an_id_that_comes_twice_is_replaced(values: tuple[str, str], served: ServedApp) -> None:
    """Which of them a proxy would log is anybody's guess."""
    over_http = served.get("/quiet", [("X-Request-ID", value) for value in values])
    direct = served.driver.direct(served.app, "/quiet", [(b"X-Request-ID", value.encode()) for value in values])
    for reply in (over_http, direct):
        assert reply.status == 200
        assert FRESH.fullmatch(reply.header("x-request-id") or "")


def test_keys_go_upstream(served: ServedApp) -> None:
    """The id with a digest, and the id of the attempt, on every attempt."""
    served.stage.approved.script_all(Status(401))
    reply = served.get("/whole", {"X-Request-ID": REQUEST_ID})
    sent = [served.stage.approved.journal[-1], served.stage.other.journal[-1]]
    assert reply.json["route"] == "second"
    assert all(re.fullmatch(rf"{REQUEST_ID}-[0-9a-f]{{16}}", each.headers["Idempotency-Key"]) for each in sent)
    assert len({each.headers["Idempotency-Key"] for each in sent}) == 2
    ids = [each.headers["X-Client-Request-Id"] for each in sent]
    assert [each.rpartition("-")[2] for each in ids] == ["1", "2"]
    assert len({each.rpartition("-")[0] for each in ids}) == 1


def test_identical_calls_of_one_request_are_told_apart(served: ServedApp) -> None:
    """The second one's key has its number; the same request sent again makes the same keys."""
    for _ in range(2):
        served.get("/twice", {"X-Request-ID": REQUEST_ID})
    first, second, again, and_again = (each.headers["Idempotency-Key"] for each in served.stage.approved.journal)
    assert (second, again, and_again) == (f"{first}-2", first, second)


def test_another_user_s_id_makes_other_keys(served: ServedApp) -> None:
    """An id is no secret: sent by somebody else it is taken as an id, and gives no answer that was not theirs."""
    for user in ("alice", "alice", "mallory", None):
        headers = {"X-Request-ID": REQUEST_ID} | ({} if user is None else {USER_HEADER: user})
        assert served.get("/whole", headers).header("x-request-id") == REQUEST_ID
    alice, alice_again, mallory, nobody = (each.headers["Idempotency-Key"] for each in served.stage.approved.journal)
    assert alice == alice_again
    assert len({alice, mallory, nobody}) == 3
    assert all(each.startswith(f"{REQUEST_ID}-") for each in (alice, mallory, nobody))
    sent = " ".join(f"{each.headers.pairs} {each.body!r}" for each in served.stage.approved.journal)
    assert "alice" not in sent


@pytest.mark.parametrize(
    ("traces", "passed_on"),
    [((TRACE,), [TRACE]), ((), []), (("canary",), []), ((TRACE, TRACE), [])],
    ids=["one", "none", "malformed", "twice"],
)
def test_a_trace_goes_on(traces: tuple[str, ...], passed_on: list[str], served: ServedApp) -> None:
    """As it came, if it is one."""
    assert served.get("/whole", [("traceparent", trace) for trace in traces]).status == 200
    assert served.stage.approved.journal[-1].headers.all("traceparent") == passed_on


@pytest.mark.parametrize("header", ["Authorization", "Cookie"])
def test_the_caller_s_credentials_stay_here(header: str, served: ServedApp) -> None:
    """They are for the app."""
    served.get("/whole", {header: "canary-secret"})
    assert "canary-secret" not in str(served.stage.approved.journal[-1].headers.pairs)


@pytest.mark.parametrize(
    "path", ["/quiet", "/quiet_sync", "/whole", "/whole_sync", "/streamed_late", "/sensitive/whole"]
)
def test_every_record_of_a_request_has_its_id(path: str, served: ServedApp, caplog: pytest.LogCaptureFixture) -> None:
    """The app's and the router's, from coroutines and from threads; and none has the prompt or a key."""
    caplog.set_level(logging.DEBUG, "lanewise")
    caplog.set_level(logging.DEBUG, "the app")
    caplog.handler.addFilter(RequestIdFilter())
    served.stage.approved.script_all(Status(401))
    began = time.time()
    served.get(path, {"X-Request-ID": REQUEST_ID})
    until = time.monotonic() + LONG_ENOUGH
    while "quiet" not in path and not any(hasattr(record, "outcome") for record in _since(began, caplog)):
        assert time.monotonic() < until, "the line of a call is written by a thread of its own, and soon"
        time.sleep(0.01)
    records = [record for record in _since(began, caplog) if record.name.startswith(("lanewise", "the app"))]
    assert records
    assert {getattr(record, "request_id", None) for record in records} == {REQUEST_ID}
    assert "canary" not in caplog.text


def _since(began: float, caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Not what an earlier request's thread still had to write: a line has the time of its call."""
    return [record for record in caplog.records if record.created >= began]
