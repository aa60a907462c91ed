"""The report's files in Chromium: at two widths, in light and dark, on paper; axe-core finds nothing in them."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from _ledger.calls import attempt, call
from dashboard.chromium import SCHEMES, WIDTHS, Chromium, chromium_or_skip, look, violations
from lanewise._ledger.database import open_ledger
from lanewise._ledger.schema.upgrading import upgrade
from lanewise._ledger.sink import LedgerSink
from lanewise.cli import main
from lanewise.types import CostStatus, FailureKind, Score

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CONFIG = """
router.ledger = "sqlite:///ledger.db"
providers.openai = {}
routes.main = { provider = "openai", model = "gpt-5.5" }
tasks.chat.primary = "main"
"""
TASKS = (
    "ticket-summary",
    "refund-decision",
    "a-task-with-a-name-that-is-longer-than-most",
    "<script>alert(1)</script>",
)
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    """The browser that all tests share."""
    with chromium_or_skip() as browser:
        yield browser


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A report of two months, an explained request, and the report of an empty ledger."""
    place = tmp_path_factory.mktemp("files")
    (place / "lanewise.toml").write_text(CONFIG)
    url = f"sqlite:///{place / 'ledger.db'}"
    engine = open_ledger(url)
    upgrade(engine)
    engine.dispose()
    found = {"empty": place / "empty.html"}
    _write(place, "report", found["empty"])
    sink = LedgerSink(url, timedelta(days=400))
    sink.write(_two_months(random.Random(42)))
    sink.close()
    found |= {"report": place / "report.html", "explain": place / "explain.html"}
    _write(place, "report", found["report"])
    _write(place, "explain", found["explain"], HOSTILE)
    return found


def _write(place: Path, command: str, out: Path, *more: str) -> None:
    done = CliRunner().invoke(main, [command, *more, str(place / "lanewise.toml"), "--html", str(out)])
    assert done.exit_code == 0, done.output


def _two_months(chance: random.Random) -> list[object]:
    now, records = datetime.now(UTC), []
    for number in range(3000):
        at = now - timedelta(days=60) * chance.random()
        task = chance.choices(TASKS, [6, 2, 2, 1])[0]
        paid = {"cost_usd": 0.002 + chance.random() / 100, "cost_status": CostStatus.KNOWN}
        used = {"input_tokens": 900, "output_tokens": 150, "total_ms": chance.lognormvariate(6.5, 0.6), **paid}
        failed = attempt(
            "flagship", chance.choice([FailureKind.OUTAGE, FailureKind.RATE_LIMIT]), detail=HOSTILE,
            provider_error_code=HOSTILE, total_ms=200.0, cost_status=CostStatus.NOT_BILLED,
        )  # fmt: skip
        outage = at.hour in (13, 14) and at.day % 9 == 0
        if chance.random() < (0.7 if outage else 0.03):
            attempts = [
                failed,
                attempt("sonnet", dropped=("seed",), first_byte_ms=90.0, model_answered=HOSTILE, **used),
            ]
        elif chance.random() < 0.01:
            attempts = [failed, attempt("mini", FailureKind.CONTRACT, **used)]
        else:
            attempts = [attempt("flagship", **used)]
        made = call(*attempts, task=task, at=at, labels=((HOSTILE, HOSTILE),),
                    request_id=HOSTILE if number < 3 else f"req-{number}")  # fmt: skip
        records.append(made)
        if number % 5 == 0:
            records.append(Score(call_id=made.id, name="helpful", value=chance.random(), at=at))
    return records


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ["report", "explain", "empty"])
def test_a_file_is_well_made(name: str, scheme: str, width: int, chromium: Chromium, files: dict[str, Path]) -> None:
    """Nothing is wider than the window, nothing is fetched, no script runs, and axe-core finds nothing."""
    with chromium.page(width=width, scheme=scheme) as page:
        page.goto(files[name].as_uri())
        look(page, f"{name}-{width}-{scheme}")
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert violations(page) == []
        assert page.locator("script").count() == 0
        if name != "empty":
            assert page.get_by_text(HOSTILE, exact=False).first.is_visible()


def test_a_file_prints_on_paper(chromium: Chromium, files: dict[str, Path], tmp_path: Path) -> None:
    """Every table and chart, in few pages, in dark mode too: nothing is cut off at the right, nothing stays folded."""
    with chromium.page(scheme="dark", width=718) as page:  # A4 between its margins
        page.goto(files["report"].as_uri())
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate("document.documentElement.scrollWidth") <= 718
        assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
        assert page.locator("details table").first.is_visible()
        tables = page.evaluate(
            "[...document.querySelectorAll('table')].map(each => each.getBoundingClientRect().right)"
        )
        assert max(tables) <= 718
        pdf = page.pdf(format="A4", path=tmp_path / "report.pdf")
    pages = len(re.findall(rb"/Type\s*/Page\b", pdf))
    assert 2 <= pages <= 9


def test_a_file_is_read_by_keyboard(chromium: Chromium, files: dict[str, Path]) -> None:
    """What scrolls or unfolds is reached by Tab, and shows that it is."""
    with chromium.page(width=390) as page:
        page.goto(files["report"].as_uri())
        reached = set()
        for _ in range(30):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.ariaLabel || document.activeElement.tagName"))
        tables = {f"Figures {of}" for of in ("now and before", "by task", "by lane", "by route")}
        assert {"SUMMARY", "The worst hours", *tables} <= reached
