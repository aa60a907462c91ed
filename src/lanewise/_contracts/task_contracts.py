"""The contracts of tasks, made ready when a router opens: models imported, schemas read, functions found."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec
from pydantic import BaseModel, PydanticUserError, ValidationError

from lanewise._contracts.compiled_schema import path_text
from lanewise._contracts.contract import DeclaredContract, JsonRule
from lanewise._contracts.json_schema import BadSchema, Schema
from lanewise._contracts.references import ReferenceMissing, find_reference, load_reference
from lanewise.config import Config, Contract
from lanewise.config.mistakes import MistakeCollector, Place, quoted
from lanewise.config.tables.contracts import is_reference
from lanewise.types import Api

__all__ = ["load_contracts", "look_up_contracts"]

_FORMAT_NAME: Final = re.compile(r"[^A-Za-z0-9_-]+")
_SHOWN: Final = 3


def load_contracts(config: Config) -> dict[str, DeclaredContract]:
    """The contract of each task that has one.

    Raises:
        ConfigError: naming everything that can't be imported, read or compiled.

    Example::

        contracts = load_contracts(config)
        contracts["ticket-summary"].max_chars
    """
    contracts, findings = look_up_contracts(config)
    findings.raise_any(None if config.source is None else str(config.source))
    return contracts


def look_up_contracts(config: Config, *, run: bool = True) -> tuple[dict[str, DeclaredContract], MistakeCollector]:
    """The contracts that tasks declare, ready to be checked, and the mistakes in them, which are collected, not raised.

    Without ``run`` the app's modules are only looked for, and what they would give is missing in the contracts.
    """
    findings = MistakeCollector()
    loader = _Loader(Path() if config.source is None else config.source.parent, findings, run=run)
    found = {
        name: loader.declared(("tasks", name, "contract"), name, task.contract)
        for name, task in config.tasks.items()
        if task.contract is not None
    }
    return found, findings


class _Loader:
    def __init__(self, base: Path, findings: MistakeCollector, *, run: bool) -> None:
        self._base = base
        self._findings = findings
        self._run = run

    def declared(self, place: Place, task: str, contract: Contract) -> DeclaredContract:
        source = self._schema((*place, "schema"), contract.source)
        model = source if isinstance(source, type) else None
        try:
            named, schema, strict = _described(source, task)
        except (PydanticUserError, ValueError, TypeError):
            named, schema, strict = task, None, False
            self._findings.add((*place, "schema"), "the model can't be written as a JSON Schema", "See its fields.")
        rule = None if schema is None else self._rule((*place, "schema"), schema)
        return DeclaredContract(
            json=rule,
            formats={} if schema is None else _formats(named, schema, strict=strict),
            accepts=None if model is None or rule is None or rule.schema is None else _by_model(model, rule.schema),
            max_chars=contract.max_chars,
            must_match=None if contract.must_match is None else re.compile(contract.must_match),
            check=self._function((*place, "check"), contract.check),
            repair=contract.on_violation == "repair",
        )

    def _schema(
        self, place: Place, source: str | Mapping[str, object] | None
    ) -> type[BaseModel] | dict[str, object] | None:
        if source is None or isinstance(source, Mapping):
            return None if source is None else dict(source)
        try:
            if not is_reference(source):
                return _read(self._base / source)
            if not self._run:
                find_reference(source)
                return None
            found = load_reference(source)
            if isinstance(found, type) and issubclass(found, BaseModel):
                return found
            if isinstance(found, Mapping):
                return dict(found)
            raise ReferenceMissing(
                f"{quoted(source)} is no schema", "It must be a pydantic model or a dict with a JSON Schema."
            )
        except ReferenceMissing as error:
            self._findings.add(place, *error.args)
        return None

    def _rule(self, place: Place, schema: dict[str, object]) -> JsonRule | None:
        try:
            return JsonRule(Schema(schema, compiled=True))
        except BadSchema as error:
            self._findings.add(place, f"the schema can't be used: {error}")
        return None

    def _function(self, place: Place, source: str | None) -> Callable[[str], object] | None:
        if source is None:
            return None
        try:
            if not self._run:
                find_reference(source)
                return None
            found = load_reference(source)
            if callable(found) and not inspect.iscoroutinefunction(found):
                return found
            raise ReferenceMissing(
                f"{quoted(source)} is no plain function", "It takes the answer's text, and says whether it will do."
            )
        except ReferenceMissing as error:
            self._findings.add(place, *error.args)
        return None


def _read(path: Path) -> dict[str, object]:
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        problem = f"there is no file {quoted(str(path))}"
    except OSError as error:
        problem = f"the file {quoted(str(path))} can't be read ({error.strerror})"
    except (ValueError, RecursionError):
        problem = f"the file {quoted(str(path))} is no JSON"
    else:
        if isinstance(schema, dict):
            return schema
        problem = f"the file {quoted(str(path))} is no JSON Schema"
    raise ReferenceMissing(problem, 'Write the path of a JSON Schema, relative to the config, or "module:name".')


def _described(
    source: type[BaseModel] | dict[str, object] | None, task: str
) -> tuple[str, dict[str, object] | None, bool]:
    """A schema's name, the schema, and whether a provider can hold a model to it strictly."""
    if not isinstance(source, type):
        title = None if source is None else source.get("title")
        return _name(title if isinstance(title, str) and title else task), source, False
    import openai

    # What the SDK itself sends for a model: all fields required, none beside them.
    function = openai.pydantic_function_tool(source)["function"]
    return _name(source.__name__), dict(function.get("parameters", {})), True


def _name(text: str) -> str:
    return _FORMAT_NAME.sub("_", text)[:64]


def _formats(name: str, schema: dict[str, object], *, strict: bool) -> dict[Api, msgspec.Raw]:
    described = {"name": name, "schema": schema, **({"strict": True} if strict else {})}
    return {
        Api.CHAT: msgspec.Raw(msgspec.json.encode({"type": "json_schema", "json_schema": described})),
        Api.RESPONSES: msgspec.Raw(msgspec.json.encode({"type": "json_schema", **described})),
    }


def _by_model(model: type[BaseModel], schema: Schema) -> Callable[[str], str | None]:
    """What a model's own validators say of a text: the place and the kind of each mistake, and no value."""

    def breach(text: str) -> str | None:
        try:
            model.model_validate_json(text)
        except ValidationError as error:
            shown = error.errors(include_url=False, include_context=False, include_input=False)[:_SHOWN]
            return "; ".join(f"{path_text(mistake['loc'], schema.names)}: {mistake['type']}" for mistake in shown)
        except Exception as error:  # noqa: BLE001 - the model's validators are the app's
            return f"the model's validation raised {type(error).__name__}"
        return None

    return breach
