"""The failure table, row by row, over HTTP: each signal, what the plan is told of it, and what the app gets."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from lanewise import BreakerEffect, FailureKind, LaneName, Outcome, Retry, Router
from router import test_rows_of_their_own as of_their_own
from router.driving import Form, Spy, Stage, ask, config, waits_of
from router.rows import BY_LETTER, CASES, LATER, NAMES, ROWS, Case, is_of

pytestmark = pytest.mark.anyio

EACH = [pytest.param(case, form, id=f"{case.name}-{form}") for case in CASES for form in case.forms]


@pytest.mark.parametrize(("case", "form"), EACH)
@pytest.mark.usefixtures("hurried")
async def test_a_row_moves_a_call_as_the_table_says(case: Case, form: Form, stage: Stage, spy: type[Spy]) -> None:
    """The first provider always fails so: the plan is told of that row, and the letter decides who is asked next."""
    stage.first.script_all(case.behaviour)
    async with _router(stage, case) as router:
        got = await ask(router, form, **case.options)

    once_more = [1] if case.is_vague and form.stream else []
    moves = [*once_more, *(case.moves or BY_LETTER[ROWS[case.row].retry])]
    assert got.routes == [NAMES[move] for move in moves]
    assert len(stage.first.journal) == moves.count(1)
    for failure in spy.seen:
        is_of(failure, case.row, case.says)
    if moves[-1] == 2:
        assert got.error is None
        assert got.text == "Hello from model-two"
        assert got.roles == (["assistant"] if form.stream else [])
        assert (got.call.outcome, got.call.route, got.call.lane) == (Outcome.ANSWERED, "second", LaneName.EQUIVALENT)
    else:
        assert isinstance(got.error, case.error)
        assert stage.second.request_count == 0
    waited = moves.count(1) - len(once_more) > 1
    assert len(waits_of(got.call)) == waited


@pytest.mark.parametrize(("case", "form"), EACH)
@pytest.mark.usefixtures("hurried")
async def test_a_row_that_ends_a_call_is_the_class_that_the_app_knows(case: Case, form: Form, stage: Stage) -> None:
    """With no other route the same failure reaches the app: as the SDK's class, with the record of the call."""
    stage.first.script_all(case.behaviour)
    given: Any = {} if case.alone_for is None else {"timeout": case.alone_for}
    async with _router(stage, case) as router:
        got = await ask(router, form, "alone", **case.options, **given)

    assert isinstance(got.error, case.error), repr(got.error)
    assert got.scope.call_for(got.error) is got.call
    assert got.call.outcome is Outcome.FAILED
    if case.status is not None:
        assert isinstance(got.error, openai.APIStatusError)
        assert got.error.status_code == case.status
    kind = ROWS[case.row].kind
    assert {attempt.failure for attempt in got.call.attempts} == {kind}
    assert got.call.failure in (kind, FailureKind.DEADLINE if kind is FailureKind.TIMEOUT else kind)
    row = ROWS[case.row]
    again = row.retry in (Retry.SAME, Retry.WAIT) or "S if there is no other route" in row.note
    if case.alone_for is None:
        is_counted = row.breaker is not BreakerEffect.NEUTRAL or kind in (FailureKind.RATE_LIMIT, FailureKind.CONFLICT)
        tried = 3 if is_counted else 4  # a fourth only where the route has mostly answered of late
        assert len(got.call.attempts) == (tried if again else 2 if case.is_vague and form.stream else 1)
    assert "canary" not in str(got.error)


def test_every_row_of_the_table_is_shown() -> None:
    """Each row has its scenario, save those that only later features emit."""
    by_hand = {row for row, test in of_their_own.SHOWN.items() if callable(getattr(of_their_own, test))}
    shown = by_hand | {case.row for case in CASES}
    assert ROWS.keys() - shown == LATER
    assert shown <= ROWS.keys()


def _router(stage: Stage, case: Case) -> Router:
    return Router.from_mapping(
        config(stage, first=case.first, second=case.second, task=case.task, more={"router": dict(case.router)})
    )
