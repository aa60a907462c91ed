"""The guide on replay: its config and its example, run as they stand over a real store."""

from __future__ import annotations

import tomllib

import pytest

from lanewise import Router
from real_valkey import Valkey
from router.driving import MESSAGES, Stage, config
from test_readme import block_with

GUIDE = "docs/guides/replay.md"
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("keys", "patient")]


async def test_the_example_of_replay_runs(
    stage: Stage, valkey: Valkey, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second time it names the first call, and one request was paid."""
    monkeypatch.setenv("STORE_URL", valkey.url)
    settings = tomllib.loads(block_with(GUIDE, "toml", "replay          ="))
    mapping = config(stage, more=settings)
    mapping["tasks"] = {"chat": {"primary": "first"}}
    code = block_with(GUIDE, "python", "call.replayed_from")
    indented = "".join(f"    {line}\n" for line in code.splitlines())
    namespace: dict[str, object] = {"messages": MESSAGES}
    exec(compile(f"async def run():\n{indented}", GUIDE, "exec"), namespace)
    async with Router.from_mapping(mapping) as router:
        namespace["router"] = router
        await namespace["run"]()  # type: ignore[operator]
    first, second = (line.split() for line in capsys.readouterr().out.splitlines())
    assert first[1] == "None"
    assert second[1] == first[0]
    assert len(stage.received()) == 1
