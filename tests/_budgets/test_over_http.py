"""Budgets of a router that asks over real HTTP: what is let out, where calls go on, and what the app is told."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
from pathlib import Path
from typing import Any

import openai
import pytest

from lanewise import BudgetExceeded, Call, FailClosed, Router
from lanewise._budgets import budget_prices
from lanewise.testing import Answer, FakeProvider, Status
from lanewise.web import problem_for

MESSAGES: Any = [{"role": "user", "content": "canary-prompt: where is my parcel?"}]
PRICE = {"input": 100.0, "output": 1000.0}
"""A thousandth of a dollar a token out."""


def config(
    provider: FakeProvider, *, state: str = "memory", ledger: str | None = None, **budgets: Any
) -> dict[str, Any]:
    """One task with three lanes on one provider, and these budgets."""
    route = {"provider": "p", "price": PRICE}
    router: dict[str, Any] = {"state": state}
    if ledger is not None:
        router["ledger"] = ledger
    return {
        "router": router,
        "providers": {"p": {"base_url": provider.base_url}},
        "routes": {
            "flagship": {**route, "model": "model-one"},
            "sonnet": {**route, "model": "model-two"},
            "mini": {**route, "model": "model-three"},
        },
        "tasks": {
            "summary": {"primary": "flagship", "equivalent": "sonnet", "degraded": "mini"},
            "refund": {"primary": "flagship", "equivalent": "sonnet", "sensitive": "payment"},
        },
        "sensitive": {"payment": {"routes": ["flagship"]}},
        "budgets": budgets,
    }


def ask(router: Router, *, task: str = "summary", subject: str | None = "user-7", **options: Any) -> Call:
    """A call's record, whatever became of it."""
    labels = options.pop("labels", None)
    with router.scope(subject=subject, labels=labels) as scope:
        with contextlib.suppress(openai.OpenAIError):
            scope.openai.chat.completions.create(model=task, messages=MESSAGES, **options)
        return scope.calls[-1]


def routes(router: Router, count: int, **options: Any) -> list[str | None]:
    """Which routes answered so many calls, one after the other; ``None``: the call failed."""
    return [ask(router, **options).route for _ in range(count)]


def test_a_budget_of_calls_is_kept_to_the_call(fake_provider: FakeProvider) -> None:
    """Each subject has its own, those without share one, and what is refused is never sent."""
    free = {"limit": "3 calls", "window": "1d", "per": "subject"}
    with Router.from_mapping(config(fake_provider, free=free)) as router:
        assert routes(router, 5) == ["flagship"] * 3 + [None] * 2
        assert routes(router, 4, subject="user-8") == ["flagship"] * 3 + [None]
        assert routes(router, 2, subject=None) == ["flagship"] * 2
    assert fake_provider.request_count == 8


def test_the_error_names_the_budget(fake_provider: FakeProvider) -> None:
    """It is the SDK's RateLimitError, says when to come again, and survives pickle without subject or prompt."""
    free = {"limit": "1 call", "window": "1h", "per": "subject"}
    with Router.from_mapping(config(fake_provider, free_users=free)) as router:
        ask(router)
        with router.scope(subject="user-7") as scope, pytest.raises(openai.RateLimitError) as caught:
            scope.openai.chat.completions.create(model="summary", messages=MESSAGES)
    error = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(error, BudgetExceeded)
    assert "budget free_users is used up: 1 of 1 calls per subject in 1h" in str(error)
    assert error.status_code == 429
    assert error.retry_after is not None
    assert 3500 < error.retry_after < 3700
    assert error.response.headers["x-should-retry"] == "false"
    assert "canary" not in repr(error)
    assert "user-7" not in repr(error)
    problem = problem_for(error)
    assert problem.status == 429
    assert int(dict(problem.headers)["retry-after"]) == round(error.retry_after)


