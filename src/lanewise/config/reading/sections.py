"""A mapping in the form of the TOML file, section by section: the tables that could be read, and every mistake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lanewise.config.mistakes import MistakeCollector, Place, kind_of, nearest, place_text, quoted
from lanewise.config.reading.validation_errors import place_within, problem_and_fix
from lanewise.config.tables.budgets import Budget
from lanewise.config.tables.clients import Client
from lanewise.config.tables.lanes import Lane
from lanewise.config.tables.providers import Provider
from lanewise.config.tables.router import RouterSettings
from lanewise.config.tables.routes import Route
from lanewise.config.tables.sensitive import SensitiveCategory
from lanewise.config.tables.tasks import Task
from lanewise.config.values.scalars import NAME
from lanewise.types import LaneName

__all__ = ["SECTIONS", "Sections", "read_sections"]

SECTIONS = ("router", "providers", "routes", "tasks", "sensitive", "endpoints", "clients", "budgets")

_Model = TypeVar("_Model", bound=BaseModel)

_LANES = frozenset(LaneName)
# What stands for a required value that is missing or wrong, so that the rest of its table is still looked at.
# No config has a placeholder in it: wherever one is used there is a mistake, and mistakes raise.
_PLACEHOLDERS: Mapping[type[BaseModel], Mapping[str, object]] = {
    Route: {"provider": "?", "model": "?"},
    Task: {"primary": Lane.model_construct(name=LaneName.PRIMARY, entries=())},
    SensitiveCategory: {"routes": ()},
    Budget: {"limit": "1 call", "window": 1.0},
}
PLACEHOLDER_PROVIDER = "?"


@dataclass(slots=True)
class Sections:
    """The parts of a config that could be read. ``declared`` also has the names of what could not."""

    providers: dict[str, Provider] = field(default_factory=dict)
    routes: dict[str, Route] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    sensitive: dict[str, SensitiveCategory] = field(default_factory=dict)
    endpoints: dict[str, str] = field(default_factory=dict)
    clients: dict[str, Client] = field(default_factory=dict)
    budgets: dict[str, Budget] = field(default_factory=dict)
    router: RouterSettings = field(default_factory=lambda: RouterSettings())
    declared: dict[str, frozenset[str]] = field(default_factory=dict)


def read_sections(mapping: Mapping[str, object], findings: MistakeCollector, *, in_file: bool) -> Sections:
    """Read what has the form of a TOML file; note each mistake in ``findings``."""
    reader = _Reader(findings, in_file=in_file)
    for key in mapping:
        if key not in SECTIONS:
            findings.add((str(key),), f"no section is called {quoted(key)}", nearest(key, SECTIONS))
    sections = Sections(
        providers=reader.named("providers", Provider, mapping),
        routes=reader.named("routes", Route, mapping),
        tasks=reader.named("tasks", Task, mapping),
        sensitive=reader.named("sensitive", SensitiveCategory, mapping),
        endpoints=reader.endpoints(mapping.get("endpoints")),
        clients=reader.named("clients", Client, mapping),
        budgets=reader.named("budgets", Budget, mapping),
    )
    settings = mapping.get("router")
    if settings is not None:
        sections.router = reader.one(RouterSettings, settings, ("router",)) or RouterSettings()
    sections.declared = reader.declared
    return sections


class _Reader:
    def __init__(self, findings: MistakeCollector, *, in_file: bool) -> None:
        self.findings = findings
        self.context = {"file": in_file}
        self.declared: dict[str, frozenset[str]] = {}

    def named(self, section: str, model: type[_Model], mapping: Mapping[str, object]) -> dict[str, _Model]:
        """A section of tables by name."""
        table = mapping.get(section, {})
        self.declared[section] = frozenset()
        if not isinstance(table, Mapping):
            problem = f"[{section}] must be a table, not {quoted(table)}"
            self.findings.add((section,), problem, f"Write [{section}.NAME].")
            return {}
        read: dict[str, _Model] = {}
        for name, value in table.items():
            if not self._name_is_fine(section, name):
                continue
            self.declared[section] |= {name}
            if (entry := self.one(model, value, (section, name))) is not None:
                read[name] = entry
        return read

    def _name_is_fine(self, section: str, name: object) -> bool:
        if isinstance(name, str) and NAME.fullmatch(name):
            return True
        place = (section, name if isinstance(name, str) else str(kind_of(name)))
        self.findings.add(
            place, f"{quoted(name)} can't be a name", "Up to 64 letters, digits and any of . _ : / - make a name."
        )
        return False

    def endpoints(self, table: object) -> dict[str, str]:
        """The path patterns, each with its category."""
        if table is None:
            return {}
        if not isinstance(table, Mapping):
            self.findings.add(("endpoints",), f"[endpoints] must be a table, not {quoted(table)}")
            return {}
        read: dict[str, str] = {}
        for pattern, category in table.items():
            place = ("endpoints", pattern if isinstance(pattern, str) else kind_of(pattern))
            if not isinstance(pattern, str) or not pattern.startswith("/"):
                self.findings.add(place, f"the path {quoted(pattern)} does not start with /", 'Write "/payments/*".')
            elif any(sign in pattern for sign in "{}<>"):
                problem = f"the path {quoted(pattern)} has a parameter of a framework in it, which would match nothing"
                self.findings.add(place, problem, 'A * stands for anything: "/payments/*/refund".')
            if not isinstance(category, str):
                self.findings.add(place, "a path needs the name of a sensitive category", '"/payments/*" = "payment"')
            elif isinstance(pattern, str):
                read[pattern] = category
        return read

    def one(self, model: type[_Model], value: object, place: Place) -> _Model | None:
        """One table; if it has mistakes, its other keys, so that they are checked too."""
        name = place[-1]
        has_name = "name" in model.model_fields
        if isinstance(value, model):
            return self._renamed(value, str(name))
        if not isinstance(value, Mapping):
            self.findings.add(
                place, f"a table belongs here, not {quoted(value)}", f"Begin it with [{place_text(place)}]."
            )
            return None
        data = dict(value)
        if has_name:
            if data.get("name", name) != name:
                self.findings.add((*place, "name"), "the name is already given by the table", "Leave `name` out.")
            data["name"] = name
        try:
            return model.model_validate(data, context=self.context)
        except ValidationError as error:
            details = error.errors(include_url=False)
        for detail in details:
            self._note(model, place, detail)
        return self._salvage(model, data, {detail["loc"][0] for detail in details if detail["loc"]})

    def _renamed(self, value: _Model, name: str) -> _Model:
        if isinstance(value, Provider):
            return value.named(name)
        return value.model_copy(update={"name": name}) if "name" in type(value).model_fields else value

    def _salvage(self, model: type[_Model], data: Mapping[str, object], bad: set[int | str]) -> _Model | None:
        rest = {**_PLACEHOLDERS.get(model, {}), **{key: value for key, value in data.items() if key not in bad}}
        if model is Task:
            rest.update({str(key): lane for key in bad & _LANES if (lane := _routes_alone(str(key), data)) is not None})
        try:
            return model.model_validate(rest, context=self.context)
        except ValidationError:
            return None

    def _note(self, model: type[BaseModel], place: Place, detail: ErrorDetails) -> None:
        if detail["type"] == "too_short" and detail["input"]:
            return  # each of its items has a mistake of its own, so that none is left
        problem, fix = problem_and_fix(model, detail)
        self.findings.add((*place, *place_within(model, detail["loc"])), problem, fix)


def _routes_alone(key: str, task: Mapping[str, object]) -> Lane | None:
    """The routes of a lane that has mistakes, so that their names are checked too."""
    try:
        lane = Task.model_validate({"primary": _without_on(task.get(key))}).primary
    except ValidationError:
        return None
    return lane.model_copy(update={"name": LaneName(key)})


def _without_on(lane: object) -> object:
    if isinstance(lane, Mapping):
        return _without_on(lane.get("routes", lane.get("route")))
    if isinstance(lane, list | tuple):
        return [item.get("route") if isinstance(item, Mapping) else item for item in lane]
    return lane
