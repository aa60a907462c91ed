"""``lanewise reviews``: a person sees what waits, and decides it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from lanewise import Api, Call, Config, ReviewStatus
from lanewise._reviews import NewCase, Review, ReviewQueue
from lanewise._sealing import Seal
from lanewise.cli import main
from lanewise.cli.framework_commands import app_commands

KEY = "canary-storage-key-of-at-least-32-characters"
CONFIG = """
[router]
ledger = "sqlite:///cases.db"
storage_key_env = "STORAGE_KEY"
[providers.openai]
[routes.main]
provider = "openai"
model = "gpt-4o"
[tasks.refund]
primary = "main"
sensitive = "payment"
[sensitive.payment]
routes = ["main"]
on_failure = "review"
"""
QUESTION = {
    "messages": [
        {"role": "system", "content": "You decide refunds."},
        {"role": "user", "content": [{"type": "text", "text": "I want \x1b[31mmy money\u202e back."}]},
    ]
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "lanewise.toml"
    file.write_text(CONFIG, encoding="utf-8")
    return file


@pytest.fixture
def queue(config: Path) -> Iterator[ReviewQueue]:
    queue = ReviewQueue(f"sqlite:///{config.parent / 'cases.db'}", Seal([KEY]))
    yield queue
    queue.close()


def opened(queue: ReviewQueue, question: object = QUESTION, expires: float = 86400.0) -> Review:
    call = Call(
        id="call-1",
        request_id="req-2026-000042",
        task="refund",
        api=Api.CHAT,
        started_at=datetime.now(UTC),
        sensitive=("payment",),
    )
    review = queue.open(NewCase(call, "main: outage", b'{"ticket":7}', json.dumps(question).encode(), expires, 3600.0))
    assert review is not None
    return review


def run(config: Path, *arguments: str, key: str | None = KEY) -> Result:
    """Runs the command in this process: it needs no key of a provider."""
    env = {"STORAGE_KEY": key, "OPENAI_API_KEY": None}
    return CliRunner().invoke(main, ["reviews", "--config", str(config), *arguments], env=env)


def test_the_list_tells_what_waits_and_shows_no_text(config: Path, queue: ReviewQueue) -> None:
    """Enough to choose one; its texts are shown one by one."""
    assert "no case waits for a person" in run(config, "list").output
    review = opened(queue)
    result = run(config, "list")
    assert result.exit_code == 0
    for text in (review.id, "refund", "payment", "pending", "23 h", "main: outage"):
        assert text in result.output
    assert "money" not in result.output
    (told,) = json.loads(run(config, "list", "--json").output)
    assert (told["id"], told["status"], told["answer"], told["data"]) == (review.id, "pending", None, None)


def test_a_case_is_shown_as_a_person_reads_it(config: Path, queue: ReviewQueue) -> None:
    """Messages in order, the app's data and the draft; what would play with the terminal does not."""
    review = opened(queue)
    assert "There is no draft: approve it with --answer" in run(config, "show", review.id).output
    queue.add_draft(review.id, "Refund it.\x1b]0;title\x07", "second")
    result = run(config, "show", review.id)
    assert '{"ticket":7}' in result.output
    assert "[system]\nYou decide refunds." in result.output
    assert "[user]\nI want \ufffd[31mmy money\ufffd back." in result.output
    assert "[a draft by second]\nRefund it." in result.output
    assert "\x1b" not in result.output
    told = json.loads(run(config, "show", review.id, "--json").output)
    assert told["question"] == QUESTION
    assert told["draft"]["route"] == "second"


def test_letters_that_need_joiners_stay_readable(config: Path, queue: ReviewQueue) -> None:
    """Persian and emoji have invisible characters that belong to them; so do non-breaking spaces."""
    text = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \U0001f469\u200d\U0001f4bb 10\u00a0\u20ac"
    review = opened(queue, {"input": text})
    assert text in run(config, "show", review.id).output


def test_approving_a_draft_makes_it_the_answer(config: Path, queue: ReviewQueue) -> None:
    """By whom is kept; a second decision is told that it came late."""
    review = opened(queue)
    assert "no draft to approve" in run(config, "approve", review.id).output
    queue.add_draft(review.id, "Refund it.", "second")
    result = run(config, "approve", review.id, "--by", "Ada")
    assert (result.exit_code, result.output) == (0, f"{review.id}: approved by Ada\n")
    late = run(config, "reject", review.id, "--by", "Bob")
    assert late.exit_code == 1
    assert "it is approved by Ada" in late.output
    found = queue.get(review.id)
    assert (found.status, found.answer, found.decided_by) == (ReviewStatus.APPROVED, "Refund it.", "Ada")
    assert "[the answer]\nRefund it." in run(config, "show", review.id).output
    assert review.id in run(config, "list", "--status", "approved").output
    assert "no case waits" in run(config, "list").output


