"""Reads the public surface off the code: names, signatures, config keys, commands, stored and sent names.

``python -m tests.public_surface`` writes it to ``public_surface.json``.
"""

from __future__ import annotations

import ast
import enum
import inspect
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner

ROOT = Path(__file__).parent.parent
SNAPSHOT = Path(__file__).parent / "public_surface.json"
MODULES = (
    "lanewise",
    "lanewise.config",
    "lanewise.testing",
    "lanewise.web",
    "flask_lanewise",
    "starlette_lanewise",
    "starlette_lanewise.fastapi",
    "litestar_lanewise",
)
COMMANDS = (
    ["--version"],
    ["--help"],
    ["unknown"],
    ["check", "GOOD"],
    ["check", "BAD"],
    ["check", "MISSING"],
    ["routes", "GOOD"],
    ["routes", "BAD"],
    ["config-schema"],
    ["init", "GOOD"],
    ["init", "NEW"],
    ["health", "--config", "GOOD"],
    ["report", "GOOD"],
    ["report", "--unknown"],
    ["explain", "nobody", "GOOD"],
    ["reviews", "--config", "GOOD", "list"],
    ["ledger", "status", "GOOD"],
    ["ledger", "upgrade", "GOOD"],
    ["endpoints", "nowhere:app"],
    ["estimate", "MISSING"],
)
GOOD = """
[providers.openai]
base_url = "http://127.0.0.1:9/v1"
[routes.flagship]
provider = "openai"
model = "gpt-5.5"
[tasks.chat]
primary = "flagship"
"""
BAD = GOOD + "fallback = 'nowhere'\n"


def surface_of(module: str) -> dict[str, object]:
    """Each public name of a module, and what can be seen of it."""
    found = import_module(module)
    return {name: _seen(getattr(found, name)) for name in sorted(found.__all__)}


def _seen(value: object) -> object:
    if isinstance(value, type):
        return _class(value)
    if inspect.isroutine(value):
        return _signature(value)
    if isinstance(value, bool | int | float | str) and "." not in str(value):
        return value
    return type(value).__name__


def _class(cls: type) -> dict[str, object]:
    if issubclass(cls, enum.Enum):
        return {member.name: member.value for member in cls}
    bases = [base.__name__ for base in cls.__mro__[1:-1] if not base.__name__.startswith("_")]
    members = {name: _member(cls, name) for name in dir(cls) if not name.startswith("_") and _is_ours(cls, name)}
    fields = {name: None for base in reversed(cls.__mro__) for name in _annotations(base) if not name.startswith("_")}
    init = _signature(cls) if "__init__" in {n for b in cls.__mro__ for n in vars(b) if _from_here(b)} else None
    return {"bases": bases, "call": init, "members": members, "fields": sorted(fields)}


def _from_here(cls: type) -> bool:
    return "lanewise" in cls.__module__


def _is_ours(cls: type, name: str) -> bool:
    return any(name in vars(base) and _from_here(base) for base in cls.__mro__)


def _annotations(cls: type) -> dict[str, object]:
    return vars(cls).get("__annotations__", {}) if _from_here(cls) else {}


def _member(cls: type, name: str) -> object:
    value = inspect.getattr_static(cls, name)
    if isinstance(value, staticmethod | classmethod):
        return _signature(value.__func__)
    if inspect.isfunction(value):
        return _signature(value)
    return "property" if isinstance(value, property) else "value"


