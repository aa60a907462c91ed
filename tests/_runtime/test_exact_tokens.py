"""A question near a route's window is counted, where an estimate can't tell whether it fits."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from busy_machine import LONG_ENOUGH
from lanewise import Router
from lanewise._openai.tokens import count_body, count_text
from lanewise._runtime.call import resolve as counting
from lanewise.testing import FakeProvider
from lanewise.types import Api

CODE: Any = [{"role": "user", "content": "def f(x):\n    return {x: [i**2 for i in x]}\n" * 300}]
"""Many more tokens than prose of its size has."""
EASY: Any = [{"role": "user", "content": "international responsibilities of the team in a house " * 250}]
"""Fewer tokens than prose of its size has."""
EXACT = {
    name: count_body({"messages": question}, Api.CHAT, "gpt-5.5").tokens
    for name, question in (("code", CODE), ("easy", EASY))
}


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    count_text("", "gpt-5.5")  # the ranks take a second to load, on a busy machine more
    with FakeProvider() as started:
        yield started


def config(provider: FakeProvider, window: int, model: str = "gpt-5.5") -> dict[str, object]:
    """A route with a window, and one without."""
    return {
        "providers": {"p": {"base_url": provider.base_url}},
        "routes": {
            "small": {"provider": "p", "model": model, "context_window": window},
            "large": {"provider": "p", "model": "large", "context_window": 1_000_000},
        },
        "tasks": {"chat": {"primary": "small", "equivalent": "large"}},
    }


async def route_of(mapping: dict[str, object], messages: Any, sync: bool) -> tuple[str | None, str]:
    """Which route answered, and why."""
    if sync:
        with Router.from_mapping(mapping) as router, router.scope() as scope:
            scope.openai.chat.completions.create(model="chat", messages=messages)
    else:
        async with Router.from_mapping(mapping) as router:
            with router.scope() as scope:
                await scope.async_openai.chat.completions.create(model="chat", messages=messages)
    return scope.calls[-1].route, scope.calls[-1].explain()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine counts slowly."""
    monkeypatch.setattr(counting, "COUNT_WAIT", 20.0)


@pytest.mark.anyio
@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
async def test_what_is_longer_than_its_size_says_is_counted(provider: FakeProvider, sync: bool) -> None:
    """Code: by its size it would have been sent, and refused."""
    route, why = await route_of(config(provider, EXACT["code"] - 1), CODE, sync)
    assert route == "large"
    assert f"has a window of {EXACT['code'] - 1} tokens, and the question has {EXACT['code']}" in why
    assert (await route_of(config(provider, EXACT["code"]), CODE, sync))[0] == "small"


@pytest.mark.anyio
@pytest.mark.usefixtures("patient")
async def test_what_is_shorter_than_its_size_says_keeps_its_route(provider: FakeProvider) -> None:
    """By its size it would have been passed over."""
    assert (await route_of(config(provider, EXACT["easy"]), EASY, sync=False))[0] == "small"
    assert (await route_of(config(provider, EXACT["easy"], model="unknown"), EASY, sync=False))[0] == "large"


@pytest.mark.anyio
async def test_a_count_that_takes_too_long_is_not_waited_for(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The estimate counts then, and the call goes on."""
    may_end = threading.Event()
    monkeypatch.setattr(counting, "_counts", lambda *_: may_end.wait(LONG_ENOUGH) and {})
    started = time.monotonic()
    try:
        assert (await route_of(config(provider, EXACT["easy"]), EASY, sync=False))[0] == "large"
    finally:
        may_end.set()
    assert time.monotonic() - started < 15


@pytest.mark.anyio
async def test_nothing_is_counted_that_an_estimate_can_tell(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what surely fits, nor what surely does not."""

    def never(*_: object) -> dict[str, int]:
        raise AssertionError("not to be counted")

    monkeypatch.setattr(counting, "_counts", never)
    assert (await route_of(config(provider, 100_000), CODE, sync=False))[0] == "small"
    assert (await route_of(config(provider, 100), CODE, sync=False))[0] == "large"
