"""``lanewise report --html`` and ``lanewise explain --html``: whole pages in one file, whatever is in the ledger."""

from __future__ import annotations

import re
import stat
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from _ledger.calls import NOON, attempt, call
from _ledger.html_pages import Page, page_of
from _ledger.test_report import DAY, file, run, three_calls
from lanewise._ledger.queries.failure_hours import HourFact, failure_hours
from lanewise._ledger.sink import LedgerSink
from lanewise.types import CostStatus, FailureKind, Score

__all__ = ["file", "three_calls"]

NOVEMBER = ("--since", "2026-11-01", "--until", "2026-11-30")
sqlite = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


def written(out: Path, *arguments: str | Path) -> Page:
    """The page that a command writes."""
    done = run(*arguments, "--html", out)
    assert done.exit_code == 0, done.output
    assert done.output == f"Wrote {out}: one page that needs nothing else, to look at, print or send.\n"
    return page_of(out.read_text())


@pytest.mark.usefixtures("three_calls")
def test_the_report_s_page_has_its_figures(file: Path, tmp_path: Path) -> None:
    """The summary of the terminal, each task, lane, route and day with its figures, and the failures by hour."""
    page = written(tmp_path / "out.html", "report", *NOVEMBER, file)
    for text in (
        "2026-11-01 to 2026-11-30 (UTC) , from ",
        "3 calls, 66.7 % answered; 2 failures were absorbed on the way; 50.0 % of the answers came from a fallback.",
        "They cost $0.0600, of which fallbacks $0.0500.",
        "No calls from 2026-10-02 to ",
        "outage 1, timeout 1",
        "helpful 1.00",
        "temperature seed",
        "2026-11-20 12:00 to 13:00",
    ):
        assert text in page.text
    for name in ("extract", "ticket-summary", "primary", "equivalent", "degraded", "flagship", "sonnet", "mini"):
        assert name in page.text
    labels = [value for tag, name, value in page.values if (tag, name) == ("svg", "aria-label")]
    assert labels[0] == "Calls by day: from 1 to 2, most in 2026-11-20"
    assert labels[-1] == "Failed attempts by day and hour (UTC): most on 2026-11-19 12:00 to 13:00, 2"


@pytest.mark.usefixtures("three_calls")
def test_what_changed_is_told_against_the_span_before(file: Path, tmp_path: Path) -> None:
    """A span of the same length, right before."""
    page = written(tmp_path / "out.html", "report", "--since", "2026-11-20", "--until", "2026-11-20", file)
    assert "Before: 2026-11-19 to 2026-11-20 00:00 (UTC)." in page.text
    assert re.search(r"Calls 1 2 2\.0 times", page.text)
    assert re.search(r"Answered 100 % 50\.0 % -50\.0 points worse", page.text)
    assert "task extract is new: 1 of the calls" in page.text


def test_of_today_only_as_much_is_compared_as_has_gone(file: Path, sink: LedgerSink, tmp_path: Path) -> None:
    """Yesterday's calls of a later hour are in neither span."""
    now = datetime.now(UTC)
    later_yesterday = now - DAY + timedelta(minutes=1)
    sink.write([call(at=now), call(at=now - DAY - timedelta(minutes=1)), call(at=later_yesterday)])
    if later_yesterday.date() != (now - DAY).date() or (now - timedelta(minutes=2)).date() != now.date():
        pytest.skip("the day is about to change")
    page = written(tmp_path / "out.html", "report", "--days", "1", file)
    assert re.search(r"Calls 1 1 as before", page.text)


def _one_call(word: str) -> tuple[Any, Score]:
    """A call that has a word wherever something from outside can be."""
    known = CostStatus.KNOWN
    made = call(
        attempt("flagship", FailureKind.OUTAGE, detail=word, provider_error_code=word,
                model_asked=word, model_answered=word, provider_host=word, dropped=(word.replace(",", " "),),
                adapted=(word.replace(";", " "),), lenient=(word.replace(",", " "),)),
        attempt("sonnet", model_answered=word, service_tier=word, tool_calls=((word, 2),), cost_usd=0.02,
                cost_status=known, input_tokens=10, output_tokens=2, first_byte_ms=20.0, first_content_ms=30.0),
        task=word, request_id=word or "req", labels=((word, word),), notes=((1.0, word),), sensitive=(word,),
    )  # fmt: skip
    return made, Score(call_id=made.id, name=word, value=1.0, at=NOON)


