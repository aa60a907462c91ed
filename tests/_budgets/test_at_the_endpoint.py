"""Budgets of the callers of the app's own OpenAI endpoint."""

from __future__ import annotations

import pickle

import msgspec

from _budgets.test_over_http import MESSAGES, config
from lanewise import BudgetExceeded, Router
from lanewise.router import scopes_of
from lanewise.testing import FakeProvider
from lanewise.web.openai_endpoint.endpoint_answers import answer_for


def test_a_client_over_its_budget_is_told_so_in_the_shape_of_openai(fake_provider: FakeProvider) -> None:
    """Status 429, when to come again, and no name of a route, budget or provider; the next client is well."""
    per_client = {"limit": "1 call", "window": "1h", "per": "client"}
    with Router.from_mapping(config(fake_provider, per_client=per_client)) as router:
        errors = []
        for client in ("curl", "curl", "node"):
            scope = scopes_of(router).inbound(("req-2026-000042",), client=client)
            with scope:
                try:
                    scope.openai.chat.completions.create(model="summary", messages=MESSAGES)
                except BudgetExceeded as error:
                    errors.append((client, error))
    assert [client for client, _ in errors] == ["curl"]
    answer = answer_for(pickle.loads(pickle.dumps(errors[0][1])))
    told = msgspec.json.decode(answer.body)["error"]
    assert (answer.status, told["code"], told["type"]) == (429, "budget_exceeded", "rate_limit_error")
    assert int(dict(answer.headers)[b"retry-after"]) > 3500
    assert b"per_client" not in answer.body
    assert b"flagship" not in answer.body
