"""Writes the pages of ``docs/reference`` and ``docs/failures.md`` from the code: ``python docs/generate.py``."""

from __future__ import annotations

import enum
import inspect
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

DOCS: Final = Path(__file__).parent
EVERY_KEY: Final = DOCS / "every_key.toml"
"""A config that has each key once: the examples of the page of keys are its lines."""
MODULES: Final = {
    "lanewise": "The router, its scopes, the record of calls, and the errors.",
    "lanewise.config": "What a config is made of, for those who build one in Python.",
    "lanewise.testing": "A provider that fails on request, for an app's own tests.",
    "flask_lanewise": "The Flask extension. Extra `flask`.",
    "starlette_lanewise": "The Starlette middleware. Extra `starlette`.",
    "starlette_lanewise.fastapi": "The same for FastAPI, and its dependencies. Extra `fastapi`.",
    "litestar_lanewise": "The Litestar plugin. Extra `litestar`.",
    "lanewise.web": "What adapters are built from, for a framework of your own; the filter of log records.",
}
NOTE: Final = "<!-- Written from the code by `make docs`. Change the code, not this page. -->\n"


# -- config keys -------------------------------------------------------------------------------------------------


def config_page() -> str:
    """Each key of the TOML file: what it is, its type, its default, an example."""
    from lanewise.config.schema import toml_schema

    schema: Any = toml_schema()
    parts = [
        NOTE,
        "# Config keys\n",
        "Each key of `lanewise.toml`. `lanewise check` tells every mistake in a file at once; `lanewise config-schema` "
        'prints the same as JSON Schema, for completion in editors. Durations are `"800ms"`, `"12s"`, `"5m"`, '
        '`"1h"` or `"90d"`; paths are relative to the file.\n',
    ]
    example = tomllib.loads(EVERY_KEY.read_text())
    for name, table in schema["properties"].items():
        inner = table.get("additionalProperties")
        if isinstance(inner, dict) and "properties" in inner:
            label = name.removesuffix("s") if name != "sensitive" else "category"
            example_of = next(iter(example.get(name, {}).values()), {})
            merged: dict[str, object] = {}
            for one in example.get(name, {}).values():
                merged = {**one, **merged} if isinstance(one, dict) else merged
            parts += _table(
                f"{name}.{label.upper()}", inner, merged or example_of, schema, table.get("description", "")
            )
        else:
            parts += _table(name, table, example.get(name, {}), schema, table.get("description", ""))
    return "\n".join(parts)


def _table(path: str, table: Any, example: Any, schema: Any, about: str) -> Iterator[str]:
    yield f"## `[{path}]`\n"
    if about:
        yield about + "\n"
    properties = table.get("properties")
    if properties is None:
        yield f"{_kind(table, schema)}. For example:\n"
        yield "```toml\n" + "\n".join(_lines(path, example)) + "\n```\n"
        return
    deeper = []
    required = set(table.get("required", ()))
    for key, value in properties.items():
        target = _target(value)
        yield f"### `{path}.{key}`\n"
        words = [value.get("description", "").strip()]
        facts = [_kind(value, schema)]
        if key in required:
            facts.append("required")
        if "default" in value:
            facts.append(f"default `{json.dumps(value['default'])}`")
        yield " ".join(word for word in words if word) + "\n"
        yield "*" + "; ".join(facts) + "*\n"
        if isinstance(example, dict) and key in example:
            yield "```toml\n" + f"{key} = {_toml(example[key])}" + "\n```\n"
        if target is not None:
            deeper.append((f"{path}.{key}", target, example.get(key, {}) if isinstance(example, dict) else {}, value))
    for name, inner, inner_example, value in deeper:
        sample = inner_example[0] if isinstance(inner_example, list) and inner_example else inner_example
        yield from _table(name, inner, sample if isinstance(sample, dict) else {}, schema, value.get("description", ""))


def _target(value: Any) -> Any | None:
    """The table within a key's value, if it may be one."""
    if "properties" in value:
        return value
    for one in (*value.get("anyOf", ()), *value.get("oneOf", ())):
        if "properties" in one:
            return one
    items = value.get("items")
    return _target(items) if isinstance(items, dict) else None


