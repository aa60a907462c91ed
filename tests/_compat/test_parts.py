"""What is used of libraries without their promise: a version that has changed it is refused at the start."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import CodeType

import openai
import pytest
from flask import Flask
from litestar import Litestar
from litestar.testing import TestClient as LitestarClient
from openai.resources.chat.completions import Completions
from packaging.version import Version
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from distribution.lowest import declared, lower_bound
from flask_lanewise import Lanewise
from lanewise import Config, ConfigError, Router
from lanewise._compat import CORE, GENAI_PRICES, LIBRARIES, REDIS, Library, Part
from lanewise._compat.openai_sdk import OPENAI_CREATE, OPENAI_REQUEST, creation_of, sdk_internals
from lanewise.config.environment.credentials import resolve_credentials
from litestar_lanewise import LanewisePlugin
from starlette_lanewise import LanewiseMiddleware, lifespan

ROOT = Path(__file__).parent.parent.parent
PARTS = [(library, part) for library in LIBRARIES.values() for part in library.there()]


def test_what_a_monitor_has_put_around_a_part_is_seen_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sentry's integration for Starlette replaces methods by functions that call them, without ``functools.wraps``."""
    part = Part("starlette.middleware:Middleware.__init__", uses=("cls", "args", "kwargs"))
    original = Middleware.__init__

    def around(self: Middleware, *given: object) -> None:
        original(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Middleware, "__init__", around)
    assert part.change() is None
    monkeypatch.setattr(Middleware, "__init__", lambda self: None)
    assert part.change() == "starlette.middleware:Middleware.__init__ does nothing with 'cls'"


def config(**router: object) -> Config:
    return Config.from_mapping(
        {
            "router": router,
            "providers": {"here": {"base_url": "http://127.0.0.1:9/v1"}},
            "routes": {"only": {"provider": "here", "model": "gpt-5.5"}},
            "tasks": {"chat": {"primary": ["only"]}},
        }
    )


def heirs() -> Iterator[type]:
    """The project's classes, pydantic's models left out."""
    for package in ("lanewise", "flask_lanewise", "starlette_lanewise", "litestar_lanewise"):
        path = importlib.import_module(package).__path__
        for module in pkgutil.walk_packages(path, f"{package}."):
            if module.name.endswith(("__main__", "demo.app")) or ".migrations" in module.name:
                continue  # programs, and scripts of alembic's
            if module.name.endswith(".http_protocol") and find_spec("httptools") is None:
                continue  # is made of it
            for cls in vars(importlib.import_module(module.name)).values():
                if inspect.isclass(cls) and cls.__module__ == module.name and not issubclass(cls, BaseModel):
                    yield cls


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