HOSTILE = (
    "<script>alert(1)</script>",
    "</title></style><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "<!-- <p>",
    "]]></svg><svg onload=alert(1)>",
    "{{ 7 * 7 }}{% include 'file.html' %}",
    "&lt;b&gt;",
    "javascript:alert(1)",
    "\x1b[2J\u202e\u2066\x07back",
)


@sqlite
@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("command", ["report", "explain"])
def test_what_comes_from_outside_is_text(
    hostile: str, command: str, file: Path, sink: LedgerSink, tmp_path: Path
) -> None:
    """The page has the elements and attributes that it has for a harmless word, and the text is shown as it is."""
    pages: dict[str, Page] = {}
    for word in ("harmless", hostile):
        made, score = _one_call(word)
        sink.write([made, score])
        arguments = [*NOVEMBER, file] if command == "report" else [made.id, file]
        pages[word] = written(tmp_path / f"{len(pages)}.html", command, *arguments)
        from lanewise._ledger.database import open_ledger, writing
        from lanewise._ledger.schema.tables import attempts, calls, scores

        engine = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
        with writing(engine) as connection:
            for table in (calls, attempts, scores):
                connection.execute(table.delete())
        engine.dispose()
    assert pages[hostile].skeleton == pages["harmless"].skeleton
    visible = re.sub(r"[\x1b\x07\u202e\u2066]", "\ufffd", hostile)
    assert visible in pages[hostile].text
    assert not set("\x1b\x07\u202e\u2066") & set((tmp_path / "1.html").read_text())


@pytest.mark.usefixtures("three_calls")
@sqlite
@pytest.mark.parametrize("command", ["report", "explain"])
def test_a_page_needs_nothing_but_itself(command: str, file: Path, sink: LedgerSink, tmp_path: Path) -> None:
    """No script, nothing that is fetched, and a policy that would let a browser fetch nothing."""
    made = call()
    sink.write([made])
    out = tmp_path / "out.html"
    page = written(out, command, *([*NOVEMBER, file] if command == "report" else [made.id, file]))
    assert not [tag for tag in page.skeleton if tag.split()[0] in ("script", "img", "iframe", "object", "form", "a")]
    fetched = [value for _, name, value in page.values if name in ("src", "href", "action", "srcset", "xlink:href")]
    assert fetched == ["data:,"]
    assert not [name for _, name, _ in page.values if name.startswith("on") or name == "style"]
    html = out.read_text()
    assert not re.search(r"url\(|@import|http:|https:", html)
    (policy,) = [value for tag, name, value in page.values if tag == "meta" and "default-src" in value]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


@sqlite
def test_no_place_of_the_ledger_is_in_it(file: Path, sink: LedgerSink, tmp_path: Path) -> None:
    """It may go to others: the ledger's name is there, its directory is not."""
    sink.write([call()])
    written(tmp_path / "out.html", "report", *NOVEMBER, file)
    html = (tmp_path / "out.html").read_text()
    assert "from ledger.db" in html
    assert str(tmp_path) not in html