def _kind(value: Any, schema: Any) -> str:
    if "$ref" in value:
        name = value["$ref"].rsplit("/", 1)[1]
        return {"duration": "a duration", "failure": "a failure", "lane": "a route, a list of routes, or a table"}.get(
            name, name
        )
    if "enum" in value:
        return "one of " + ", ".join(f"`{json.dumps(one)}`" for one in value["enum"])
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    for several in ("anyOf", "oneOf"):
        if several in value:
            kinds = list(dict.fromkeys(_kind(one, schema) for one in value[several]))
            return ", or ".join(kinds)
    kind = value.get("type", "anything")
    if kind == "array":
        return f"a list: {_kind(value.get('items', {}), schema)}"
    if kind == "object":
        if "properties" in value:
            return "a table"
        inner = value.get("additionalProperties")
        return f"a table of {_kind(inner, schema)}" if isinstance(inner, dict) else "a table"
    return {"string": "text", "boolean": "true or false", "integer": "a whole number", "number": "a number"}.get(
        kind, str(kind)
    )


def _lines(path: str, example: Any) -> Iterator[str]:
    yield f"[{path}]"
    yield from (f"{json.dumps(key)} = {_toml(value)}" for key, value in example.items())


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return json.dumps(value)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)


# -- names in Python ---------------------------------------------------------------------------------------------


def python_page() -> str:
    """Each public name: signature and docstring."""
    parts = [NOTE, "# Python names\n"]
    for module, about in MODULES.items():
        parts += [f"## `{module}`\n", about + "\n", "```{eval-rst}"]
        found = import_module(module)

        for name in found.__all__:
            parts += _documented(module, name, getattr(found, name))
        parts.append("```\n")
    return "\n".join(part for part in parts if part is not None)


def _documented(module: str, name: str, value: object) -> Iterator[str]:
    if isinstance(value, enum.EnumType):
        yield f".. py:class:: {module}.{name}\n"
        yield _indented(inspect.getdoc(value) if "__doc__" in vars(value) else None)
        yield "   Its members: " + ", ".join(f"``{one.name}`` (``{one.value!r}``)" for one in value) + ".\n"
    elif isinstance(value, type):
        yield f".. py:class:: {module}.{name}{_signature(value)}\n"
        yield _indented(inspect.getdoc(value) if "__doc__" in vars(value) else None)
        for member in sorted(vars(value)):
            if not member.startswith("_"):
                yield from _member(value, member)
    elif inspect.isroutine(value):
        yield f".. py:function:: {module}.{name}{_signature(value)}\n"
        yield _indented(inspect.getdoc(value))
    else:
        yield f".. py:data:: {module}.{name}\n"
        yield _indented(None if isinstance(value, str | int | float | tuple | frozenset) else _doc_of(value))


def _doc_of(value: object) -> str | None:
    doc = inspect.getdoc(value)
    return doc if doc != inspect.getdoc(type(value)) else None


def _member(cls: type, name: str) -> Iterator[str]:
    value = inspect.getattr_static(cls, name)
    if isinstance(value, property):
        yield f"   .. py:property:: {name}\n"
        yield _indented(inspect.getdoc(value), 6)
    elif isinstance(value, classmethod | staticmethod):
        kind = "classmethod" if isinstance(value, classmethod) else "staticmethod"
        signature = _signature(value.__func__, bound=kind == "classmethod")
        yield f"   .. py:method:: {name}{signature}\n      :{kind}:\n"
        yield _indented(inspect.getdoc(value.__func__), 6)
    elif inspect.isfunction(value):
        kind = "      :async:\n" if inspect.iscoroutinefunction(value) else ""
        yield f"   .. py:method:: {name}{_signature(value, bound=True)}\n{kind}"
        yield _indented(inspect.getdoc(value), 6)


def _signature(value: Any, *, bound: bool = False) -> str:
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return "()"
    parameters = list(signature.parameters.values())[1 if bound else 0 :]
    plain = [one.replace(annotation=inspect.Parameter.empty, default=_default(one.default)) for one in parameters]
    return str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))


class _Shown:
    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _default(value: object) -> object:
    if value is inspect.Parameter.empty or isinstance(value, str | int | float | bool | type(None)) or value == ():
        return value
    return _Shown("...")


def _indented(text: str | None, by: int = 3) -> str:
    return "".join(f"{' ' * by}{line}".rstrip() + "\n" for line in (text or "").splitlines())


# -- commands ----------------------------------------------------------------------------------------------------