@pytest.mark.parametrize("part", OPENAI_REQUEST.parts, ids=lambda part: part.where)
def test_a_request_of_the_sdk_that_has_changed_is_left_to_the_sdk(part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer is made in its place, and nothing is refused for that."""
    assert OPENAI_REQUEST.changes() == []
    assert sdk_internals() is not None
    change(monkeypatch, part)
    assert sdk_internals() is None


@pytest.mark.parametrize("part", OPENAI_CREATE.parts, ids=lambda part: part.where)
def test_a_create_of_the_sdk_that_has_changed_is_left_to_the_sdk(part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its arguments are not taken in its place, and nothing is refused for that."""
    assert OPENAI_CREATE.changes() == []
    assert creation_of(Completions, openai.OpenAI) is not None
    change(monkeypatch, part)
    assert creation_of(Completions, openai.OpenAI) is None


USED_PARTS = [
    *(part for library in LIBRARIES.values() for part in library.parts),
    *OPENAI_REQUEST.parts,
    *OPENAI_CREATE.parts,
]
PLACES = {part.where for part in USED_PARTS}
USED = {name for part in USED_PARTS for name in part.uses}
NAMED = {place.rpartition(".")[2].rpartition(":")[2] for place in PLACES} | USED


def test_every_reach_into_a_library_is_named() -> None:
    """An underscore of another's is only used where a check looks for it."""
    reaches = {(path, name) for path in sources() for name in foreign(path) if name not in NAMED}
    assert not reaches, "name them in lanewise._compat"


def test_every_name_of_a_private_module_is_named() -> None:
    """What is imported from a module with an underscore may be gone with the next release."""
    reaches = {(path, name) for path in sources() for name in of_private_modules(path) if name not in PLACES}
    assert not reaches, "name them in lanewise._compat"


def test_every_private_name_that_a_class_shares_with_its_base_is_named() -> None:
    """A method of ours in a library's place, a field of the library's that is read or set; or a clash of names."""
    shared = {
        (cls, base, name)
        for cls in heirs()
        for base in cls.__mro__[1:]
        if not is_ours(base)
        for name in private_names(cls) & private_names(base) - NAMED
    }
    assert not shared, "name them in lanewise._compat"


def sources() -> list[Path]:
    return [*(ROOT / "src").rglob("*.py"), *(ROOT / "integrations").rglob("*.py")]


OF_THE_LANGUAGE = frozenset(
    {"_is_coroutine", "_get_running_loop", "_Decompress", "_asdict", "_replace", "_fields", "_abc_impl", "_is_protocol"}
)
"""Python's own: what it documents, what its types are called, and up to 3.11 what has no other name."""
OF_SQLALCHEMY = frozenset({"_mapping"})
"""Documented, of its rows."""
OF_THE_SDK = frozenset({"_request_id", "_response"})
"""What the SDK documents of its answers, and a field that is only looked for."""
BY_NAME = frozenset({"getattr", "hasattr", "setattr", "delattr"})


def foreign(path: Path) -> Iterator[str]:
    """The private names that a file uses of anything but itself, of its own objects and of this project's modules."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] not in OURS:
            yield from (alias.name for alias in node.names if private(alias.name))
        if isinstance(node, ast.Attribute) and private(node.attr) and node.attr not in own_names():
            yield node.attr
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BY_NAME:
            yield from (name for name in texts(node.args[1:2]) if name not in own_names() | OF_THE_SDK)
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).startswith(("vars(", "self.__dict__")):
            yield from (name for name in texts([node.slice]) if name not in own_names())


def texts(nodes: list[ast.expr]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and private(node.value):
            yield node.value


def of_private_modules(path: Path) -> Iterator[str]:
    """What a file imports from private modules of others, at run time."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and not node.level:
            parts = (node.module or "").split(".")
            if parts[0] not in OURS and parts[0] != "_typeshed" and any(private(part) for part in parts):
                yield from (f"{node.module}:{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                if parts[0] not in OURS and any(private(part) for part in parts):
                    yield alias.name


OURS = frozenset({"lanewise", "flask_lanewise", "starlette_lanewise", "litestar_lanewise", "__future__"})


def private(name: str) -> bool:
    return (
        name.startswith("_")
        and not name.startswith("__")
        and name.isidentifier()
        and name not in OF_THE_LANGUAGE | OF_SQLALCHEMY
    )


@cache
def own_names() -> frozenset[str]:
    """What this project itself defines: functions, classes, fields, and attributes of ``self``."""
    own = set()
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                own.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
                own.add(node.attr)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                own.add(node.target.id)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                own.add(node.id)
    return frozenset(own)


def is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def is_ours(cls: type) -> bool:
    top = cls.__module__.partition(".")[0]
    return top in OURS or top in sys.stdlib_module_names


def private_names(cls: type) -> set[str]:
    """What a class itself defines, and what the code of its functions names."""
    names = {name for name in vars(cls) if private(name)}
    for member in vars(cls).values():
        found = getattr(member, "__func__", getattr(member, "fget", member))
        if inspect.isfunction(found) and found.__module__ == cls.__module__:  # not what typing puts into a protocol
            names.update(name for name in names_in(inspect.unwrap(found).__code__) if private(name))
    return names


def names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)


def test_a_part_is_only_asked_of_versions_that_have_it() -> None:
    """What a later release brought is none of an older one."""
    gone = Part("openai:Gone", since="3.30")
    assert Library("openai", ("3", "4"), (gone,)).changes() == ["openai:Gone is gone"]
    assert Library("openai", ("3", "4"), (replace(gone, since="1000.0"),)).changes() == []


def test_each_way_to_change_has_its_word() -> None:
    """Gone, called otherwise, or doing something else: a method of ours may then never be called."""
    part = Part("openai:OpenAI.copy", uses=("no_such_name",))
    assert part.change() == "openai:OpenAI.copy does nothing with 'no_such_name'"
    assert Part("openai:OpenAI.copy").change() is None
    assert Part("openai:OpenAI", takes=("no_such_name",)).change() == "openai:OpenAI takes no 'no_such_name'"
    assert Part("openai:NoSuchName").change() == "openai:NoSuchName is gone"
    assert Part("no_such_module:Name").change() == "no_such_module:Name is gone"