def test_beyond_its_limit_a_call_goes_on_in_the_lane_of_the_budget(fake_provider: FakeProvider) -> None:
    """Whatever that lane lists; ``explain()`` says what was reserved, and why the lane was left."""
    tight = {"limit": "0.02 USD", "window": "1d", "over": "degraded"}
    mapping = config(fake_provider, tight=tight)
    mapping["tasks"]["summary"]["degraded"] = {"routes": ["mini"], "on": ["outage"]}
    fake_provider.script("model-one", Answer("Fine.", usage=(10, 5)))
    with Router.from_mapping(mapping) as router:
        calls = [ask(router, max_tokens=5) for _ in range(6)]
    # 14 tokens in for less than 0.002, 5 out for 0.005: three fit, the fourth does not
    assert [call.route for call in calls] == ["flagship"] * 3 + ["mini"] * 3
    assert "reserves 0.0" in calls[0].explain()
    assert "of budget tight (0.0" in calls[0].explain()
    told = calls[3].explain()
    assert "skips flagship (primary): budget tight is used up: 0.018 of 0.02 USD in 1d are spent" in told
    assert "skips sonnet (equivalent): budget tight is used up" in told


def test_a_budget_of_tokens_counts_what_was_used(fake_provider: FakeProvider) -> None:
    """Tokens in and out as the provider counts them; before that what a call of its size may take."""
    tokens = {"limit": "60 tokens", "window": "1d"}
    fake_provider.script("model-one", Answer("Fine.", usage=(20, 5)))
    with Router.from_mapping(config(fake_provider, tokens=tokens)) as router:
        calls = [ask(router, max_tokens=10) for _ in range(3)]
    assert [call.route for call in calls] == ["flagship", "flagship", None]
    assert "(25 of 60 tokens" not in calls[0].explain()
    assert "budget tokens is used up: 50 of 60 tokens in 1d are spent" in calls[2].explain()


def test_what_a_switch_finds_used_up_ends_the_call(fake_provider: FakeProvider) -> None:
    """The first route times out, which may be billed: what it reserved stays, and the second finds nothing left."""
    fake_provider.script("model-one", Status(502))
    usd = {"limit": "0.0075 USD", "window": "1d"}
    with Router.from_mapping(config(fake_provider, usd=usd)) as router:
        call = ask(router, max_tokens=4)
        assert isinstance(call.attempts, tuple)
        first = [attempt.route for attempt in call.attempts]
        assert first == ["flagship"], call.explain()
        assert call.route is None
        assert "budget usd is used up" in call.explain()


def test_what_is_not_billed_is_given_back(fake_provider: FakeProvider) -> None:
    """A refusal by status costs nothing: the fallback has the whole budget."""
    fake_provider.script("model-one", Status(429, retry_after=30))
    usd = {"limit": "0.0075 USD", "window": "1d"}
    with Router.from_mapping(config(fake_provider, usd=usd)) as router:
        assert ask(router, max_tokens=4).route == "sonnet"


def test_a_sensitive_call_over_its_budget_fails_closed(fake_provider: FakeProvider) -> None:
    """No lane of a budget lets it leave its approved routes."""
    calls = {"limit": "1 call", "window": "1d", "over": "equivalent"}
    with Router.from_mapping(config(fake_provider, calls=calls)) as router:
        assert ask(router, task="refund").route == "flagship"
        with router.scope() as scope, pytest.raises(FailClosed) as caught:
            scope.openai.chat.completions.create(model="refund", messages=MESSAGES)
    assert "budget calls is used up" in str(caught.value)
    assert fake_provider.request_count == 1


def test_of_two_budgets_the_stricter_holds(fake_provider: FakeProvider) -> None:
    """A lane, a later lane, and a refusal: each as soon as its budget is used up."""
    one = {"limit": "1 call", "window": "1d", "over": "equivalent"}
    two = {"limit": "2 calls", "window": "1h", "over": "degraded"}
    three = {"limit": "3 calls", "window": "30d", "tasks": ["summary"]}
    with Router.from_mapping(config(fake_provider, one=one, two=two, three=three)) as router:
        assert routes(router, 5) == ["flagship", "sonnet", "mini", None, None]


def test_calls_are_told_apart_by_label_and_task(fake_provider: FakeProvider) -> None:
    """A label that a call does not have is shared by all such calls."""
    tenant = {"limit": "1 call", "window": "1d", "per": "label.tenant"}
    with Router.from_mapping(config(fake_provider, tenant=tenant)) as router:
        assert routes(router, 2, labels={"tenant": "a"}) == ["flagship", None]
        assert routes(router, 2, labels={"tenant": "b " * 100}) == ["flagship", None]
        assert routes(router, 2, labels={"tenancy": "c"}) == ["flagship", None]
        assert routes(router, 1, labels=None) == [None]
    task = {"limit": "1 call", "window": "1d", "per": "task"}
    with Router.from_mapping(config(fake_provider, task=task)) as router:
        assert routes(router, 2) == ["flagship", None]
        assert routes(router, 2, task="refund") == ["flagship", None]