@pytest.mark.parametrize(("decide", "status"), [("approve", "approved"), ("reject", "rejected")])
@pytest.mark.parametrize(("typed", "kept"), [("Grace Hopper\n", "Grace Hopper"), ("\n", "deploy")])
def test_at_a_terminal_it_is_asked_who_decides(
    decide: str, status: str, typed: str, kept: str, config: Path, queue: ReviewQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all log in as one user, that user's name tells nobody who it was."""
    from lanewise.cli import reviews

    monkeypatch.setattr(reviews, "_at_a_terminal", lambda: True)
    monkeypatch.setattr(reviews.getpass, "getuser", lambda: "deploy")
    review = opened(queue)
    queue.add_draft(review.id, "Refund it.", "second")
    command = ["reviews", "--config", str(config), decide, review.id]
    done = CliRunner().invoke(main, command, input=typed, env={"STORAGE_KEY": KEY})
    assert done.exit_code == 0, done.output
    assert "Who decides? [deploy]" in done.output
    found = queue.get(review.id)
    assert (found.status, found.decided_by) == (status, kept)


@pytest.mark.parametrize("way", ["--answer", "--answer-file"])
def test_a_person_may_write_the_answer(way: str, config: Path, queue: ReviewQueue, tmp_path: Path) -> None:
    """On the command line or from a file; it takes the draft's place."""
    review = opened(queue)
    queue.add_draft(review.id, "Refund it.", "second")
    file = tmp_path / "answer.txt"
    file.write_text("We don't, sorry.", encoding="utf-8")
    given = "We don't, sorry." if way == "--answer" else str(file)
    assert run(config, "approve", review.id, way, given, "--by", "Ada").exit_code == 0
    assert queue.get(review.id).answer == "We don't, sorry."
    both = run(config, "approve", review.id, "--answer", "a", "--answer-file", str(file))
    assert both.exit_code == 2


def test_rejecting_leaves_the_caller_without_an_answer(config: Path, queue: ReviewQueue) -> None:
    """The user of the computer decides, where nobody else is named."""
    review = opened(queue)
    assert run(config, "reject", review.id).exit_code == 0
    found = queue.get(review.id)
    assert (found.status, found.answer) == (ReviewStatus.REJECTED, None)
    assert found.decided_by


def test_what_is_wrong_is_told_with_exit_code_1(config: Path, queue: ReviewQueue) -> None:
    """An unknown id, a missing or another key, a config without a queue, a file that is no database."""
    review = opened(queue)
    assert (run(config, "show", "none").exit_code, run(config, "show", "none").output) == (1, "no case has this id\n")
    assert "STORAGE_KEY is not set" in run(config, "list", key=None).output
    other = run(config, "show", review.id, key="another-storage-key-of-32-characters-and-more")
    assert other.exit_code == 1
    assert "key that is not in use" in other.output
    plain = config.parent / "plain.toml"
    plain.write_text('[providers.openai]\n[routes.m]\nprovider = "openai"\nmodel = "m"\n[tasks.t]\nprimary = "m"\n')
    assert "need `ledger` and `storage_key_env`" in run(plain, "list").output
    (config.parent / "cases.db").unlink()
    (config.parent / "cases.db").mkdir()
    broken = run(config, "list")
    assert broken.exit_code == 1
    assert "the database of the reviews can't be used" in broken.output


def test_an_app_s_own_command_line_knows_its_config(config: Path, queue: ReviewQueue) -> None:
    """``flask lanewise reviews list`` needs no path."""
    group = app_commands(Config.from_file(config), click.Command("endpoints"))
    review = opened(queue)
    result = CliRunner().invoke(group, ["reviews", "list"], env={"STORAGE_KEY": KEY})
    assert (result.exit_code, review.id in result.output) == (0, True)


def test_expired_cases_have_no_texts_left(config: Path, queue: ReviewQueue) -> None:
    """Nobody decided in time: the case says so, and what was sealed is gone from the database."""
    review = opened(queue, expires=0.0)
    assert queue.get(review.id).status is ReviewStatus.EXPIRED, "also before anybody has written it down"
    result = run(config, "list", "--status", "expired")
    assert review.id in result.output
    assert "texts     deleted" in run(config, "show", review.id).output
    assert run(config, "approve", review.id, "--answer", "x").exit_code == 1
    with sqlite3.connect(config.parent / "cases.db") as connection:
        row = connection.execute("SELECT status, sealed_data, sealed_question, sealed_answer FROM reviews").fetchone()
    connection.close()
    assert row == ("expired", None, None, None)
