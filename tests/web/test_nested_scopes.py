"""Scopes within scopes: as many as an app may open, each call of theirs once in each."""

from __future__ import annotations

from contextlib import ExitStack

from lanewise import Router
from lanewise.scope import state_of
from lanewise.testing import FakeProvider
from router.driving import MESSAGES

DEPTH = 40
"""Two to the power of it are more ways than anybody can go."""


def test_a_call_in_many_scopes_is_in_each_of_them_once(fake_provider: FakeProvider) -> None:
    """Each scope was made in all of those around it; its work grows with their number, not with their ways."""
    router = Router.from_mapping(
        {
            "providers": {"p": {"base_url": fake_provider.base_url}},
            "routes": {"a": {"provider": "p", "model": "a"}, "b": {"provider": "p", "model": "b"}},
            "tasks": {"chat": {"primary": "a", "equivalent": "b"}},
            "sensitive": {"payment": {"routes": ["a"]}},
        }
    )
    with router, ExitStack() as stack:
        scopes = [stack.enter_context(router.scope(sensitive="payment" if not depth else ())) for depth in range(DEPTH)]
        innermost = scopes[-1]
        innermost.openai.chat.completions.create(model="chat", messages=MESSAGES)
        (call,) = innermost.calls
        assert [state_of(scope).calls_within for scope in scopes] == [(call,)] * DEPTH
        assert call.sensitive == ("payment",)
        assert all(scope.sensitive == {"payment"} for scope in scopes)
        assert not any(state_of(scope).is_busy for scope in scopes)
