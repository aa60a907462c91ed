"""The commands that write, check and show a config."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lanewise.cli import main
from lanewise.cli.commands import COMMANDS

COMPLETE = Path(__file__).parent.parent / "config" / "complete.toml"


def run(*arguments: str | Path, env: dict[str, str] | None = None) -> Result:
    """Runs the command in this process, with no keys set."""
    unset = {"OPENAI_API_KEY": None, "KISSAPI_KEY": None}
    return CliRunner().invoke(main, [str(argument) for argument in arguments], env={**unset, **(env or {})})


def test_help_names_the_commands_and_imports_none() -> None:
    """The help is quick, whatever a command needs."""
    code = (
        "import sys, lanewise\nbefore = set(sys.modules)\nfrom lanewise.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "slow = ('rich', 'lanewise.cli.', 'lanewise.config')\n"
        "new = set(sys.modules) - before - {'lanewise.cli.commands'}\n"
        "assert not [name for name in new if name.startswith(slow)]\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in COMMANDS)


def test_an_unknown_command_is_a_usage_error() -> None:
    """Exit code 2, as of any command line."""
    assert run("chekc").exit_code == 2


def test_init_writes_a_config_that_check_passes(tmp_path: Path) -> None:
    """The way of a newcomer."""
    file = tmp_path / "lanewise.toml"
    assert run("init", file).exit_code == 0
    result = run("check", file, env={"OPENAI_API_KEY": "k"})
    assert result.exit_code == 0
    assert f"{file}: OK (1 provider, 2 routes, 1 task)" in result.output
    assert "Keys" not in result.output
    assert "Warnings" not in result.output


def test_init_does_not_write_over_a_file_unasked(tmp_path: Path) -> None:
    """The app's own config is not lost."""
    file = tmp_path / "lanewise.toml"
    file.write_text("mine", encoding="utf-8")
    result = run("init", file)
    assert result.exit_code == 1
    assert "--force" in result.output
    assert file.read_text(encoding="utf-8") == "mine"
    assert run("init", file, "--force").exit_code == 0
    assert "[tasks.chat]" in file.read_text(encoding="utf-8")


def test_init_says_when_it_can_not_write(tmp_path: Path) -> None:
    """A missing directory is an error of one line."""
    result = run("init", tmp_path / "none" / "lanewise.toml")
    assert result.exit_code == 1
    assert "can't be written" in result.output


def test_check_tells_keys_times_and_warnings() -> None:
    """What a correct config still has to say."""
    result = run("check", COMPLETE)
    assert result.exit_code == 0
    for said in (
        "OK (2 providers, 3 routes, 2 tasks)",
        "OPENAI_API_KEY is not set",
        "KISSAPI_KEY",
        "ticket-summary: 45s in all",
        "16s after the routes before it timed out",
    ):
        assert said in result.output


def test_check_warns_of_what_is_probably_not_meant(tmp_path: Path) -> None:
    """A short deadline, and what nobody uses."""
    file = tmp_path / "lanewise.toml"
    file.write_text(
        '[providers.openai]\n[providers.spare]\nbase_url = "https://h"\n'
        '[routes.main]\nprovider = "openai"\nmodel = "m"\n[routes.small]\nprovider = "openai"\nmodel = "n"\n'
        '[routes.idle]\nprovider = "openai"\nmodel = "i"\n'
        '[tasks.chat]\nprimary = "main"\ndegraded = "small"\ndeadline = "20s"\n'
        '[sensitive.medical]\nroutes = ["main"]\n',
        encoding="utf-8",
    )
    output = run("check", file, env={"OPENAI_API_KEY": "k"}).output
    assert "tasks.chat.deadline: 20s is shorter" in output
    assert "so main gets 16s" in output
    for place in ("routes.idle", "providers.spare", "sensitive.medical"):
        assert f"{place}: no " in output


def test_check_warns_of_a_text_that_a_contract_contradicts(tmp_path: Path) -> None:
    """A lane that is told to write bullet points will hardly write JSON."""
    file = tmp_path / "lanewise.toml"
    (tmp_path / "summary.json").write_text('{"type": "object"}', encoding="utf-8")
    file.write_text(
        '[providers.openai]\n[routes.main]\nprovider = "openai"\nmodel = "m"\nsystem_suffix = "Use bullet points."\n'
        '[routes.fine]\nprovider = "openai"\nmodel = "n"\nsystem_suffix = "Answer with JSON."\n'
        '[tasks.chat]\nprimary = ["main", "fine"]\ncontract = "summary.json"\n[tasks.free]\nprimary = "main"\n',
        encoding="utf-8",
    )
    output = run("check", file, env={"OPENAI_API_KEY": "k"}).output
    assert output.count("system_suffix: it says nothing of the JSON") == 1
    assert "routes.main.system_suffix" in output


def test_check_fails_on_mistakes(tmp_path: Path) -> None:
    """All of them, and exit code 1."""
    file = tmp_path / "lanewise.toml"
    file.write_text('[tasks.chat]\nprimary = "mian"\n', encoding="utf-8")
    result = run("check", file)
    assert result.exit_code == 1
    assert "has 3 mistakes" in result.output
    assert "line 2, tasks.chat.primary" in result.output