def command_page() -> str:
    """Each command with its help, as the terminal shows it."""
    from lanewise.cli import main

    parts = [
        NOTE,
        "# Commands\n",
        "Exit codes: 0, all is well; 1, what was looked at is not (a mistake in the config, a call that nobody knows); "
        "2, the command itself was wrong.\n",
    ]
    for path, text in _commands(main, "lanewise"):
        parts += [f"## `{path}`\n", "```text", text, "```\n"]
    return "\n".join(parts)


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, str]]:
    settings: dict[str, Any] = {**command.context_settings, "max_content_width": 100, "terminal_width": 100}
    yield from _helps(command, click.Context(command, info_name=path, **settings))


def _helps(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in sorted(command.list_commands(context)):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _helps(inner, click.Context(inner, info_name=name, parent=context))


# -- what is on the wire and in the records ----------------------------------------------------------------------


def wire_page() -> str:
    """Headers, problem types, metrics, spans, log fields, columns of the ledger."""
    from lanewise._ledger.schema.tables import metadata
    from lanewise.web import problems

    told = _texts("wire.toml")
    parts = [NOTE, "# Headers, problems, metrics, log lines, columns\n", "## Headers\n"]
    parts += ["| header | where | what it says |", "|---|---|---|"]
    parts += [f"| `{name}` | {text['where']} | {text['what']} |" for name, text in told["headers"].items()]
    parts += ["\n## Problem types\n", "What the app's caller gets, as `application/problem+json` (RFC 9457).\n"]
    parts += ["| type | status | title | when |", "|---|---|---|---|"]
    for name, (status, title) in sorted(_problem_types(problems).items()):
        parts.append(f"| `urn:lanewise:problem:{name}` | {status} | {title} | {told['problems'][name]} |")
    parts += [
        "\nMembers besides: `request_id`, `call_id` (for `lanewise explain`), `parameter` where one is to blame, "
    ]
    parts += ["`review_id` where a case was opened.\n", "## Metrics of Prometheus\n"]
    parts += ["| name | labels | what it measures |", "|---|---|---|", *_prometheus()]
    parts += ["\n## Spans and attributes of OpenTelemetry\n"]
    parts += [f"- `{name}`" for name in _otel()]
    parts += [
        "\n## Log lines\n",
        "Of the logger `lanewise`; `%s` is filled in. Fields of `extra=` are in the last column.\n",
    ]
    parts += ["| level | line | what to do |", "|---|---|---|"]
    parts += [f"| {one['level']} | `{one['line']}` | {one['do']} |" for one in told["lines"]]
    parts += ["\n## Columns of the ledger\n"]
    for table in metadata.sorted_tables:
        parts += [f"### `{table.name}`\n", ", ".join(f"`{column.name}`" for column in table.columns) + "\n"]
    return "\n".join(parts)


def _texts(name: str) -> dict[str, Any]:
    return tomllib.loads((DOCS / name).read_text())


def _problem_types(problems: Any) -> Mapping[str, tuple[int, str]]:
    source = inspect.getsource(problems)
    found = re.findall(r'\((\d{3}), "([^"]+)", "([a-z-]+)"\)', source)
    return {name: (int(status), title) for status, title, name in found}


def _prometheus() -> Iterator[str]:
    from prometheus_client import CollectorRegistry

    from lanewise._telemetry.prometheus import PrometheusSink

    registry = CollectorRegistry()
    sink = PrometheusSink(registry)
    metrics = vars(sink._of)
    for metric in metrics.values():
        (family,) = metric.describe()
        labels = ", ".join(f"`{label}`" for label in metric._labelnames)
        name = family.name + ("_total" if family.type == "counter" else "")
        yield f"| `{name}` ({family.type}) | {labels} | {family.documentation} |"


def _otel() -> Iterator[str]:
    from lanewise._telemetry import semconv

    for value in vars(semconv).values():
        if isinstance(value, str) and value.startswith(("gen_ai.", "lanewise.", "server.", "http.", "error.")):
            yield value + ("NAME" if value.endswith(".") else "")


def failures_page() -> str:
    """The table of failures, as the code has it."""
    from lanewise._failures import failure_page

    return failure_page.document()


PAGES: Final[dict[str, Callable[[], str]]] = {
    "reference/config.md": config_page,
    "reference/python.md": python_page,
    "reference/commands.md": command_page,
    "reference/wire.md": wire_page,
}


if __name__ == "__main__":
    for path, write in PAGES.items():
        (DOCS / path).write_text(write().rstrip() + "\n")
