"""Every code block of the documentation runs, loads or parses, against providers on loopback."""

from __future__ import annotations

import ast
import asyncio
import re
import shlex
import subprocess
import sys
import tomllib
from contextvars import copy_context
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest

import lanewise
from docs.pages import DOCS, USUAL, Block, blocks, completed, pages
from lanewise import Config, Router
from lanewise.cli import main
from lanewise.testing import FakeProvider

KEYS = ("OPENAI_API_KEY", "OPENROUTER_API_KEY", "KISSAPI_KEY", "AZURE_OPENAI_API_KEY")
LANGUAGES = {"python", "toml", "console", "text", "sql"}
APPS = {"tutorials/flask.md": "flask", "tutorials/fastapi.md": "asgi", "tutorials/litestar.md": "litestar"}
TESTS = {"guides/testing.md"}
"""Pages whose code is a module of tests."""


def all_blocks(language: str) -> list[Block]:
    """The blocks of a language, of all pages."""
    return [block for page in pages() for block in blocks(page) if block.language == language]


def at(block: Block) -> str:
    """Where a block stands, as the id of its test."""
    return f"{block.page}:{block.line}"


def on_loopback(config: str, base_url: str) -> str:
    """A config whose providers are all the fake one."""
    config = re.sub(r'^base_url( *)= ".*"$', rf'base_url\1= "{base_url}"', config, flags=re.MULTILINE)
    config = re.sub(
        r"^\[providers\.openai\](.*)$", rf'[providers.openai]\1\nbase_url = "{base_url}"', config, flags=re.MULTILINE
    )
    return config.replace("providers.openai = {}", f'providers.openai = {{ base_url = "{base_url}" }}')


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of its own, with the keys that the pages name."""
    for name in KEYS:
        monkeypatch.setenv(name, "a-key")
    monkeypatch.setenv("STORAGE_KEY", "3q2+78r+ur6tnvAPDhkRpzQ0U1b9cHmWq5sVYx2LkEo=")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", pages())
def test_blocks_have_a_language_that_is_checked(page: str) -> None:
    """None escapes by a language of its own, or by none."""
    fences = re.findall(r"^```(.*)$", (DOCS / page).read_text(), re.MULTILINE)
    opened = {fence.split()[0] if fence else "" for fence in fences[::2]}
    assert opened - {"{toctree}", "{eval-rst}"} <= LANGUAGES


@pytest.mark.parametrize("block", all_blocks("toml"), ids=at)
def test_a_config_loads(block: Block, place: Path) -> None:
    """A whole one as it is, a part laid over a config that has what it names."""
    if block.is_config:
        Config.from_mapping(tomllib.loads(block.text))
    else:
        (place / "schemas").mkdir()
        (place / "schemas" / "summary.json").write_text("{}")
        Config.from_mapping(completed(block.text))


@pytest.mark.parametrize("block", all_blocks("console"), ids=at)
def test_commands_are_there(block: Block) -> None:
    """Each command of ours that a page shows has that name and takes these options."""
    for line in block.text.splitlines():
        found = re.match(r"^\$ (?:\S*/)?lanewise (.*)$", line)
        if found:
            _parse(main, shlex.split(found[1], comments=True))


def _parse(command: click.Command, words: list[str]) -> None:
    context = command.make_context("lanewise", words, resilient_parsing=False)
    while isinstance(command, click.Group) and (context._protected_args or context.args):
        name, inner, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert inner is not None
        command, context = inner, inner.make_context(name, list(rest), parent=context)


@pytest.mark.parametrize("page", [page for page in pages() if page not in TESTS])
def test_the_code_of_a_page_runs(
    page: str, place: Path, fake_provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its blocks one after the other, with the config that stands before them; apps answer a request."""
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    with asyncio.Runner() as runner:
        copy_context().run(_run, page, module, place, fake_provider, runner)
    if page in APPS:
        _ask_the_app(APPS[page], vars(module)["app"])


def _run(page: str, module: ModuleType, place: Path, provider: FakeProvider, runner: asyncio.Runner) -> None:
    (place / "lanewise.toml").write_text(on_loopback(USUAL, provider.base_url))
    if not any(block.is_config for block in blocks(page)):
        router = Router.from_file("lanewise.toml")
        scope = router.scope().__enter__()
        messages = [{"role": "user", "content": "Hello"}]
        vars(module).update(lanewise=lanewise, router=router, scope=scope, messages=messages, show=print, clear=print)
    for block in blocks(page):
        if block.is_config:
            (place / "lanewise.toml").write_text(on_loopback(block.text, provider.base_url))
        elif block.language == "python":
            code = "\n" * block.line + block.text
            flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            compiled = compile(code, str(DOCS / page), "exec", flags=flags, dont_inherit=True)
            running = eval(compiled, vars(module))
            if running is not None:
                runner.run(running)


def _ask_the_app(kind: str, app: Any) -> None:
    path = "/tickets/7/summary"
    if kind == "flask":
        reply = app.test_client().get(path)
        assert (reply.status_code, reply.json["route"]) == (200, "flagship")
        return
    if kind == "asgi":
        from starlette.testclient import TestClient

        with TestClient(app) as client:
            assert client.get("/summary").status_code == 200
        return
    from litestar.testing import TestClient as LitestarClient

    with LitestarClient(app) as client:
        answer = client.get(path)
        assert (answer.status_code, answer.json()["route"]) == (200, "flagship")


@pytest.mark.parametrize("page", sorted(TESTS))
def test_the_tests_of_a_page_pass(page: str, place: Path) -> None:
    """A module of tests passes as it stands."""
    code = "\n\n".join(block.text for block in blocks(page) if block.language == "python")
    (place / "test_page.py").write_text(code)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_page.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout
