"""However an endpoint looks and its approved route fails: a sensitive one is never answered by another."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import quote

import pytest

from integrations.contract.actions import BOARD
from integrations.contract.asking import Reply, get
from integrations.contract.endpoint_matrix import (
    CASES_OF_THE_APP,
    FAILURES,
    Delivery,
    EndpointCase,
    cases,
    config,
    open_breakers,
    script,
)
from integrations.contract.harness import AppPlan, Driver, EndpointSpec
from integrations.contract.served_apps import Stage, started
from lanewise import Router

CALLERS = {"timeout": 48}
"""How many ask at once, where it is not 4: those who wait cost nothing."""
_numbers = itertools.count()


@dataclass(frozen=True)
class Asking:
    """One request of the matrix, marked or not, and where the endpoint is served."""

    case: EndpointCase
    spec: EndpointSpec
    address: str


@dataclass(frozen=True)
class Matrix:
    """A framework's endpoints of all cases, served."""

    stage: Stage
    marked: tuple[Asking, ...]
    unmarked: tuple[Asking, ...]


@pytest.fixture(scope="session")
def _matrix(driver: Driver, _stage: Stage) -> Iterator[Matrix]:
    """All cases in one app; those of a mark on the app itself in another, with a router of its own."""
    found = tuple(cases(driver))
    marked = [case.spec("payment", driver) for case in found]
    unmarked = [case.spec(None, driver) for case in found]
    inside = [case.spec(None, driver) for case in CASES_OF_THE_APP]
    plan = AppPlan(Router.from_mapping(config(_stage)), [*marked, *unmarked])
    app_plan = AppPlan(Router.from_mapping(config(_stage)), inside, category="payment")
    with ExitStack() as stack:
        main = stack.enter_context(started(driver, plan, _stage)).address
        whole_app = stack.enter_context(started(driver, app_plan, _stage)).address
        for router in (plan.router, app_plan.router):
            open_breakers(router)
        yield Matrix(
            _stage,
            (
                *(Asking(case, spec, main) for case, spec in zip(found, marked, strict=True)),
                *(Asking(case, spec, whole_app) for case, spec in zip(CASES_OF_THE_APP, inside, strict=True)),
            ),
            tuple(Asking(case, spec, main) for case, spec in zip(found, unmarked, strict=True)),
        )


@pytest.fixture
def matrix(_matrix: Matrix, stage: Stage, caplog: pytest.LogCaptureFixture) -> Matrix:
    """The matrix, and the approved provider's first routes fail. Nobody reads the log of so many."""
    caplog.set_level(logging.CRITICAL, "lanewise")
    script(stage)
    return _matrix


@pytest.fixture
def every(request: pytest.FixtureRequest) -> bool:
    """Whether each case is asked in both ways with each failure, and not by turns: with ``--slow``."""
    return bool(request.config.getoption("--slow"))


@pytest.mark.parametrize("failure", FAILURES)
def test_a_sensitive_endpoint_is_answered_by_its_approved_routes_or_not_at_all(
    failure: str, matrix: Matrix, every: bool
) -> None:
    """With one approved route, which fails, it gives a 503 problem; where an approved one stands behind the others,
    that one answers. The journal of the other provider stays empty."""
    closed, saved = _by_turns(matrix.marked, failure, every)
    wrong = _ask_all(closed, failure, f"closed-{failure}", _is_closed)
    wrong |= _ask_all(saved, failure, f"saved-{failure}", lambda got: got.says(f"backup-{failure}"))
    assert wrong == {}
    assert matrix.stage.other.journal == []
    assert matrix.stage.approved.journal != []


@pytest.mark.parametrize("failure", FAILURES)
def test_the_same_endpoint_without_the_mark_is_answered_by_the_fallback(
    failure: str, matrix: Matrix, every: bool
) -> None:
    """So the matrix shows what the mark does, and not that nothing works. Only of a swap can nobody know."""
    answered_by = f"first-{failure}" if FAILURES[failure].answers_unmarked else f"second-{failure}"
    unmarked, _ = _by_turns(matrix.unmarked, failure, every)
    wrong = _ask_all(unmarked, failure, f"closed-{failure}", lambda got: got.says(answered_by))
    assert wrong == {}


def test_the_matrix_has_every_shape(matrix: Matrix, driver: Driver) -> None:
    """Generated, and large: forms, places of the mark, colors and deliveries, all crossed, and no two the same."""
    assert len(matrix.marked) >= 2 * len(Delivery.CROSSED) * (12 + len(driver.groups)) + len(CASES_OF_THE_APP)
    asked = [(asking.address, asking.spec.url) for asking in (*matrix.marked, *matrix.unmarked)]
    assert len(set(asked)) == len(asked)


def _by_turns(askings: Sequence[Asking], failure: str, every: bool) -> tuple[Sequence[Asking], Sequence[Asking]]:
    """All of them twice; or one half and the other, which change places from failure to failure."""
    if every:
        return askings, askings
    turn = [*FAILURES].index(failure) % 2
    return askings[turn::2], askings[1 - turn :: 2]


@dataclass(frozen=True)
class Got:
    """What came of one request: of background work, its outcome, since the answer was sent before."""

    reply: Reply
    later: str | None

    def says(self, model: str) -> str | None:
        """What is wrong, unless the answer is the one of a model."""
        if self.later is not None:
            return None if self.later == f"Hello from {model}" else f"in the background: {self.later}"
        right = self.reply.status == 200 and self.reply.whole and f"Hello from {model}" in self.reply.text
        return None if right else f"{self.reply.status} {self.reply.text[:200]}"


def _is_closed(got: Got) -> str | None:
    if got.later is not None:
        return None if got.later == "FailClosed" else f"in the background: {got.later}"
    reply = got.reply
    right = reply.status == 503 and reply.is_problem and reply.header("cache-control") == "no-store" and reply.whole
    return None if right else f"{reply.status} {reply.headers} {reply.text[:200]}"


def _ask_all(askings: Sequence[Asking], failure: str, task: str, wrong: Callable[[Got], str | None]) -> dict[str, str]:
    """What is wrong, by case."""
    with ThreadPoolExecutor(CALLERS.get(failure, 4)) as callers:
        found = list(callers.map(lambda asking: _ask(asking, task), askings))
    complaints = ((str(asking.case), wrong(got)) for asking, got in zip(askings, found, strict=True))
    return {case: complaint for case, complaint in complaints if complaint is not None}


def _ask(asking: Asking, task: str) -> Got:
    request_id = f"matrix-{next(_numbers):08}"
    reply = get(asking.address, f"{quote(asking.spec.url)}?task={task}", [("X-Request-ID", request_id)])
    accepted = asking.case.delivery == Delivery.BACKGROUND and reply.status == 200
    return Got(reply, BOARD.take(request_id) if accepted else None)
