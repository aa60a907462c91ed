"""Contracts over a real llama.cpp server: a route whose grammar truly constrains the model, and one without it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lanewise import ContractViolated, FailureKind, Outcome, Router
from real.llama import MODEL, Llama
from router.driving import FORMS, STREAMS, Form, ask, ask_in

pytestmark = pytest.mark.anyio

forms = pytest.mark.parametrize("form", FORMS, ids=str)
SCHEMA = {
    "type": "object",
    "properties": {"mood": {"enum": ["glad", "sad"]}, "late": {"type": "boolean"}},
    "required": ["mood", "late"],
    "additionalProperties": False,
}
ASKED: dict[str, Any] = {"type": "json_schema", "json_schema": {"name": "mood", "strict": True, "schema": SCHEMA}}
SHORT: dict[str, Any] = {"temperature": 0, "max_tokens": 80, "stop": ["Q"]}
"""The weights' free words have a Q soon; what the grammar allows has none."""


@pytest.fixture
def router(llama: Llama) -> Router:
    """``grammar`` and ``loose`` are the same model; on the latter ``response_format`` goes by a name that says nothing.

    So it is with servers that take the parameter and ignore it.
    """
    route = {"provider": "llama", "model": MODEL}
    held = {"stream": {"hold": "all"}}
    return Router.from_mapping(
        {
            "providers": {"llama": {"base_url": llama.base_url}},
            "routes": {"grammar": route, "loose": {**route, "rename": {"response_format": "ignored_format"}}},
            "tasks": {
                "asked": {"primary": "loose", "equivalent": "grammar", **held},
                "declared": {"primary": "loose", "equivalent": "grammar", **held, "contract": {"schema": SCHEMA}},
                "shown": {"primary": "loose"},
                "loose": {"primary": "loose", **held},
            },
        }
    )


@forms
@pytest.mark.parametrize("task", ["asked", "declared"])
async def test_the_grammar_answers_where_random_words_break_the_contract(router: Router, form: Form, task: str) -> None:
    """Whether the call or its task asks for the shape: what the weights say freely is no answer."""
    options = {**SHORT, **({"response_format": ASKED} if task == "asked" else {})}
    async with router:
        got = await ask(router, form, task, **options)
    assert got.error is None
    assert json.loads(got.text)["mood"] in ("glad", "sad")
    first, *_, last = (
        got.call.attempts
    )  # between them a connection may turn out stale: this server closes after streams
    assert (first.failure, last.failure) == (FailureKind.CONTRACT, None)
    assert (got.call.route, got.call.outcome) == ("grammar", Outcome.ANSWERED)


@forms
async def test_where_nothing_constrains_the_model_there_is_no_answer(router: Router, form: Form) -> None:
    """It is an error, not the text."""
    async with router:
        got = await ask(router, form, "loose", response_format=ASKED, **SHORT)
    assert isinstance(got.error, ContractViolated)
    assert (got.text, got.call.outcome) == ("", Outcome.FAILED)


@pytest.mark.parametrize("form", STREAMS, ids=str)
async def test_a_stream_that_was_shown_is_an_error_at_its_end(router: Router, form: Form) -> None:
    """What was said can't be taken back, and it never looks whole."""
    async with router:
        got = await ask(router, form, "shown", response_format=ASKED, **SHORT)
    assert isinstance(got.error, ContractViolated)
    assert not [choice.finish_reason for chunk in got.chunks for choice in chunk.choices if choice.finish_reason]


@forms
async def test_broken_contracts_leave_the_route_in_use(router: Router, form: Form) -> None:
    """Quality is not transport: after more of them than open a route, it is asked again."""
    async with router:
        scope = router.scope()
        for _ in range(7):
            await ask_in(scope, form, "asked", response_format=ASKED, **SHORT)
    assert {attempt.route for call in scope.calls for attempt in call.attempts[:1]} == {"loose"}