def test_check_looks_up_what_contracts_name(tmp_path: Path) -> None:
    """A module or a schema that is not there is told now, and not when the app starts."""
    file = tmp_path / "lanewise.toml"
    file.write_text(
        '[providers.openai]\n[routes.main]\nprovider = "openai"\nmodel = "m"\n'
        '[tasks.chat]\nprimary = "main"\ncontract = { schema = "summary.json", check = "no_such_module:check" }\n',
        encoding="utf-8",
    )
    result = run("check", file)
    assert result.exit_code == 1
    assert "tasks.chat.contract.schema: there is no file" in result.output
    assert "tasks.chat.contract.check: there is no module 'no_such_module'" in result.output


RAN = "__import__('pathlib').Path('ran').touch()\n"
CODE = {
    "app/__init__.py": RAN,
    "app/checks.py": RAN + "if True:\n    def polite(text): return True\nrude, (kind, _) = 1, (2, 3)\n",
    "app/lazy.py": "def __getattr__(name): return print\n",
    "app/stars.py": "from app.checks import *\n",
}


@pytest.mark.parametrize(
    "name", ["app.checks:polite", "app.checks:rude", "app.checks:kind", "app.lazy:x", "app.stars:x"]
)
def test_check_runs_nothing_of_the_app_unless_it_is_told_to(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A config may be a stranger's; what it names is looked for all the same."""
    file = _app_with_a_check(tmp_path, monkeypatch, name)
    result = run("check", file)
    assert result.exit_code == 0, result.output
    assert f"tasks.chat.contract: {name} (--load imports" in result.output
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["app.checks:nobody", "app.nowhere:x", "nowhere.at.all:x"])
@pytest.mark.parametrize("how", [[], ["--load"]], ids=str)
def test_check_tells_what_is_not_there(
    name: str, how: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it runs the app's code or not."""
    file = _app_with_a_check(tmp_path, monkeypatch, name)
    result = run("check", file, *how)
    assert result.exit_code == 1
    assert "tasks.chat.contract.check: the" in result.output


def test_check_loads_what_it_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And finds what can only be found by that."""
    result = run("check", _app_with_a_check(tmp_path, monkeypatch, "app.checks:rude"), "--load")
    assert result.exit_code == 1
    assert "'app.checks:rude' is no plain function" in result.output
    assert (tmp_path / "ran").exists()


def _app_with_a_check(place: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> Path:
    for path, code in CODE.items():
        (place / path).parent.mkdir(exist_ok=True)
        (place / path).write_text(code, encoding="utf-8")
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(place)
    for module in [module for module in sys.modules if module.split(".")[0] == "app"]:
        monkeypatch.delitem(sys.modules, module)
    file = place / "lanewise.toml"
    file.write_text(
        '[providers.openai]\n[routes.main]\nprovider = "openai"\nmodel = "m"\n'
        f'[tasks.chat]\nprimary = "main"\ncontract = {{ check = "{name}" }}\n',
        encoding="utf-8",
    )
    return file


@pytest.mark.parametrize("command", ["check", "routes"])
def test_a_missing_file_is_told(command: str, tmp_path: Path) -> None:
    """With the way to get one."""
    result = run(command, tmp_path / "none.toml")
    assert result.exit_code == 1
    assert "lanewise init" in result.output


def test_routes_shows_lanes_and_what_moves_where() -> None:
    """No name is cut in a pipe."""
    result = run("routes", COMPLETE)
    assert result.exit_code == 0
    for said in (
        "ticket-summary (45s)",
        "api.kissapi.ai",
        "claude-sonnet-4-6",
        "first choice",
        "unreachable, timeout, outage, rate_limit, contract",
        "never: not approved for payment",
        "default: every failure but context_length, content_policy, bad_request, substituted",
    ):
        assert said in result.output


def test_routes_does_not_cut_long_names(tmp_path: Path) -> None:
    """Also names that are wider than a terminal, and models with brackets."""
    task, model = "t" * 64, "[bold]" + "m" * 120
    file = tmp_path / "lanewise.toml"
    file.write_text(
        f'[providers.openai]\n[routes.main]\nprovider = "openai"\nmodel = "{model}"\n'
        f'[tasks.{task}]\nprimary = "main"\n',
        encoding="utf-8",
    )
    output = run("routes", file).output
    assert task in output
    assert model in output


def test_routes_tells_where_calls_start_and_which_route_goes_first(tmp_path: Path) -> None:
    """What the table alone would not tell."""
    file = tmp_path / "lanewise.toml"
    file.write_text(
        '[providers.openai]\n[routes.main]\nprovider = "openai"\nmodel = "m"\n'
        '[routes.spare]\nprovider = "openai"\nmodel = "n"\n'
        '[tasks.chat]\nprimary = ["main"]\ndegraded = "spare"\nsticky = "subject"\n'
        'start = [{ when = "tokens < 2000 and not tools", lane = "degraded" }]\n'
        '[tasks.drill]\nprimary = "main"\ndegraded = "spare"\nstart = "degraded"\nselect = "cheapest"\n',
        encoding="utf-8",
    )
    output = run("routes", file).output
    assert "chat: starts in degraded if tokens < 2000 and not tools" in output
    assert "chat: of a lane a route drawn by weight goes first, the same for all calls of a subject" in output
    assert "drill: starts in degraded\n" in output
    assert "drill: of a lane the cheapest route goes first" in output


def test_config_schema_prints_json() -> None:
    """What an editor reads."""
    assert json.loads(run("config-schema").output)["title"] == "Lanewise config"