def test_a_route_without_a_price_counts_as_the_dearest(fake_provider: FakeProvider) -> None:
    """Before it is asked, and after."""
    usd = {"limit": "0.02 USD", "window": "1d"}
    mapping = config(fake_provider, usd=usd)
    del mapping["routes"]["flagship"]["price"]
    with Router.from_mapping(mapping) as router:
        answered = [route for route in routes(router, 20, max_tokens=8) if route]
    assert answered == ["flagship"] * len(answered)
    assert 1 <= len(answered) <= 4


@pytest.mark.anyio
async def test_after_twenty_outcomes_the_usual_is_reserved(fake_provider: FakeProvider) -> None:
    """The 95th percentile of the task's own cost on the route, in place of a thousand tokens out."""
    usd = {"limit": "1000 USD", "window": "1d"}
    fake_provider.script("model-one", Answer("Fine.", usage=(10, 5)))
    async with Router.from_mapping(config(fake_provider, usd=usd)) as router:
        told = []
        for _ in range(21):
            with router.scope() as scope:
                await scope.async_openai.chat.completions.create(model="summary", messages=MESSAGES)
            told.append(scope.calls[-1].explain())
    assert all("reserves 1.0" in each for each in told[:20])
    assert "reserves 0.006 of budget usd" in told[20]


@pytest.mark.anyio
async def test_many_at_once_keep_to_the_budget(fake_provider: FakeProvider) -> None:
    """What runs counts: of fifty calls at once ten are let out."""
    calls = {"limit": "10 calls", "window": "1d"}
    async with Router.from_mapping(config(fake_provider, calls=calls)) as router:

        async def one() -> bool:
            with router.scope() as scope:
                try:
                    stream = await scope.async_openai.chat.completions.create(
                        model="summary", messages=MESSAGES, stream=True
                    )
                except openai.RateLimitError:
                    return False
                return bool([chunk async for chunk in stream])

        assert sum(await asyncio.gather(*[one() for _ in range(50)])) == 10
    assert fake_provider.request_count == 10


def test_after_a_restart_the_ledger_tells_what_was_spent(fake_provider: FakeProvider, tmp_path: Path) -> None:
    """Of subjects where there is a secret to know them by."""
    ledger = f"sqlite:///{tmp_path / 'l.db'}"
    calls = {"limit": "3 calls", "window": "1h"}
    usd = {"limit": "100 USD", "window": "1h", "per": "subject"}
    mapping = config(fake_provider, ledger=ledger, calls=calls, usd=usd)
    with Router.from_mapping(mapping) as router:
        assert routes(router, 2) == ["flagship"] * 2
    with Router.from_mapping(mapping) as router:
        assert routes(router, 2) == ["flagship", None]


def test_subjects_are_known_again_by_their_hash(
    fake_provider: FakeProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each finds what it had left."""
    monkeypatch.setenv("LANEWISE_SECRET", "canary-secret-" + "s" * 32)
    calls = {"limit": "2 calls", "window": "1h", "per": "subject"}
    mapping = config(fake_provider, ledger=f"sqlite:///{tmp_path / 'l.db'}", calls=calls)
    mapping["router"]["secret_env"] = "LANEWISE_SECRET"
    with Router.from_mapping(mapping) as router:
        assert routes(router, 2) == ["flagship"] * 2
        assert routes(router, 1, subject="user-8") == ["flagship"]
    with Router.from_mapping(mapping) as router:
        assert routes(router, 1) == [None]
        assert routes(router, 2, subject="user-8") == ["flagship", None]


def test_a_ledger_that_cannot_be_read_holds_up_nothing(fake_provider: FakeProvider, tmp_path: Path) -> None:
    """The windows begin empty, and a line of the log says so."""
    (tmp_path / "l.db").write_bytes(b"no database" * 100)
    mapping = config(fake_provider, ledger=f"sqlite:///{tmp_path / 'l.db'}", calls={"limit": "1 call", "window": "1h"})
    with Router.from_mapping(mapping) as router:
        assert routes(router, 2) == ["flagship", None]


def test_assumed_output_is_what_the_issue_names() -> None:
    """A thousand tokens, where the app sets no lower limit."""
    assert budget_prices.ASSUMED_OUTPUT == 1000