@pytest.mark.usefixtures("three_calls")
def test_explain_s_page_has_the_words_of_explain(file: Path, sink: LedgerSink, tmp_path: Path) -> None:
    """Each step, and of each attempt what it used and what was left out; several calls of a request stand together."""
    fell_back = call(
        attempt("flagship", FailureKind.OUTAGE, detail="the provider was away"),
        attempt("sonnet", dropped=("seed",), input_tokens=10, output_tokens=2, cost_usd=0.5,
                cost_status=CostStatus.KNOWN),
        request_id="req-2026-000042", labels=(("size", "short"),),
    )  # fmt: skip
    sink.write([fell_back, call(request_id="req-2026-000042")])
    page = written(tmp_path / "out.html", "explain", "req-2026-000042", file)
    for line in fell_back.explain().splitlines()[1:-1]:
        assert re.sub(r"\s+", " ", line.split("ms  ")[1]) in page.text
    for text in ("size=short", "10 tokens in, 2 out, $0.500000", "Left out seed", "the provider was away", "2 calls"):
        assert text in page.text
    assert page.text.count("Step by step") == 2
    drawn = [value for tag, name, value in page.values if (tag, name) == ("svg", "aria-label")]
    first = "1. flagship (primary)"
    assert [words.split(",")[0] for words in drawn] == [first, "2. sonnet (equivalent)", first]


@sqlite
def test_a_file_that_is_there_is_not_lost(file: Path, sink: LedgerSink, tmp_path: Path) -> None:
    """Unless it is said that it may be."""
    out = tmp_path / "out.html"
    made = call()
    sink.write([made])
    for arguments in (["report", *NOVEMBER, file], ["explain", made.id, file]):
        out.write_text("mine")
        refused = run(*arguments, "--html", out)
        assert refused.exit_code == 1
        assert refused.output == f"Error: {out} is already there. Use --force to write over it.\n"
        assert out.read_text() == "mine"
        assert run(*arguments, "--html", out, "--force").exit_code == 0
        assert out.read_text().startswith("<!doctype html>")


def _no_directory(tmp_path: Path) -> Path:
    return tmp_path / "nowhere" / "out.html"


def _a_directory(tmp_path: Path) -> Path:
    return tmp_path


def _a_name_too_long(tmp_path: Path) -> Path:
    return tmp_path / f"{'x' * 300}.html"


def _a_file_as_directory(tmp_path: Path) -> Path:
    (tmp_path / "file").touch()
    return tmp_path / "file" / "out.html"


@sqlite
@pytest.mark.parametrize("place", [_no_directory, _a_directory, _a_name_too_long, _a_file_as_directory])
def test_a_place_that_can_not_be_written_is_told(
    place: Callable[[Path], Path], file: Path, sink: LedgerSink, tmp_path: Path
) -> None:
    """In one line, with an exit code, and nothing is left behind."""
    made = call()
    sink.write([made])
    for arguments in (["report", *NOVEMBER, file], ["explain", made.id, file]):
        before = sorted(tmp_path.iterdir())
        done = run(*arguments, "--html", place(tmp_path))
        assert done.exit_code in (1, 2)
        assert isinstance(done.exception, SystemExit)
        assert "Error: " in done.output
        assert [path for path in sorted(tmp_path.iterdir()) if path not in before and path.name != "file"] == []


