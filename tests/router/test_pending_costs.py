"""Costs that are reckoned when somebody asks: no call waits for it, and nobody sees one that is not reckoned."""

from __future__ import annotations

import copy
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lanewise import CostStatus, Router
from lanewise._prices.price import Price
from lanewise.testing import Answer, Silence
from router.driving import FIRST_MODEL, FORMS, Form, Stage, ask, config

pytestmark = pytest.mark.anyio
PRICE = {"input": 2.0, "output": 10.0}


@pytest.fixture
def reckoned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads in which something was reckoned."""
    threads: list[str] = []
    reckon = Price.reckon

    def noted(self: Price, *args: Any, **options: Any) -> Any:
        threads.append(threading.current_thread().name)
        return reckon(self, *args, **options)

    monkeypatch.setattr(Price, "reckon", noted)
    return threads


@pytest.mark.parametrize("form", FORMS, ids=str)
async def test_no_call_waits_for_its_cost(form: Form, stage: Stage, reckoned: list[str]) -> None:
    """It is reckoned when it is read, and once."""
    async with Router.from_mapping(config(stage, first={"price": PRICE})) as router:
        got = await ask(router, form)
        assert reckoned == []
        (attempt,) = got.call.attempts
        assert attempt.cost_status is CostStatus.KNOWN
        assert attempt.cost_usd == got.call.cost_usd
        assert len(reckoned) == 1


async def test_a_ledger_reckons_in_a_thread_of_its_own(stage: Stage, reckoned: list[str], tmp_path: Path) -> None:
    """And has the cost in its row."""
    from sqlalchemy import create_engine, text

    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    more = {"router": {"ledger": url}}
    async with Router.from_mapping(config(stage, first={"price": PRICE}, more=more)) as router:
        await ask(router, Form("async"))
    assert len(reckoned) == 1
    assert reckoned[0] != threading.current_thread().name
    engine = create_engine(url)
    with engine.connect() as connection:
        row = connection.execute(text("SELECT cost_usd, cost_status FROM attempts")).one()
    engine.dispose()
    assert (row.cost_usd, row.cost_status) == (pytest.approx((12 * 2 + 5 * 10) / 1e6), "known")


async def test_what_a_failed_attempt_can_cost_is_reckoned_when_it_is_read(stage: Stage, reckoned: list[str]) -> None:
    """As the cost of an answer is."""
    stage.first.script(FIRST_MODEL, Silence())
    async with Router.from_mapping(config(stage, first={"price": PRICE, "timeout": "0.4s"})) as router:
        got = await ask(router, Form("async"), max_tokens=500)
        silent = got.call.attempts[0]
        assert reckoned == []
        assert silent.cost_upper_usd == pytest.approx(500 * 10 / 1e6, rel=0.3)
        assert (silent.cost_usd, silent.cost_status) == (None, CostStatus.UNKNOWN)


@pytest.mark.parametrize(
    "seen",
    [
        lambda attempt: attempt.cost_usd,
        lambda attempt: pickle.loads(pickle.dumps(attempt)).cost_usd,
        lambda attempt: copy.copy(attempt).cost_usd,
        lambda attempt: msgspec.structs.replace(attempt, route="other").cost_usd,
        lambda attempt: float(repr(attempt).split(" cost_usd=")[1].split(",")[0]),
        lambda attempt: getattr(attempt, "cost_usd"),  # noqa: B009 - as a log's extra fields are read
    ],
)
async def test_nobody_sees_a_cost_that_is_not_reckoned(seen: Any, stage: Stage) -> None:
    """However a record is looked at, passed on or shown."""
    stage.first.script(FIRST_MODEL, Answer(usage=(1000, 100)))
    async with Router.from_mapping(config(stage, first={"price": PRICE})) as router:
        got = await ask(router, Form("async"))
    assert seen(got.call.attempts[0]) == pytest.approx(0.003)


async def test_many_threads_that_ask_at_once_are_told_the_same(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while it is being reckoned."""
    reckon = Price.reckon

    def slow(self: Price, *args: Any, **options: Any) -> Any:
        time.sleep(0.02)
        return reckon(self, *args, **options)

    monkeypatch.setattr(Price, "reckon", slow)
    stage.first.script(FIRST_MODEL, Answer(usage=(1000, 100)))
    async with Router.from_mapping(config(stage, first={"price": PRICE})) as router:
        got = await ask(router, Form("async"))
    (attempt,) = got.call.attempts
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: (attempt.cost_status, attempt.cost_usd, attempt.cost_upper_usd), range(16)))
    assert told == [(CostStatus.KNOWN, pytest.approx(0.003), None)] * 16


async def test_a_record_is_frozen_for_the_app(stage: Stage) -> None:
    """The cost too, before and after it is reckoned."""
    async with Router.from_mapping(config(stage, first={"price": PRICE})) as router:
        got = await ask(router, Form("async"))
    attempt: Any = got.call.attempts[0]
    for _ in range(2):
        with pytest.raises(AttributeError):
            attempt.cost_usd = 0.0
        assert attempt.cost_usd > 0


async def test_a_pending_cost_keeps_no_question(stage: Stage) -> None:
    """A record may be kept for long: of the body it holds nothing."""
    import gc

    async with Router.from_mapping(config(stage, first={"price": PRICE})) as router:
        got = await ask(router, Form("async"))
        attempt = got.call.attempts[0]
        reached, waiting = set(), [attempt]
        while waiting:
            held = waiting.pop()
            if id(held) in reached or isinstance(held, type) or type(held).__name__ in ("module", "PriceBook"):
                continue
            reached.add(id(held))
            assert not (isinstance(held, bytes | str) and "canary-prompt" in str(held))
            waiting.extend(gc.get_referents(held))
        assert attempt.cost_usd is not None
