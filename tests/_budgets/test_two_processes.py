"""Two processes that share a Valkey, over real HTTP: one subject's budget is kept to the call."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from _budgets.test_over_http import config
from busy_machine import LONG_ENOUGH
from lanewise import Router
from lanewise.cli import main
from lanewise.testing import Answer, FakeProvider, SlowHeaders
from real_valkey import Valkey

PROGRAM = """
    import asyncio, json, sys
    import openai
    from lanewise import Router

    async def main(mapping, calls):
        async with Router.from_mapping(mapping) as router:
            async def one(number):
                with router.scope(subject="user-7") as scope:
                    try:
                        reply = await scope.async_openai.chat.completions.create(
                            model="summary", messages=[{"role": "user", "content": "?"}], max_tokens=10)
                    except openai.RateLimitError as error:
                        return "refused"
                    return scope.call_for(reply).route
            sys.stdin.readline()
            return await asyncio.gather(*[one(number) for number in range(calls)])

    print(json.dumps(asyncio.run(main(json.loads(sys.argv[1]), int(sys.argv[2])))))
"""


def routes_of_two(mapping: dict[str, Any], calls: int) -> list[str]:
    """Which routes answered the calls of two processes that begin at one time."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PROGRAM), json.dumps(mapping), str(calls)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return [route for process in running for route in json.loads(process.communicate(timeout=LONG_ENOUGH)[0])]


@pytest.fixture
def provider(fake_provider: FakeProvider) -> FakeProvider:
    """Answers take a moment, so that many are in flight at a time."""
    fake_provider.script("model-one", SlowHeaders(0.05, then=Answer("Fine.", usage=(10, 5))))
    return fake_provider


def test_two_processes_keep_one_budget_to_the_call(provider: FakeProvider, valkey: Valkey) -> None:
    """Of a hundred calls seventeen are answered, wherever they were made."""
    free = {"limit": "17 calls", "window": "1d", "per": "subject"}
    routes = routes_of_two(config(provider, state=valkey.url, free=free), 50)
    assert routes.count("flagship") == 17
    assert routes.count("refused") == 83
    assert provider.request_count == 17


def test_two_processes_go_on_in_the_lane_of_a_budget(provider: FakeProvider, valkey: Valkey) -> None:
    """What is spent in the better lanes is never more than the limit; the rest is answered in the worse one."""
    usd = {"limit": "0.05 USD", "window": "1h", "per": "subject", "over": "degraded"}
    routes = routes_of_two(config(provider, state=valkey.url, usd=usd), 30)
    # about 0.001 in and 0.010 out are reserved of each, 0.006 of them spent: four at a time, eight in all at most
    assert 4 <= routes.count("flagship") <= 8
    assert routes.count("mini") == 60 - routes.count("flagship")


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


def written(path: Path, provider: FakeProvider, state: str, *, ledger: str = "") -> Path:
    file = path / "lanewise.toml"
    file.write_text(
        f"""
[router]
state = "{state}"
expected_workers = 2
{ledger}
[providers.p]
base_url = "{provider.base_url}"
[routes]
flagship = {{ provider = "p", model = "model-one", price = {{ input = 100.0, output = 1000.0 }} }}
[tasks.summary]
primary = "flagship"
[budgets.free]
limit = "2 calls"
window = "1d"
per = "subject"
[budgets.all]
limit = "100 USD"
window = "30d"
"""
    )
    return file


def test_the_command_shows_what_is_spent_and_gives_it_back(
    provider: FakeProvider, valkey: Valkey, tmp_path: Path
) -> None:
    """Of all workers that share a store; a subject is shown by a hash only, and named to be reset."""
    mapping = written(tmp_path, provider, valkey.url)
    with Router.from_file(mapping) as router, router.scope(subject="user-7") as scope:
        for _ in range(2):
            scope.openai.chat.completions.create(model="summary", messages=[{"role": "user", "content": "?"}], n=1)
    shown = [json.loads(line) for line in run("budgets", "--json", mapping).output.splitlines()]
    assert [(row["budget"], row["spent"], row["limit"], row["window"]) for row in shown] == [
        ("free", "2", "2 calls", "1d"),
        ("all", "0.012", "100.00 USD", "30d"),
    ]
    assert shown[0]["is_over"]
    assert "user-7" not in run("budgets", mapping).output
    assert "1 bucket given back" in run("budgets", "reset", "free", mapping, "--subject", "user-7").output
    assert [json.loads(line)["budget"] for line in run("budgets", "--json", mapping).output.splitlines()] == ["all"]
    assert run("budgets", "reset", "free", mapping, "--whose", "nobody").exit_code == 1
    assert "Did you mean 'free'" in run("budgets", "reset", "fre", mapping).output
    with Router.from_file(mapping) as router, router.scope(subject="user-7") as scope:
        scope.openai.chat.completions.create(model="summary", messages=[{"role": "user", "content": "?"}])


def test_in_memory_the_command_shows_what_the_ledger_says(provider: FakeProvider, tmp_path: Path) -> None:
    """And that nothing can be reset from outside."""
    mapping = written(tmp_path, provider, "memory", ledger='ledger = "sqlite:///l.db"')
    with Router.from_file(mapping) as router, router.scope() as scope:
        scope.openai.chat.completions.create(model="summary", messages=[{"role": "user", "content": "?"}])
    shown = [json.loads(line) for line in run("budgets", "--json", mapping).output.splitlines()]
    assert [(row["budget"], row["whose"], row["spent"]) for row in shown] == [("all", "-", "0.006")]
    assert "can't be reached from outside" in run("budgets", "reset", "all", mapping).output
    assert "does not tell subjects apart" in run("check", mapping).output
    without = written(tmp_path, provider, "memory")
    assert "nothing is to be seen" in run("budgets", without).output
    assert "begins it anew" in run("check", without).output
