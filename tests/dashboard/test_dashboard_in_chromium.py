"""The page in Chromium, over the real example apps: looked at, with axe-core; and what people do there is done."""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from _ledger.calls import attempt, call
from dashboard.chromium import SCHEMES, WIDTHS, Chromium, chromium_or_skip, look, violations
from dashboard.examples import EXAMPLES, MANDATE, STORAGE_KEY, Example, serving
from lanewise._ledger.sink import LedgerSink
from lanewise.testing import Status
from lanewise.types import CostStatus, FailureKind, Score

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HOSTILE = "<script>alert(1)</script>"
RIGHTS: dict[str, Callable[[Any], object]] = {
    "allow": lambda request: True,
    "may_review": lambda request: "ana",
    "may_operate": lambda request: "tom",
}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    """The browser that all tests share."""
    with chromium_or_skip() as browser:
        yield browser


@pytest.fixture
def storage_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the examples seal their cases with."""
    monkeypatch.setenv("LANEWISE_STORAGE_KEY", STORAGE_KEY)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    """FastAPI's example during an outage of its primary: what may falls back, a mandate waits for a person."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("LANEWISE_STORAGE_KEY", STORAGE_KEY)
        with serving("fastapi", tmp_path_factory.mktemp("example"), **RIGHTS) as served:
            for number in range(20):
                assert served.post("/invoices", {"text": f"Invoice {number}"}) == 200
            served.flagship.script("gpt-5.5", Status(500))
            for number in range(8):
                assert served.post("/invoices", {"text": f"Invoice {number}"}) == 200
            assert served.post("/mandates", {"text": f"the mandate of {HOSTILE}"}) == 202
            _write_hostile_calls(served.ledger)
            _wait_for(lambda: _recorded(served.ledger) >= 30)
            yield served


def _write_hostile_calls(ledger: str) -> None:
    """Calls that have a script wherever something from outside can be, as a record of an older release might."""
    sink = LedgerSink(ledger, timedelta(days=90))
    at = datetime.now(UTC) - timedelta(minutes=2)
    paid = {"cost_usd": 0.02, "cost_status": CostStatus.KNOWN, "input_tokens": 900, "output_tokens": 100}
    made = call(
        attempt("flagship", FailureKind.OUTAGE, detail=HOSTILE, provider_error_code=HOSTILE, model_asked=HOSTILE,
                provider_host=HOSTILE, total_ms=120.0),
        attempt("sonnet", model_answered=HOSTILE, dropped=(HOSTILE,), adapted=(HOSTILE,), lenient=(HOSTILE,),
                first_byte_ms=80.0, first_content_ms=90.0, total_ms=300.0, **paid),
        task="extract", at=at, request_id=HOSTILE, labels=((HOSTILE, HOSTILE),), notes=((1.0, HOSTILE),),
        sensitive=(HOSTILE,), id="01a203e9-hostile",
    )  # fmt: skip
    sink.write([made, Score(call_id=made.id, name=HOSTILE, value=1.0, at=at)])
    sink.close()


def _recorded(ledger: str) -> int:
    from sqlalchemy import func, select

    from lanewise._ledger.database import open_ledger
    from lanewise._ledger.schema.tables import calls

    engine = open_ledger(ledger)
    with engine.connect() as connection:
        count = connection.execute(select(func.count()).select_from(calls)).scalar_one()
    engine.dispose()
    return int(count)


def _wait_for(happened: Callable[[], bool], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.1)


def to_now(page: Any, example: Example) -> None:
    page.goto(example.page)


def to_calls(page: Any, example: Example) -> None:
    page.goto(f"{example.page}calls")


def to_filtered_calls(page: Any, example: Example) -> None:
    page.goto(f"{example.page}calls?task=extract&failure=any&label=a%3Db")


def to_a_call(page: Any, example: Example) -> None:
    page.goto(f"{example.page}calls/01a203e9-hostile")