def _signature(function: Any) -> list[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [_parameter(parameter) for parameter in parameters]


def _parameter(parameter: inspect.Parameter) -> str:
    prefix = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    only = " (keyword)" if parameter.kind is inspect.Parameter.KEYWORD_ONLY else ""
    if parameter.default is inspect.Parameter.empty:
        return f"{prefix}{parameter.name}{only}"
    plain = isinstance(parameter.default, str | int | float | bool | tuple | None)
    default = repr(parameter.default) if plain else type(parameter.default).__name__
    return f"{prefix}{parameter.name}={default}{only}"


def config_keys() -> dict[str, object]:
    """Each TOML key by its path, with its default."""
    from lanewise.config.schema import toml_schema

    return dict(sorted(_keys(toml_schema(), "")))


def _keys(schema: Any, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(schema, list):
        for one in schema:
            yield from _keys(one, path)
        return
    if not isinstance(schema, dict):
        return
    for name, value in schema.items():
        if name == "properties":
            for key, inner in value.items():
                here = f"{path}.{key}".lstrip(".")
                yield here, inner.get("default") if isinstance(inner, dict) else None
                yield from _keys(inner, here)
        elif name == "additionalProperties" and isinstance(value, dict):
            yield from _keys(value, f"{path}.*")
        elif name in ("anyOf", "oneOf", "allOf", "items"):
            yield from _keys(value, path)


def commands() -> dict[str, object]:
    """Each command with its arguments and options."""
    from lanewise.cli import main

    return dict(_commands(main, "lanewise"))


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, object]]:
    yield (
        path,
        {
            str(parameter.name): [*parameter.opts, *parameter.secondary_opts, parameter.param_type_name]
            for parameter in command.params
        },
    )
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in sorted(command.list_commands(context)):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _commands(inner, f"{path} {name}")


def exit_codes() -> dict[str, int]:
    """What commands exit with: good, bad and missing files, unknown words."""
    from lanewise.cli import main

    with tempfile.TemporaryDirectory() as directory:
        places = {name: str(Path(directory) / f"{name.lower()}.toml") for name in ("GOOD", "BAD", "MISSING", "NEW")}
        Path(places["GOOD"]).write_text(GOOD)
        Path(places["BAD"]).write_text(BAD)
        return {
            " ".join(words): CliRunner().invoke(main, [places.get(word, word) for word in words]).exit_code
            for words in COMMANDS
        }


def _sources() -> Iterator[ast.Module]:
    for root in ("src", "integrations"):
        for path in sorted((ROOT / root).rglob("*.py")):
            yield ast.parse(path.read_text())


def _constants(pattern: str) -> list[str]:
    """What matches in string constants that aren't docstrings, parts of f-strings included."""
    found: set[str] = set()
    for tree in _sources():
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
                found.update(re.findall(pattern, node.value))
    return sorted(found)


def metrics_and_spans() -> list[str]:
    """The names of metrics, spans and their attributes, and other dotted names of ours that aren't modules."""
    modules = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        for root in (ROOT / "src", ROOT / "integrations")
        for path in root.rglob("*.py")
    }
    names = _constants(r"^(?:lanewise[._][a-z_.]+|gen_ai\.[a-z_.]+)$")
    return [name for name in names if name not in modules]


def log_fields() -> list[str]:
    """The ``extra=`` names of log lines: given where a line is written, or told to the log of calls."""
    found: set[str] = set()
    for tree in _sources():
        nodes = list(ast.walk(tree))
        dicts = [node.value for node in nodes if isinstance(node, ast.keyword) and node.arg == "extra"]
        if any(isinstance(node, ast.ClassDef) and node.name in ("Log", "LaneReports") for node in nodes):
            dicts += [node for node in nodes if isinstance(node, ast.Dict)]
        for given in dicts:
            if isinstance(given, ast.Dict):
                found |= {
                    key.value for key in given.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)
                }
    return sorted(found)


def ledger_columns() -> dict[str, list[str]]:
    """The ledger's tables and their columns."""
    from lanewise._ledger.schema.tables import metadata

    return {table.name: [column.name for column in table.columns] for table in metadata.sorted_tables}


SURFACE: dict[str, Callable[[], object]] = {
    **{module: lambda module=module: surface_of(module) for module in MODULES},
    "config": config_keys,
    "commands": commands,
    "exit codes": exit_codes,
    "headers": lambda: _constants(r"^x-lanewise-[a-z-]+$"),
    "urns": lambda: _constants(r"urn:lanewise:[a-z:-]*"),
    "metrics and spans": metrics_and_spans,
    "log fields": log_fields,
    "ledger": ledger_columns,
}

if __name__ == "__main__":
    written = {part: read() for part, read in sorted(SURFACE.items())}
    SNAPSHOT.write_text(json.dumps(written, indent=1, sort_keys=True) + "\n")
