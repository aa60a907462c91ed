"""What the pages show: how tasks stand, calls, one call; nothing of a prompt or a key; whatever is shown is a text."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from busy_machine import until
from dashboard.stage import MOUNTS, Stage, Visitor, ask, mounted, visiting
from lanewise import Router
from lanewise.testing import Status

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(params=MOUNTS)
def shown(request: pytest.FixtureRequest, stage: Stage, tmp_path: Path) -> Iterator[tuple[Router, Visitor]]:
    """A fresh router with a ledger, and somebody who looks at its page."""
    router = Router.from_mapping(stage.config(f"sqlite:///{tmp_path / 'ledger.db'}"))
    with mounted(request.param, router) as url, visiting(url) as visitor:
        yield router, visitor


def eventually(visitor: Visitor, path: str, text: str) -> str:
    """A page once it has a text: records are written some moments after their calls."""
    until(lambda: text in visitor.text(path))
    return visitor.text(path)


def test_now_says_that_all_is_well(shown: tuple[Router, Visitor]) -> None:
    """A task that nothing is known against is on its primary lane."""
    _, visitor = shown
    page = visitor.text()
    assert "All tasks are on their primary lanes." in page
    assert "flagship" in page


def test_now_says_which_task_is_on_its_fallback_and_why(stage: Stage, shown: tuple[Router, Visitor]) -> None:
    """In a line: the task, who answers, since when, and what is wrong with the primary route."""
    router, visitor = shown
    stage.first.script("model-one", Status(503))
    for _ in range(3):
        ask(router)
    page = eventually(visitor, "", "chat is on its fallback")
    assert re.search(r"<strong>spare</strong> answers \(equivalent\)<span class=\"since\"> since <strong>", page)
    assert re.search(r"flagship is (half-)?open: outage, HTTP 503", page)


def test_calls_are_listed_and_found(stage: Stage, shown: tuple[Router, Visitor]) -> None:
    """By what they met, by their labels and by their request."""
    router, visitor = shown
    plain = ask(router, request_id="req-2026-plain")
    stage.first.script("model-one", Status(500))
    odd = ask(router, request_id="req-2026-odd", labels={"size": "short"})
    eventually(visitor, "calls", odd)
    for query, found, missing in (
        ("task=chat", odd, "nothing"),
        ("failure=any", odd, plain),
        ("failure=outage&route=flagship", odd, plain),
        ("label=size%3Dshort", odd, plain),
        ("request=req-2026-plain", plain, odd),
        (f"request={odd}", odd, plain),
        ("lane=equivalent", odd, plain),
        ("since=2020-01-01T00:00", plain, "nothing"),
    ):
        page = visitor.text(f"calls?{query}")
        assert found in page, query
        assert missing not in page, query
    assert "No call is like that" in visitor.text("calls?outcome=refused")


def test_one_call_is_told_in_full(stage: Stage, shown: tuple[Router, Visitor]) -> None:
    """Its timeline, explain()'s words, and each attempt."""
    router, visitor = shown
    stage.first.script("model-one", Status(500))
    call_id = ask(router, labels={"size": "short"})
    eventually(visitor, "calls", call_id)
    page = visitor.text(f"calls/{call_id}")
    assert "spare (equivalent)" in page
    assert "switches to spare (equivalent)" in page
    assert 'aria-label="1. flagship (primary)' in page
    assert "model-two" in page
    assert "Label size" in page
    assert visitor.get("calls/01a203e9-none").status_code == 404


def test_nothing_of_a_prompt_or_an_answer_is_shown(stage: Stage, shown: tuple[Router, Visitor]) -> None:
    """Not of a call that was answered, and not of one that failed."""
    router, visitor = shown
    answered = ask(router)
    stage.first.script("model-one", Status(400, error={"message": "canary-error"}))
    failed = ask(router)
    eventually(visitor, "calls", failed)
    for path in ("", "calls", f"calls/{answered}", f"calls/{failed}"):
        assert "canary" not in visitor.text(path)


def test_whatever_is_shown_is_a_text(stage: Stage, shown: tuple[Router, Visitor], tmp_path: Path) -> None:
    """A script in a label, an error's text, a model's name, a request id or anything else of a row runs nowhere."""
    router, visitor = shown
    stage.first.script("model-one", Status(500))
    call_id = ask(router, labels={SCRIPT: SCRIPT})
    eventually(visitor, "calls", call_id)
    with sqlite3.connect(tmp_path / "ledger.db") as database:
        for table, columns in (
            ("calls", ("request_id", "task", "route", "subject_hash")),
            ("attempts", ("route", "model_asked", "model_answered", "provider_host", "provider_error_code", "detail")),
            ("attempts", ("dropped", "adapted", "lenient", "service_tier", "idempotency_key")),
        ):
            sets = ", ".join(f"{column} = ?" for column in columns)
            database.execute(f"UPDATE {table} SET {sets}", [f'{column}"{SCRIPT}' for column in columns])
        notes = '[[0.0, "' + SCRIPT + '"]]'
        database.execute("UPDATE calls SET notes = ?", [notes])
    database.close()
    for path in ("", "calls", "calls?failure=any", f"calls/{call_id}", f"calls?task=%22{SCRIPT}&label={SCRIPT}"):
        text = visitor.get(path).text
        assert SCRIPT not in text, path
        assert '"<' not in text, path
    assert SCRIPT in visitor.text(f"calls/{call_id}")


def test_a_page_without_a_ledger_knows_its_process(stage: Stage) -> None:
    """It says so, and what a ledger would add."""
    for mount in MOUNTS:
        router = Router.from_mapping(stage.config())
        with mounted(mount, router) as url, visiting(url) as visitor:
            call_id = ask(router)
            page = eventually(visitor, "calls", call_id)
            assert "There is no ledger" in page
            assert "There is no ledger" in visitor.text()
            assert "spare" not in visitor.text(f"calls/{call_id}")
            stage.first.script("model-one", Status(500))
            odd = ask(router, labels={"size": "short"})
            assert odd in eventually(visitor, "calls?failure=outage&label=size", odd)
            stage.first.reset()


def test_a_ledger_that_cannot_be_read_takes_no_page_away(shown: tuple[Router, Visitor], tmp_path: Path) -> None:
    """How the routes stand is still told, and what is missing."""
    _, visitor = shown
    visitor.text()
    with sqlite3.connect(tmp_path / "ledger.db") as database:
        for table in ("calls", "attempts"):
            database.execute(f"ALTER TABLE {table} RENAME TO moved_{table}")
    database.close()
    time.sleep(2.1)  # for so long what was found is told again
    page = visitor.text()
    assert "The ledger can't be read now" in page
    assert "flagship" in page
    assert "The ledger can't be read now" in visitor.text("calls")
    assert visitor.get("calls/01a203e9").status_code == 503


def test_pages_are_the_same_without_scripts(shown: tuple[Router, Visitor]) -> None:
    """All links are links, and the filters are a form that is sent by GET."""
    _, visitor = shown
    page = visitor.get("calls").text
    assert '<form method="get" action="calls">' in page
    for path in re.findall(r'<a [^>]*href="([^"#]+)"', page):
        assert visitor.get(path).status_code == 200, path
