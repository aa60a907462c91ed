"""The log: one line a call, one for each breaker that opens or closes, and one a minute for what goes elsewhere."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
import time
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from busy_machine import LONG_ENOUGH
from lanewise import Attempt, FailureKind, JsonFormatter, LaneName, Outcome, Router, UnknownTask
from lanewise.testing import Answer, Status, StreamOf
from router.driving import FIRST_MODEL, FORMS, REQUEST_ID, SECOND_MODEL, WHOLE, Form, Stage, ask, config

pytestmark = pytest.mark.anyio

each_form = pytest.mark.parametrize("form", FORMS, ids=str)


def _lines(caplog: pytest.LogCaptureFixture, level: int) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "lanewise" and record.levelno == level]


@each_form
async def test_a_call_that_went_well_is_one_line(form: Form, stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Who answered, by how many attempts, in how long."""
    caplog.set_level(logging.INFO)
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form)

    assert [record.levelno for record in caplog.records if record.name == "lanewise"] == [logging.INFO]
    (line,) = _lines(caplog, logging.INFO)
    assert line.message.startswith("both answered by first (primary) after 1 attempt in ")
    facts = vars(line)
    assert facts["call_id"] == got.call.id
    assert facts["request_id"] == REQUEST_ID
    assert (facts["task"], facts["route"], facts["lane"]) == ("both", "first", LaneName.PRIMARY)
    assert (facts["outcome"], facts["failure"], facts["attempts"]) == (Outcome.ANSWERED, None, 1)
    assert facts["total_ms"] > 0


