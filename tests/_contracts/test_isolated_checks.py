"""Checks in processes of their own: they answer, end in time, and leave nothing behind."""

from __future__ import annotations

import asyncio
import json
import os

import pytest

from _contracts.hostile import PATTERN, TEXT, branching
from lanewise._contracts import isolated_checks
from lanewise._contracts.compiled_schema import BadSchema
from lanewise._contracts.isolated_checks import CheckUnavailable, IsolatedChecks
from lanewise._contracts.json_schema import Question

pytestmark = pytest.mark.anyio

HOSTILE = (Question("schema", json.dumps(branching(60)), '"x"'), Question("pattern", PATTERN, TEXT))
each_hostile = pytest.mark.parametrize("question", HOSTILE, ids=["schema", "pattern"])


@pytest.fixture
def checks():
    made = IsolatedChecks()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("question", "breach"),
    [
        (Question("schema", '{"type": "object", "required": ["a"]}', '{"a": 1}'), None),
        (Question("schema", '{"type": "object", "required": ["a"]}', "{}"), "the top level: required (a)"),
        (Question("schema", '{"pattern": "^(?!b)a+$"}', '"aa"'), None),
        (Question("schema", json.dumps(branching(14)), '"x"'), "the top level: anyOf"),
        (Question("pattern", "(a+)+$", "baa"), None),
        (Question("pattern", "^(a+)+$", "baa"), "must_match: the pattern is not in it"),
        (Question("pattern", r"\w+$", "Grüße\ud800"), "must_match: the pattern is not in it"),
    ],
)
async def test_a_process_gives_the_verdict(checks: IsolatedChecks, question: Question, breach: str | None) -> None:
    """The same that would be given here."""
    assert await checks.breach(question, 30) == breach


async def test_a_schema_that_is_none_is_told(checks: IsolatedChecks) -> None:
    """By the same words as anywhere."""
    with pytest.raises(BadSchema, match="it is no JSON Schema"):
        await checks.breach(Question("schema", '{"type": "nothing"}', "1"), 30)


@each_hostile
async def test_what_takes_too_long_is_ended(checks: IsolatedChecks, question: Question) -> None:
    """While the loop goes on with everything else; and the next question is answered."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    with pytest.raises(CheckUnavailable, match="in time"):
        await checks.breach(question, 0.3)
    counting.cancel()
    assert turns > 100
    assert await checks.breach(Question("pattern", "a", "a"), 30) is None


@each_hostile
async def test_a_caller_that_goes_away_ends_its_check(checks: IsolatedChecks, question: Question) -> None:
    """Nobody waits for the verdict any more."""
    asking = asyncio.create_task(checks.breach(question, 600))
    while not any(job._process for job in checks._running):
        await asyncio.sleep(0.01)
    (process,) = (job._process for job in checks._running)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert process is not None
    await asyncio.to_thread(process._process.wait, 30)


async def test_many_wait_for_a_process_within_their_time(checks: IsolatedChecks) -> None:
    """No more processes run than are allowed."""
    question = Question("pattern", "(a+)+$", "baa")
    assert await asyncio.gather(*(checks.breach(question, 60) for _ in range(20))) == [None] * 20
    assert len(checks._idle) <= isolated_checks.PROCESSES


async def test_a_process_that_has_ended_meanwhile_is_replaced(checks: IsolatedChecks) -> None:
    """It ends by itself after a minute without a question."""
    question = Question("pattern", "(a+)+$", "baa")
    await checks.breach(question, 60)
    (process,) = checks._idle
    process.kill()
    process._process.wait()
    assert await checks.breach(question, 60) is None


async def test_a_process_that_cannot_be_started_is_told(
    checks: IsolatedChecks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is not judged, and so does not count."""
    monkeypatch.setattr(isolated_checks, "_python", lambda: os.devnull)
    with pytest.raises(CheckUnavailable, match="could not be started"):
        await checks.breach(Question("pattern", "a", "a"), 30)


async def test_closing_ends_processes_and_checks() -> None:
    """And what is asked afterwards is answered by new ones."""
    checks = IsolatedChecks()
    question = Question("pattern", "(a+)+$", "baa")
    await checks.breach(question, 60)
    (process,) = checks._idle
    asking = asyncio.create_task(checks.breach(HOSTILE[0], 600))
    while not any(job._process for job in checks._running):
        await asyncio.sleep(0.01)
    await asyncio.to_thread(checks.close)
    assert process._process.poll() is not None
    with pytest.raises(CheckUnavailable):
        await asking
    assert await checks.breach(question, 60) is None
    checks.close()
