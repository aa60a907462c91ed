"""The whole config: read from a file, from a mapping or from Python, refused with all its mistakes at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict

from lanewise.config.mistakes import ConfigError, Mistake, MistakeCollector, kind_of
from lanewise.config.reading.cross_checks import check_references
from lanewise.config.reading.sections import Sections, read_sections
from lanewise.config.reading.toml_file import read_toml
from lanewise.config.tables.budgets import Budget
from lanewise.config.tables.clients import Client
from lanewise.config.tables.providers import Provider
from lanewise.config.tables.router import RouterSettings
from lanewise.config.tables.routes import Route
from lanewise.config.tables.sensitive import SensitiveCategory
from lanewise.config.tables.tasks import Task

__all__ = ["Config"]

_NOT_YET: Final[Mapping[str, Callable[[RouterSettings], bool]]] = {
    "drill_header": lambda router: router.drill_header is not None,
}
"""What can be declared and is not carried out by this version: named when a router opens, never ignored silently."""


class Config(BaseModel):
    """What an app declares. Frozen; safe to print and to pickle: it has no key in it.

    Raises:
        ConfigError: with every mistake that was found, not only the first.

    Example::

        config = Config.from_file("lanewise.toml")
        config = Config(
            providers={"openai": Provider()},
            routes={"main": Route(provider="openai", model="gpt-5.5", timeout=20.0)},
            tasks={"chat": {"primary": "main"}},
        )
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    providers: dict[str, Provider]
    routes: dict[str, Route]
    tasks: dict[str, Task]
    sensitive: dict[str, SensitiveCategory] = {}
    endpoints: dict[str, str] = {}
    clients: dict[str, Client] = {}
    budgets: dict[str, Budget] = {}
    router: RouterSettings = RouterSettings()
    source: Path | None = None

    def __init__(
        self,
        *,
        providers: Mapping[str, Provider | Mapping[str, object]] | None = None,
        routes: Mapping[str, Route | Mapping[str, object]] | None = None,
        tasks: Mapping[str, Task | Mapping[str, object]] | None = None,
        sensitive: Mapping[str, SensitiveCategory | Mapping[str, object]] | None = None,
        endpoints: Mapping[str, str] | None = None,
        clients: Mapping[str, Client | Mapping[str, object]] | None = None,
        budgets: Mapping[str, Budget | Mapping[str, object]] | None = None,
        router: RouterSettings | Mapping[str, object] | None = None,
        source: Path | None = None,
    ) -> None:
        declared: dict[str, object] = {
            "providers": providers,
            "routes": routes,
            "tasks": tasks,
            "sensitive": sensitive,
            "endpoints": endpoints,
            "clients": clients,
            "budgets": budgets,
            "router": router,
        }
        self._fill(_checked(declared, MistakeCollector(), source, in_file=False), source)

    def _fill(self, sections: Sections, source: Path | None) -> None:
        super().__init__(
            providers=sections.providers,
            routes=sections.routes,
            tasks=sections.tasks,
            sensitive=sections.sensitive,
            endpoints=sections.endpoints,
            clients=sections.clients,
            budgets=sections.budgets,
            router=sections.router,
            source=source,
        )

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object], source: Path | None = None) -> Self:
        """Read a mapping that has the form of the TOML file. Durations may also be numbers of seconds.

        Raises:
            ConfigError: with every mistake that was found.
        """
        return cls._from(mapping, MistakeCollector(), source, in_file=False)

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read a TOML file.

        Raises:
            ConfigError: the file can't be read, is no TOML, or has mistakes; each is named with its line.
        """
        source = Path(path)
        mapping, lines = read_toml(source)
        return cls._from(mapping, MistakeCollector(lines), source, in_file=True)

    @classmethod
    def _from(
        cls, mapping: Mapping[str, object], findings: MistakeCollector, source: Path | None, *, in_file: bool
    ) -> Self:
        config = cls.__new__(cls)
        config._fill(_checked(mapping, findings, source, in_file=in_file), source)
        return config

    def not_yet(self) -> tuple[str, ...]:
        """The places of what is declared here and not carried out by this version.

        Example::

            print(*Config.from_file("lanewise.toml").not_yet())
        """
        return tuple(f"router.{key}" for key, declared in _NOT_YET.items() if declared(self.router))


def _checked(mapping: object, findings: MistakeCollector, source: Path | None, *, in_file: bool) -> Sections:
    name = None if source is None else str(source)
    if not isinstance(mapping, Mapping):
        raise ConfigError([Mistake("", f"a config is a table, not a {kind_of(mapping)}")], name)
    declared = {key: value for key, value in mapping.items() if value is not None}
    sections = read_sections(declared, findings, in_file=in_file)
    check_references(sections, findings)
    findings.raise_any(name)
    return sections