@sqlite
def test_a_full_disk_leaves_no_part_of_a_page(
    file: Path, sink: LedgerSink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is told."""
    sink.write([call()])
    opened = Path.open

    def full(path: Path, *arguments: Any, **more: Any) -> Any:
        handle = opened(path, *arguments, **more)
        if path.name == "out.html":
            handle.write("<!doctype html>")

            def write(text: str) -> int:
                raise OSError(28, "No space left on device")

            handle.write = write
        return handle

    monkeypatch.setattr(Path, "open", full)
    done = run("report", *NOVEMBER, file, "--html", tmp_path / "out.html")
    assert done.exit_code == 1
    assert "out.html can't be written: No space left on device" in done.output
    assert not (tmp_path / "out.html").exists()


@sqlite
def test_an_empty_ledger_has_a_page_that_says_so(file: Path, engine: Engine, tmp_path: Path) -> None:
    """As the terminal does, and with the same exit code; a span without calls says where there are some."""
    del engine
    page = written(tmp_path / "empty.html", "report", file)
    assert "No calls: the ledger is empty. It fills while the app runs." in page.text
    sink = LedgerSink(f"sqlite:///{tmp_path / 'ledger.db'}", timedelta(days=36_500))
    sink.write([call()])
    sink.close()
    page = written(tmp_path / "none.html", "report", "--since", "2020-01-01", "--until", "2020-01-02", file)
    assert "The ledger has some from 2026-11-20 to 2026-11-20" in page.text


@sqlite
def test_a_report_may_be_of_all_time(file: Path, sink: LedgerSink, tmp_path: Path) -> None:
    """There is no span before the first day, and no day after the last; scores may be as great as numbers are."""
    made = [call(), call()]
    greatest = [Score(call_id=each.id, name="great", value=1.7e308, at=NOON) for each in made]
    sink.write([*made, *greatest])
    page = written(tmp_path / "out.html", "report", "--since", "0001-01-01", "--until", "9999-12-30", file)
    assert "2 calls, 100 % answered" in page.text
    assert "nan" not in (tmp_path / "out.html").read_text()
    for more in ([], ["--html", tmp_path / "other.html"]):
        done = run("report", "--until", "9999-12-31", file, *more)
        assert done.exit_code == 2
        assert "9999-12-31 has no day after it" in done.output


@sqlite
def test_an_id_that_nobody_knows_makes_no_file(file: Path, sink: LedgerSink, tmp_path: Path) -> None:
    """It is told as without a file."""
    sink.write([call()])
    done = run("explain", "req-nobody", file, "--html", tmp_path / "out.html")
    assert done.exit_code == 1
    assert "no request and no call has the id 'req-nobody'" in done.output
    assert not (tmp_path / "out.html").exists()


@sqlite
def test_without_its_ledger_nothing_is_made(file: Path, tmp_path: Path) -> None:
    """Neither a page nor a ledger."""
    for arguments in (["report"], ["explain", "req-1"]):
        done = run(*arguments, file, "--html", tmp_path / "out.html")
        assert done.exit_code == 1
        assert "does not exist yet" in done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lanewise.toml"]


@sqlite
@pytest.mark.parametrize("command", [["report"], ["explain", "req-1"]], ids=" ".join)
def test_without_jinja_the_extra_is_named(
    command: list[str], file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is read."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    done = run(*command, file, "--html", tmp_path / "out.html")
    assert done.exit_code == 1
    assert "the package jinja2 is not installed. pip install 'lanewise[dashboard]'" in done.output


@sqlite
@pytest.mark.parametrize("other", [["--csv"], ["--json"], ["--by", "task"]], ids=" ".join)
def test_a_page_is_no_other_form(other: list[str], file: Path, tmp_path: Path) -> None:
    """It has all tables: another form beside it is a mistake."""
    done = run("report", file, "--html", tmp_path / "out.html", *other)
    assert done.exit_code == 2
    assert "--html has all tables in one file" in done.output


def test_failures_are_counted_by_the_hour_of_utc(engine: Engine, sink: LedgerSink) -> None:
    """In both databases, whatever zone the session has; what did not fail is there to compare with."""
    late = datetime(2026, 11, 20, 23, 59, 59, 999_000, tzinfo=UTC)
    sink.write([
        call(attempt("flagship", FailureKind.OUTAGE), attempt("sonnet"), at=late),
        call(attempt("flagship", FailureKind.OUTAGE), at=late + timedelta(seconds=1)),
    ])  # fmt: skip
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            from sqlalchemy import text

            connection.execute(text("SET TIME ZONE 'Asia/Kolkata'"))
        found = failure_hours(connection, late - DAY, late + DAY)
    last, first = datetime(2026, 11, 20, 23, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)
    assert sorted(found, key=lambda fact: (fact.hour, fact.failure or "")) == [
        HourFact(last, None, 1),
        HourFact(last, "outage", 1),
        HourFact(first, "outage", 1),
    ]


@sqlite
def test_a_page_is_written_as_the_umask_says(file: Path, sink: LedgerSink, tmp_path: Path) -> None:
    """No wider than other files that the user writes."""
    sink.write([call()])
    written(tmp_path / "out.html", "report", *NOVEMBER, file)
    (tmp_path / "other").touch()
    assert stat.S_IMODE((tmp_path / "out.html").stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)
