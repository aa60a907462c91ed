"""What is used of libraries without their promise: a version that has changed it is refused at the start."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from flask import Flask
from litestar import Litestar
from litestar.testing import TestClient as LitestarClient
from packaging.version import Version
from starlette.applications import Starlette
from starlette.testclient import TestClient

from distribution.lowest import declared, lower_bound
from flask_lanewise import Lanewise
from lanewise import Config, ConfigError, Router
from lanewise._compat import CORE, GENAI_PRICES, LIBRARIES, REDIS, Library, Part
from lanewise.config.credentials import resolve_credentials
from litestar_lanewise import LanewisePlugin
from starlette_lanewise import LanewiseMiddleware, lifespan

ROOT = Path(__file__).parent.parent.parent
PARTS = [(library, part) for library in LIBRARIES.values() for part in library.parts]


def config(**router: object) -> Config:
    return Config.from_mapping(
        {
            "router": router,
            "providers": {"here": {"base_url": "http://127.0.0.1:9/v1"}},
            "routes": {"only": {"provider": "here", "model": "gpt-5.5"}},
            "tasks": {"chat": {"primary": ["only"]}},
        }
    )


def owner_of(part: Part) -> tuple[object, str]:
    """What holds a part itself, not what inherits it."""
    module, _, path = part.where.partition(":")
    holder: object = importlib.import_module(module)
    *names, last = path.split(".")
    for name in names:
        holder = getattr(holder, name)
    if inspect.isclass(holder):
        holder = next(cls for cls in holder.__mro__ if last in vars(cls))
    return holder, last


def change(monkeypatch: pytest.MonkeyPatch, part: Part) -> None:
    """As a release would: the part is another, which takes nothing by name and does nothing."""
    holder, name = owner_of(part)
    if part.takes or part.uses:
        monkeypatch.setattr(holder, name, lambda *values: None)
    else:
        monkeypatch.delattr(holder, name)


@pytest.mark.parametrize("library", LIBRARIES.values(), ids=lambda library: library.distribution)
def test_the_installed_versions_are_as_they_are_used(library: Library) -> None:
    """Of what is locked, and of the lowest that is declared."""
    assert library.changes() == []
    lowest, highest = (Version(version) for version in library.seen)
    assert lowest == lower_bound(declared()[library.distribution])
    assert lowest <= Version(metadata.version(library.distribution)) <= highest


@pytest.mark.parametrize(("library", "part"), PARTS, ids=lambda value: getattr(value, "where", ""))
def test_a_part_that_has_changed_is_told(library: Library, part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name, with what to install."""
    change(monkeypatch, part)
    problem = library.problem()
    assert problem is not None
    assert part.where in problem
    assert f"pip install '{library.distribution}>=" in library.fix()