@each_form
@pytest.mark.usefixtures("hurried")
async def test_a_call_that_was_saved_is_no_warning(form: Form, stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Its line says by whom, and from what; and which call of which request it was."""
    caplog.set_level(logging.INFO)
    stage.first.script(FIRST_MODEL, Status(500))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form)

    assert _lines(caplog, logging.WARNING) == []
    (line,) = _lines(caplog, logging.INFO)
    assert line.message.startswith("both answered by second (equivalent), past first (outage), after 3 attempts in ")
    assert line.message.endswith(f" [request {REQUEST_ID}, call {got.call.id}]")


@each_form
@pytest.mark.usefixtures("hurried")
async def test_a_call_that_failed_is_one_line_with_its_failure(
    form: Form, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """At WARNING, also where INFO is not wanted; the last failure names it."""
    caplog.set_level(logging.WARNING)
    stage.first.script(FIRST_MODEL, Status(529))
    stage.second.script(SECOND_MODEL, Status(429, retry_after=60))
    async with Router.from_mapping(config(stage, task={"max_attempts": 2})) as router:
        await ask(router, form, timeout=2.0)

    (line,) = _lines(caplog, logging.WARNING)
    assert line.message.startswith("both failed: rate_limit after 2 attempts in ")
    assert vars(line)["failure"] is FailureKind.RATE_LIMIT


async def test_a_stream_that_broke_is_one_line(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """It is written when the stream ends, not when it begins."""
    caplog.set_level(logging.INFO)
    stage.first.script(FIRST_MODEL, StreamOf(interval=0.1, cut_after=2))
    async with Router.from_mapping(config(stage)) as router:
        await ask(router, Form("async", stream=True))

    (line,) = _lines(caplog, logging.WARNING)
    assert line.message.startswith("both failed: stream_broken after 1 attempt in ")


@pytest.mark.parametrize(
    ("behaviour", "level"),
    [(Status(401), logging.ERROR), (Status(403, {"type": "x"}), logging.WARNING), (Status(404), logging.WARNING)],
    ids=["key", "forbidden", "model"],
)
async def test_what_somebody_has_to_mend_is_told(
    behaviour: Status, level: int, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong key is an error, a model that is missing a warning, even if the call was answered."""
    stage.first.script(FIRST_MODEL, behaviour)
    async with Router.from_mapping(config(stage)) as router:
        await ask(router, Form("async"))

    (told,) = [record for record in caplog.records if "somebody mends" in record.message]
    assert told.levelno == level
    assert vars(told)["route"] == "first"
    assert vars(told)["http_status"] == behaviour.status


async def test_an_attempt_is_a_line_for_who_looks_closer(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """One each at DEBUG, with all that is recorded of it, before the call's own."""
    caplog.set_level(logging.DEBUG, logger="lanewise")
    stage.first.script(FIRST_MODEL, Status(429, retry_after=30))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, Form("async"))

    first, second = _lines(caplog, logging.DEBUG)
    assert first.message.startswith("both attempt 1 on first (primary): rate_limit, HTTP 429 in ")
    assert second.message.startswith("both attempt 2 on second (equivalent): answered, HTTP 200 in ")
    assert {name: vars(second)[name] for name in Attempt.__struct_fields__} == {
        name: getattr(got.call.attempts[1], name) for name in Attempt.__struct_fields__
    }
    assert caplog.records[-1].levelno == logging.INFO


@pytest.mark.parametrize("form", WHOLE, ids=str)
async def test_what_never_became_a_call_is_a_line(form: Form, stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Of what was asked for it says nothing: that may be anything."""
    caplog.set_level(logging.DEBUG, logger="lanewise")
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form, "canary-task")

    assert isinstance(got.error, UnknownTask)
    (line,) = _lines(caplog, logging.INFO)
    assert line.message == f"nothing was sent for request {REQUEST_ID}: UnknownTask"
    assert "canary" not in repr(vars(line))


class Troubled(logging.Handler):
    """A handler that takes as long as it is let, and then raises."""

    def __init__(self) -> None:
        super().__init__()
        self.may_end = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.may_end.wait(LONG_ENOUGH)
        raise OSError("the disk is full")


async def test_a_slow_and_raising_handler_is_not_the_requests_business(
    stage: Stage, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Lines are written beside the calls; the next handler's turn comes with the next line."""
    caplog.set_level(logging.INFO)
    troubled = Troubled()
    logger = logging.getLogger("lanewise")
    logger.addHandler(troubled)
    try:
        async with Router.from_mapping(config(stage)) as router:
            begun = time.monotonic()
            for _ in range(4):
                assert (await ask(router, Form("async"))).error is None
            assert time.monotonic() - begun < 15
            troubled.may_end.set()
    finally:
        troubled.may_end.set()
        logger.removeHandler(troubled)
    assert "the disk is full" in capfd.readouterr().err


async def test_a_raising_record_factory_is_not_the_requests_business(
    stage: Stage, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is the app's own, and runs where its handlers do; the lines that it lets through are written."""
    caplog.set_level(logging.INFO, logger="lanewise")
    before = logging.getLogRecordFactory()

    def broken(name: str, *rest: Any, **named: Any) -> logging.LogRecord:
        if name == "lanewise":
            raise LookupError("no tenant here")
        return before(name, *rest, **named)

    logging.setLogRecordFactory(broken)
    try:
        async with Router.from_mapping(config(stage)) as router:
            assert (await ask(router, Form("async"))).error is None
    finally:
        logging.setLogRecordFactory(before)
    assert _lines(caplog, logging.INFO) == []
    assert "no tenant here" in capfd.readouterr().err


async def test_a_lines_time_thread_and_context_are_the_calls(stage: Stage) -> None:
    """Filters that look into a context variable see the request's."""
    seen: list[tuple[str, float]] = []
    threads: set[str | None] = set()
    tenant: ContextVar[str] = ContextVar("tenant", default="nobody")

    class Watching(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append((tenant.get(), record.created))
            threads.add(record.threadName)

    logger = logging.getLogger("lanewise")
    watching = Watching()
    logger.addHandler(watching)
    logger.setLevel(logging.INFO)
    try:
        async with Router.from_mapping(config(stage)) as router:
            tenant.set("ours")
            got = await ask(router, Form("async"))
    finally:
        logger.removeHandler(watching)
        logger.setLevel(logging.NOTSET)
    assert [who for who, _ in seen] == ["ours"]
    assert threads == {threading.current_thread().name}
    assert got.call.total_ms is not None
    assert seen[0][1] == pytest.approx(got.call.started_at.timestamp() + got.call.total_ms / 1000, abs=0.015)


async def test_the_formatter_writes_json_lines(stage: Stage) -> None:
    """Each line one object, with the fields of the call beside the message."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("lanewise")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        async with Router.from_mapping(config(stage)) as router:
            got = await ask(router, Form("async"))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    attempt, call = [json.loads(line) for line in written.getvalue().splitlines()]
    assert attempt["level"] == "DEBUG"
    assert (attempt["route"], attempt["input_tokens"], attempt["http_status"]) == ("first", 12, 200)
    assert call["logger"] == "lanewise"
    assert call["message"].startswith("both answered by first")
    assert (call["call_id"], call["outcome"], call["cost_usd"]) == (got.call.id, "answered", None)
    assert datetime.fromisoformat(call["time"]) >= got.call.started_at.replace(microsecond=0)


def test_the_formatter_takes_any_record() -> None:
    """Those of others, with exceptions, several lines, and what JSON does not know."""
    record = logging.LogRecord("app", logging.ERROR, "app.py", 1, "two\nlines: %s", ("ä",), None)
    record.path = Path("/tmp/x")
    try:
        raise ValueError("no")
    except ValueError:
        record.exc_info = sys.exc_info()
    line = JsonFormatter().format(record)
    assert "\n" not in line
    read = json.loads(line)
    assert (read["message"], read["path"]) == ("two\nlines: ä", "/tmp/x")
    assert read["exception"].endswith("ValueError: no")


@each_form
async def test_no_line_holds_a_secret(form: Form, stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """No prompt, no answer, no key, no text of a provider, at any level."""
    caplog.set_level(logging.DEBUG)
    stage.first.script(FIRST_MODEL, Status(401, {"message": "canary-provider-text", "code": "canary provider text"}))
    stage.second.script(SECOND_MODEL, Answer("canary-answer"))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form)

    assert got.text == "canary-answer"
    assert "canary" not in caplog.text
    assert "canary" not in "".join(repr(vars(record)) for record in caplog.records)