def to_reviews(page: Any, example: Example) -> None:
    page.goto(f"{example.page}reviews")


def to_a_case(page: Any, example: Example) -> None:
    to_reviews(page, example)
    page.locator("table a").first.click()


def to_by_hand(page: Any, example: Example) -> None:
    page.goto(f"{example.page}by-hand")


VIEWS = (to_now, to_calls, to_filtered_calls, to_a_call, to_reviews, to_a_case, to_by_hand)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__.removeprefix("to_"))
def test_a_view_is_well_made(
    view: Callable[[Any, Example], None], scheme: str, width: int, chromium: Chromium, example: Example
) -> None:
    """Nothing is wider than the window, nothing is complained of or asked of others, and axe-core finds nothing."""
    with chromium.page(width=width, scheme=scheme) as page:
        view(page, example)
        page.wait_for_load_state("networkidle")
        look(page, f"{view.__name__.removeprefix('to_')}-{width}-{scheme}")
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert violations(page) == []


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
def test_now_says_which_task_is_on_its_fallback_since_when_and_why(
    scripts: bool, chromium: Chromium, example: Example
) -> None:
    """In its first lines: by words, not by colour alone."""
    with chromium.page(scripts=scripts) as page:
        to_now(page, example)
        assert page.locator("h1").inner_text() == "extract is on its fallback."
        said = page.locator("section.card").first.inner_text()
        assert re.search(r"sonnet answers \(equivalent\) since \d\d:\d\d:\d\d", said)
        assert "outage, HTTP 500" in said


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
@pytest.mark.parametrize("view", [to_calls, to_a_call, to_a_case], ids=lambda view: view.__name__)
def test_an_injected_script_is_text(
    view: Callable[[Any, Example], None], scripts: bool, chromium: Chromium, example: Example
) -> None:
    """In a label, an error's text, a model's name, a request id, a question: it is read, and does not run."""
    with chromium.page(scripts=scripts) as page:
        view(page, example)
        assert page.get_by_text(HOSTILE).first.is_visible()
        sources = page.locator("script").evaluate_all("all => all.map(each => each.getAttribute('src'))")
        assert all(source and "static/" in source for source in sources)
        if view is to_a_call:
            assert page.get_by_text(HOSTILE).count() >= 8


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
@pytest.mark.parametrize("decision", ["approve", "reject"])
@pytest.mark.usefixtures("storage_key")
def test_a_case_is_decided(decision: str, scripts: bool, chromium: Chromium, example: Example) -> None:
    """By whom ``may_review`` names; the case says so then, and waits no longer."""
    assert example.post("/mandates", {"text": "the mandate of Ana Ruiz"}) == 202
    with chromium.page(scripts=scripts) as page:
        to_a_case(page, example)
        case = page.url.rpartition("/")[2]
        if decision == "approve":
            page.get_by_role("textbox").fill(MANDATE)
        page.get_by_role("button", name=re.compile(decision, re.IGNORECASE)).click()
        page.wait_for_load_state()
        assert f"{'Approved' if decision == 'approve' else 'Rejected'} by ana" in page.locator("main").inner_text()
        if decision == "approve":
            assert MANDATE in page.locator("main").inner_text()
        assert page.get_by_role("button", name=re.compile("approve|reject", re.IGNORECASE)).count() == 0
        to_reviews(page, example)
        assert page.locator(f"a[href$='{case}']").count() == 0


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
def test_a_route_is_opened_and_closed(scripts: bool, chromium: Chromium, example: Example) -> None:
    """With who and why on record; between the two the app's calls go elsewhere, or nowhere."""
    with chromium.page(scripts=scripts) as page:
        to_by_hand(page, example)
        page.get_by_label(re.compile("Why sonnet")).fill("the bill is too high")
        page.get_by_role("button", name=re.compile("Open.*sonnet")).click()
        page.wait_for_load_state()
        assert "sonnet is open: nothing is sent there" in page.locator("main").inner_text()
        asked = len(example.standby.journal)
        assert example.post("/invoices", {"text": "Invoice"}) >= 500
        assert len(example.standby.journal) == asked
        to_now(page, example)
        assert "open by hand" in page.locator("main").inner_text()
        to_by_hand(page, example)
        page.get_by_label(re.compile("Why sonnet")).fill("paid")
        page.get_by_role("button", name=re.compile("Close.*sonnet")).click()
        page.wait_for_load_state()
        said = page.locator("main").inner_text()
        assert "sonnet is closed" in said
        for word in ("tom", "the bill is too high", "paid"):
            assert word in said
    assert example.post("/invoices", {"text": "Invoice"}) == 200


