"""What the tests of homes, bridges and cancellation stand on: a config, one question, and counts of what is left."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Mapping

from busy_machine import LONG_ENOUGH, without_lag
from lanewise import Router
from lanewise.testing import FakeProvider

MESSAGES = [{"role": "user", "content": "Hello?"}]


def config(provider: FakeProvider, **task: object) -> dict[str, object]:
    """One task ``t`` with a primary and an equivalent route, each on a provider entry of its own."""
    route = {"timeout": "120s", "stall": "120s"}
    return {
        "router": {"health": {"breakers": False, "retry_tokens": 1e6}},
        "providers": {"a": {"base_url": provider.base_url}, "b": {"base_url": provider.base_url}},
        "routes": {
            "first": {"provider": "a", "model": "gpt-a", **route},
            "second": {"provider": "b", "model": "gpt-b", **route},
        },
        "tasks": {"t": {"primary": "first", "equivalent": "second", "deadline": "120s", **task}},
    }


def router_of(provider: FakeProvider, **task: object) -> Router:
    return Router.from_mapping(config(provider, **task))


def router_with_key(provider: FakeProvider, key: object) -> Router:
    """As :func:`router_of`, with a key, or a function for it, for the first provider."""
    mapping = config(provider)
    providers = mapping["providers"]
    assert isinstance(providers, dict)
    providers["a"]["api_key"] = key
    return Router.from_mapping(mapping)


async def ask(router: Router) -> str:
    with router.scope() as scope:
        reply = await scope.async_openai.chat.completions.create(model="t", messages=MESSAGES)
    return reply.choices[0].message.content


async def ask_stream(router: Router) -> str:
    with router.scope() as scope:
        stream = await scope.async_openai.chat.completions.create(model="t", messages=MESSAGES, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])


def ask_sync(router: Router) -> str:
    with router.scope() as scope:
        return scope.openai.chat.completions.create(model="t", messages=MESSAGES).choices[0].message.content


def ask_stream_sync(router: Router) -> str:
    with router.scope() as scope:
        stream = scope.openai.chat.completions.create(model="t", messages=MESSAGES, stream=True)
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


class Held:
    """What this process holds: sockets, threads of the router (not those that write records), tasks of the loop."""

    def __init__(self) -> None:
        gc.collect()
        self.sockets = sum(1 for name in os.listdir("/proc/self/fd") if _is_socket(name))
        self.threads = sum(1 for thread in threading.enumerate() if thread.name.startswith("lanewise-"))
        try:
            self.tasks = len(asyncio.all_tasks())
        except RuntimeError:
            self.tasks = 0

    def again(self) -> None:
        """Assert that it is so again, once the provider, which lives here too, has closed its ends."""
        until = time.monotonic() + LONG_ENOUGH
        while (now := Held()) != self:
            assert time.monotonic() < until, f"{now} now, {self} before"
            time.sleep(0.005)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Held) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.sockets, self.threads, self.tasks))

    def __repr__(self) -> str:
        return f"Held({self.sockets} sockets, {self.threads} threads, {self.tasks} tasks)"


def _is_socket(name: str) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
    except OSError:
        return False


async def eventually(true: Callable[[], bool], within: float = LONG_ENOUGH) -> float:
    """Wait for it, and say how many seconds that took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < within, "it did not become true"
        await asyncio.sleep(0.002)
    return time.monotonic() - began


def script(text: str, provider: FakeProvider, *, environ: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """A Python program of its own, which has a provider's address in ``URL`` and a config in ``CONFIG``."""
    opening = f"""
        import asyncio, os, sys, threading, time, warnings
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)  # from Python 3.12
        from lanewise import Router, RouterClosed, StreamBroken
        URL = {provider.base_url!r}
        CONFIG = {config(provider)!r}
        MESSAGES = {MESSAGES!r}
    """
    program = textwrap.dedent(opening) + textwrap.dedent(text)
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environ or {})},
    )


def output(running: subprocess.Popen[str], within: float = 150.0) -> str:
    """What the program printed, once it has ended well and without a word on stderr."""
    try:
        out, err = running.communicate(timeout=within)
    except subprocess.TimeoutExpired:
        running.kill()
        out, err = running.communicate()
        raise AssertionError(f"the program hangs, after {out!r} and {err!r}") from None
    assert running.returncode == 0, err
    assert without_lag(err) == [], err
    return out
