"""The README is true: its configs load, its examples run."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from understudy import Config
from understudy.testing import FakeProvider

README = (Path(__file__).parent.parent / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """The README's code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def block_with(language: str, text: str) -> str:
    """The one block that has a text in it."""
    (found,) = (block for block in blocks(language) if text in block)
    return found


def test_every_config_is_toml() -> None:
    """No block has a slip of the pen."""
    for block in blocks("toml"):
        tomllib.loads(block)


def test_the_first_config_loads() -> None:
    """The config of the first screen is complete."""
    config = Config.from_mapping(tomllib.loads(block_with("toml", "# understudy.toml")))
    assert config.tasks["ticket-summary"].routes == ("flagship", "sonnet")


def test_the_smallest_config_loads() -> None:
    """One provider, one route, one task: three lines."""
    config = Config.from_mapping(tomllib.loads(block_with("toml", "tasks.chat.primary")))
    assert config.tasks["chat"].routes == ("main",)


def test_the_example_of_a_test_runs(fake_provider: FakeProvider) -> None:
    """What the README shows of testing an app passes as it stands."""
    namespace: dict[str, object] = {}
    exec(compile(block_with("python", "test_summaries_survive_an_outage"), "README.md", "exec"), namespace)
    test = namespace["test_summaries_survive_an_outage"]
    assert callable(test)
    test(fake_provider)


@pytest.mark.anyio
async def test_the_first_example_runs(
    fake_provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The code of the first screen runs, with its config's providers on loopback."""
    monkeypatch.setenv("OPENAI_API_KEY", "k1")
    monkeypatch.setenv("KISSAPI_KEY", "k2")
    config = block_with("toml", "# understudy.toml")
    config = config.replace("[providers.openai]", f'[providers.openai]\nbase_url = "{fake_provider.base_url}"')
    config = config.replace("https://api.kissapi.ai/v1", fake_provider.base_url)
    (tmp_path / "understudy.toml").write_text(config)
    monkeypatch.chdir(tmp_path)
    code = block_with("python", "scope.call_for(reply)\n")
    indented = "".join(f"    {line}\n" for line in code.splitlines())
    namespace: dict[str, object] = {}
    exec(compile(f"async def run():\n{indented}", "README.md", "exec"), namespace)
    await namespace["run"]()  # type: ignore[operator]
    assert "flagship primary" in capsys.readouterr().out