def test_without_scripts_calls_are_filtered_and_paged(chromium: Chromium, example: Example) -> None:
    """By a form and links, as with them."""
    with chromium.page(scripts=False) as page:
        to_calls(page, example)
        page.get_by_text("Filter", exact=True).click()
        page.get_by_label("Outcome").select_option("pending_review")
        page.get_by_role("button", name="Show").click()
        rows = page.locator("tbody tr")
        assert rows.count() >= 1
        assert all(re.search("pending review|draft", rows.nth(number).inner_text()) for number in range(rows.count()))
        page.get_by_label("Request or call id").fill(HOSTILE)
        page.get_by_label("Outcome").select_option("")
        page.get_by_role("button", name="Show").click()
        assert page.locator("tbody tr").count() == 1


def test_it_is_used_by_keyboard(chromium: Chromium, example: Example) -> None:
    """The first Tab leads to the content; each thing that is reached shows that it is."""
    with chromium.page() as page:
        to_calls(page, example)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
        for _ in range(12):
            page.keyboard.press("Tab")
            shown = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert shown != "none", page.evaluate("document.activeElement.outerHTML")


@pytest.mark.usefixtures("storage_key")
def test_now_tells_by_itself_when_the_primary_is_back(chromium: Chromium, tmp_path: Path) -> None:
    """Where scripts run, without being loaded anew; unless somebody has paused it."""
    with serving("starlette", tmp_path, **RIGHTS) as served, chromium.page() as page, chromium.page() as paused:
        served.flagship.script("gpt-5.5", Status(500))
        for _ in range(8):
            served.post("/chat", {"messages": [{"role": "user", "content": "hello"}]})
        for looked_at in (page, paused):
            to_now(looked_at, served)
            assert "fallback" in looked_at.locator("h1").inner_text()
        paused.get_by_role("button", name="Pause updates").click()
        with chromium.page() as operating:
            to_by_hand(operating, served)
            operating.get_by_label(re.compile("Why flagship")).fill("mended")
            operating.get_by_role("button", name=re.compile("Close.*flagship")).click()
            operating.wait_for_load_state()
        served.flagship.reset()
        served.post("/chat", {"messages": [{"role": "user", "content": "hello"}]})
        page.get_by_role("heading", level=1, name=re.compile("primary lane")).wait_for(timeout=20_000)
        assert "fallback" in paused.locator("h1").inner_text()


@pytest.mark.parametrize("framework", EXAMPLES)
@pytest.mark.usefixtures("storage_key")
def test_every_example_can_have_it(framework: str, chromium: Chromium, tmp_path: Path) -> None:
    """Mounted as its framework mounts things; nobody sees it whom ``allow`` does not let in."""
    allowed = [True]
    with serving(framework, tmp_path, allow=lambda request: allowed[0]) as served, chromium.page() as page:
        to_now(page, served)
        look(page, f"now-of-{framework}")
        assert "primary" in page.locator("h1").inner_text()
        assert violations(page) == []
        page.get_by_role("link", name="Calls", exact=True).click()
        assert page.locator("h1").inner_text() == "Calls"
        assert page.get_by_role("link", name="By hand").count() == 0
        allowed[0] = False
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(served.page)