@pytest.mark.parametrize("library", [*CORE, GENAI_PRICES, REDIS], ids=lambda library: library.distribution)
def test_a_router_over_a_changed_library_does_not_open(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """ConfigError when it opens, and no call that only then goes wrong."""
    change(monkeypatch, library.parts[-1])
    with pytest.raises(ConfigError, match=f"{library.distribution}: version .* has changed"):
        resolve_credentials(config(state="redis://127.0.0.1:1/0"), {})
    if library is not REDIS:
        with pytest.raises(ConfigError, match=f"pip install '{library.distribution}>="), Router(config()):
            pass


def test_a_library_that_nothing_rests_on_may_have_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a shared store nothing of its client is used."""
    change(monkeypatch, REDIS.parts[0])
    with Router(config()):
        pass


def test_the_first_call_of_a_router_that_was_not_opened_says_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client can't be made before the router opens by itself."""
    router = Router(config())
    monkeypatch.delattr("openai._base_client.get_platform")
    with router.scope() as scope, pytest.raises(ConfigError, match=r"openai: version .*:get_platform is gone"):
        _ = scope.openai


def test_a_schema_is_not_blamed_for_what_its_library_no_longer_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every contract would be refused as none."""
    monkeypatch.setattr("jsonschema_rs.validator_for", lambda schema: None)
    mapping = {
        "providers": {"here": {"base_url": "http://127.0.0.1:9/v1"}},
        "routes": {"only": {"provider": "here", "model": "gpt-5.5"}},
        "tasks": {"chat": {"primary": ["only"], "contract": {"schema": {"type": "object"}}}},
    }
    with (
        pytest.raises(ConfigError, match=r"jsonschema-rs: version .* takes no 'offline'"),
        Router.from_mapping(mapping),
    ):
        pass


@pytest.mark.parametrize("part", LIBRARIES["flask"].parts, ids=lambda part: part.where)
def test_a_changed_flask_is_refused_at_the_installation(part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app is not made."""
    app = Flask("desk")
    change(monkeypatch, part)
    with pytest.raises(ConfigError, match="flask: version"):
        Lanewise(app, Router(config()))


@pytest.mark.parametrize("name", ["starlette", "fastapi"])
def test_a_changed_starlette_or_fastapi_is_refused_at_the_start(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the lifespan; without one, each request is refused."""
    importlib.import_module("fastapi")  # an app of FastAPI has it
    router = Router(config())
    app = Starlette(lifespan=lifespan(router))
    app.add_middleware(LanewiseMiddleware, router=router)
    bare = Starlette()
    bare.add_middleware(LanewiseMiddleware, router=Router(config()))
    monkeypatch.setitem(LIBRARIES, name, Library(name, ("1", "2"), (Part(f"{name}:Gone"),)))
    with pytest.raises(ConfigError, match=f"{name}: version"), TestClient(app):
        pass
    for _ in range(2):
        with pytest.raises(ConfigError, match=f"{name}: version"):
            TestClient(bare).get("/")


def test_a_changed_litestar_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the plugin's lifespan."""
    app = Litestar(plugins=[LanewisePlugin(Router(config()))], logging_config=None)
    monkeypatch.setitem(LIBRARIES, "litestar", Library("litestar", ("1", "2"), (Part("litestar:Gone"),)))
    with pytest.raises(ExceptionGroup) as raised, LitestarClient(app):
        pass
    assert raised.group_contains(ConfigError, match="litestar: version")


def test_every_reach_into_a_library_is_named() -> None:
    """An underscore of another's is only used where a check looks for it."""
    named = {name.rpartition(".")[2] for _, part in PARTS for name in (part.where, *part.uses)}
    reaches = {(path, name) for path in sources() for name in foreign(path) if name not in named}
    assert not reaches, "name them in lanewise._compat"


def sources() -> list[Path]:
    return [*(ROOT / "src").rglob("*.py"), *(ROOT / "integrations").rglob("*.py")]


OF_THE_LANGUAGE = frozenset({"_is_coroutine", "_mapping", "_asdict", "_replace", "_fields"})
"""Python's own, up to 3.11 where it has no other name, and what is documented of SQLAlchemy's rows and of tuples."""


def foreign(path: Path) -> Iterator[str]:
    """The private names that a file uses of anything but itself, of its own objects and of this project's modules."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] not in OURS:
            yield from (alias.name for alias in node.names if private(alias.name))
        if isinstance(node, ast.Attribute) and private(node.attr) and node.attr not in own_names():
            yield node.attr


OURS = frozenset({"lanewise", "flask_lanewise", "starlette_lanewise", "litestar_lanewise", "__future__"})


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in OF_THE_LANGUAGE


_own: set[str] = set()


def own_names() -> set[str]:
    """What this project itself defines: functions, fields and attributes of `self`, but not what it overrides."""
    if not _own:
        for path in sources():
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    _own.add(node.name)
                elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                    _own.add(node.attr)
                elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                    _own.add(node.target.id)
                elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    _own.add(node.id)
        _own.difference_update(
            ("_prepare_url", "_prepare_request", "_get", "_create_connection", "_platform", "_closed")
        )
    return _own


def test_each_way_to_change_has_its_word() -> None:
    """Gone, called otherwise, or doing something else: a method of ours may then never be called."""
    part = Part("openai:OpenAI.copy", uses=("no_such_name",))
    assert part.change() == "openai:OpenAI.copy does nothing with 'no_such_name'"
    assert Part("openai:OpenAI.copy").change() is None
    assert Part("openai:OpenAI", takes=("no_such_name",)).change() == "openai:OpenAI takes no 'no_such_name'"
    assert Part("openai:NoSuchName").change() == "openai:NoSuchName is gone"
    assert Part("no_such_module:Name").change() == "no_such_module:Name is gone"
