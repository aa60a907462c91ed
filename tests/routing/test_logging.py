"""The log: one INFO line a call, one WARNING each time a call left its first lane, facts as fields."""

from __future__ import annotations

import logging

import pytest

from routing.driving import FIRST_MODEL, FORMS, REQUEST_ID, SECOND_MODEL, Form, Stage, ask, config
from understudy import FailureKind, LaneName, Outcome, Router
from understudy.testing import Answer, Status, StreamOf

pytestmark = pytest.mark.anyio

each_form = pytest.mark.parametrize("form", FORMS, ids=str)


def _lines(caplog: pytest.LogCaptureFixture, level: int) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "understudy" and record.levelno == level]


@each_form
async def test_a_call_that_went_well_is_one_line(form: Form, stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Who answered, by how many attempts, in how long."""
    caplog.set_level(logging.INFO)
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form)

    assert [record.levelno for record in caplog.records if record.name == "understudy"] == [logging.INFO]
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
async def test_a_call_that_left_its_first_lane_is_one_warning_more(
    form: Form, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """With the reason, however many attempts it took."""
    caplog.set_level(logging.INFO)
    stage.first.script(FIRST_MODEL, Status(500))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form)

    (warning,) = _lines(caplog, logging.WARNING)
    assert warning.message == "both leaves lane primary for equivalent (second) after outage"
    facts = vars(warning)
    assert (facts["left_lane"], facts["lane"], facts["route"]) == (LaneName.PRIMARY, LaneName.EQUIVALENT, "second")
    assert (facts["failure"], facts["task"], facts["call_id"]) == (FailureKind.OUTAGE, "both", got.call.id)
    (line,) = _lines(caplog, logging.INFO)
    assert "answered by second (equivalent) after 3 attempts" in line.message


@each_form
@pytest.mark.usefixtures("hurried")
async def test_a_call_that_failed_is_one_line_with_its_failure(
    form: Form, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """The last failure names it."""
    caplog.set_level(logging.INFO)
    stage.first.script(FIRST_MODEL, Status(500))
    stage.second.script(SECOND_MODEL, Status(429, retry_after=60))
    async with Router.from_mapping(config(stage)) as router:
        await ask(router, form, timeout=2.0)

    (line,) = _lines(caplog, logging.INFO)
    assert line.message.startswith("both failed: rate_limit after 3 attempts in ")
    assert vars(line)["failure"] is FailureKind.RATE_LIMIT
    assert len(_lines(caplog, logging.WARNING)) == 1


async def test_a_stream_that_broke_is_one_line(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """It is written when the stream ends, not when it begins."""
    caplog.set_level(logging.INFO)
    stage.first.script(FIRST_MODEL, StreamOf(interval=0.1, cut_after=2))
    async with Router.from_mapping(config(stage)) as router:
        await ask(router, Form("async", stream=True))

    (line,) = _lines(caplog, logging.INFO)
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
