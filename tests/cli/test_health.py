"""``lanewise health``: what the workers share, seen and changed from outside."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from click.testing import CliRunner, Result

from busy_machine import LONG_ENOUGH
from lanewise import Router, RoutingError
from lanewise.cli import main
from lanewise.testing import Answer, FakeProvider, Status
from real_valkey import Valkey, running_valkey

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def valkey_server() -> Iterator[Valkey]:
    """One server for all tests here."""
    with running_valkey() as server:
        yield server


@pytest.fixture
def valkey(valkey_server: Valkey) -> Valkey:
    """The server, empty."""
    valkey_server.clear()
    return valkey_server


def config(path: Path, provider: FakeProvider, state: str) -> Path:
    """A config with a route at each of two accounts."""
    file = path / "lanewise.toml"
    file.write_text(
        f"""
[router]
state = "{state}"
[providers]
one = {{ base_url = "{provider.base_url}" }}
two = {{ base_url = "{provider.base_url}" }}
[routes]
flagship = {{ provider = "one", model = "big", api = ["chat"] }}
mini = {{ provider = "two", model = "small", api = ["chat"] }}
[tasks.chat]
deadline = "20s"
primary = "flagship"
equivalent = "mini"
"""
    )
    return file


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["health", *map(str, words)])


async def ask(router: Router) -> str | None:
    """The route that answers a call."""
    with router.scope() as scope:
        try:
            reply = await scope.async_openai.chat.completions.create(
                model="chat", messages=[{"role": "user", "content": "Hi"}]
            )
        except RoutingError:
            return None
        return scope.call_for(reply).route


async def test_the_table_tells_what_the_workers_share(
    tmp_path: Path, valkey: Valkey, fake_provider: FakeProvider
) -> None:
    """State, reason and next probe of a route that is open, of one that is limited, and of an account."""
    file = config(tmp_path, fake_provider, valkey.url)
    assert run("--config", file).output.count("closed") == 2
    fake_provider.script("big", Status(401))
    fake_provider.script("small", Status(429, retry_after=90))
    async with Router.from_file(file) as router:
        await ask(router)
        await _until(lambda: {"limited", "account one"} <= _told(run("--config", file)))
        shown = run("--config", file)
        rows = {row["name"]: row for row in map(json.loads, run("--json", "--config", file).output.splitlines())}
    assert shown.exit_code == 0
    assert "auth, HTTP 401" in shown.output
    assert rows["account one"]["state"] == "open"
    assert 5 < rows["account one"]["next_probe"] <= 12
    assert rows["account one"]["since"] is not None
    assert rows["mini chat"]["state"] == "limited"
    assert rows["flagship"]["state"] == "closed"


async def test_a_throttled_route_is_shown_with_its_row_and_its_next_probe(
    tmp_path: Path, valkey: Valkey, fake_provider: FakeProvider
) -> None:
    """As the workers share it: after forty failures in a row and two seconds, where calls have no other route."""
    file = config(tmp_path, fake_provider, valkey.url)
    file.write_text(file.read_text().replace('equivalent = "mini"\n', 'patience = "0s"\n'))
    fake_provider.script_all(Status(503))
    async with Router.from_file(file) as router:
        end = anyio.current_time() + 40
        while "throttled" not in run("--config", file).output:
            assert anyio.current_time() < end
            async with anyio.create_task_group() as group:
                for _ in range(8):
                    group.start_soon(ask, router)
        rows = {row["name"]: row for row in map(json.loads, run("--json", "--config", file).output.splitlines())}
    shown = rows["flagship chat"]
    assert shown["state"] == "throttled"
    assert re.match(r"\d\d+ failures in a row: outage, HTTP 503", shown["why"])
    assert shown["since"] is not None
    assert 0 <= shown["next_probe"] <= 1


async def test_a_route_is_opened_and_closed_by_hand(
    tmp_path: Path, valkey: Valkey, fake_provider: FakeProvider
) -> None:
    """The workers hear of it at once, and it stays so until a person says otherwise."""
    file = config(tmp_path, fake_provider, valkey.url)
    async with Router.from_file(file) as router:
        assert await ask(router) == "flagship"
        await anyio.sleep(0.3)
        assert run("open", "flagship", "--config", file).exit_code == 0
        await _until_async(lambda: ask(router), "mini")
        assert "by hand" in run("--config", file).output
        assert run("close", "flagship", "--config", file).exit_code == 0
        await _until_async(lambda: ask(router), "flagship")


async def test_closing_by_hand_closes_the_account_too(
    tmp_path: Path, valkey: Valkey, fake_provider: FakeProvider
) -> None:
    """Whoever has put a new key in place need not wait."""
    file = config(tmp_path, fake_provider, valkey.url)
    fake_provider.script("big", Status(401), Answer())
    async with Router.from_file(file) as router:
        assert await ask(router) == "mini"
        await _until(lambda: "account one" in run("--config", file).output)
        run("close", "flagship", "--config", file)
        await _until_async(lambda: ask(router), "flagship")


def test_watching_ends_by_ctrl_c_without_a_word(tmp_path: Path, valkey: Valkey, fake_provider: FakeProvider) -> None:
    """Nothing has gone wrong: the exit code is 0."""
    file = config(tmp_path, fake_provider, valkey.url)
    command = [sys.executable, "-c", "from lanewise.cli import main; main()", "health", "--watch", "--json"]
    with subprocess.Popen(
        [*command, "--config", str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        assert watching.wait(LONG_ENOUGH) == 0
        assert watching.stderr.read() == b""


def test_what_can_not_be_shown_is_told(tmp_path: Path, fake_provider: FakeProvider) -> None:
    """Memory, a store that is not there, and a route that is not."""
    memory = run("--config", config(tmp_path, fake_provider, "memory"))
    assert memory.exit_code == 1
    assert 'state = "redis://HOST:6379/0"' in memory.output
    gone = run("--config", config(tmp_path, fake_provider, f"unix://{tmp_path}/no-such-socket"))
    assert gone.exit_code == 1
    assert "does not answer" in gone.output
    wrong = run("open", "flagshp", "--config", config(tmp_path, fake_provider, "redis://127.0.0.1:1/0"))
    assert wrong.exit_code == 1
    assert "Did you mean 'flagship'?" in wrong.output


def _told(result: Result) -> set[str]:
    return {word for word in ("limited", "account one") if word in result.output}


async def _until(true: object) -> None:
    with anyio.fail_after(LONG_ENOUGH):
        while not true():  # type: ignore[operator]
            await anyio.sleep(0.05)


async def _until_async(ask: object, wanted: str) -> None:
    with anyio.fail_after(LONG_ENOUGH):
        while await ask() != wanted:  # type: ignore[operator]
            await anyio.sleep(0.05)
