"""The endpoints of an app with their marks: checked at start-up, listed on request, asserted in an app's tests."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from lanewise.config import Config, ConfigError, Mistake
from lanewise.web.marks.mark_search import STANDARD, Marks, lost_marks
from lanewise.web.marks.path_rules import PathRules, may_match

__all__ = [
    "Endpoint",
    "Source",
    "all_categories",
    "assert_declared",
    "check_endpoints",
    "endpoint_table",
    "endpoints_listed",
    "lost_mark",
    "rules_that_match_none",
    "sources_of",
    "sources_of_marks",
    "unmatched_rules",
    "warn_of_unmatched",
]

_log: Final = logging.getLogger("lanewise")


class Source(msgspec.Struct, frozen=True):
    """One mark that holds for an endpoint, and where it comes from: ``@sensitive``, ``blueprint payments``, ...

    ``looked_up``: it is only found on the endpoint, and nothing raises the sensitivity when the endpoint runs.
    """

    category: str
    origin: str
    hidden: bool = False
    looked_up: bool = False


class Endpoint(msgspec.Struct, frozen=True):
    """An endpoint as an adapter found it. ``unresolved`` is the reason why its marks can't be read, if they can't.

    ``is_routed``: its signature asks for a routed client or the scope, so that it may answer as calls do that fail.
    """

    name: str
    path: str
    methods: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    unresolved: str | None = None
    is_routed: bool = False

    def with_rules(self, config: Config) -> Endpoint:
        """The endpoint with the path rules of ``[endpoints]`` that hold for it."""
        found = tuple(
            Source(category, f'path rule "{pattern}"')
            for pattern, category in config.endpoints.items()
            if PathRules({pattern: category}).match(self.path)
        )
        return msgspec.structs.replace(self, sources=(*self.sources, *found))

    @property
    def categories(self) -> frozenset[str]:
        """The sensitive categories that add up here."""
        return frozenset(source.category for source in self.sources) - {STANDARD}

    @property
    def declared(self) -> bool:
        """Whether anything says what the endpoint is."""
        return bool(self.sources)

    def label(self) -> str:
        """How messages name it."""
        return f"{' '.join(self.methods)} {self.path} ({self.name})".strip()


def sources_of(categories: Iterable[str], origin: str = "", *, hidden: bool = False) -> tuple[Source, ...]:
    """Each category as a mark from one origin: from a decorator, if none is given."""
    return tuple(
        Source(category, origin or ("@standard" if category == STANDARD else "@sensitive"), hidden)
        for category in sorted(categories)
    )


def sources_of_marks(marks: Marks, origin: str = "") -> tuple[Source, ...]:
    """The marks on an endpoint, hidden ones included."""
    return (*sources_of(marks.visible, origin), *sources_of(marks.hidden, origin, hidden=True))


def lost_mark(endpoint: object, sources: Iterable[Source], *methods: str | None) -> str | None:
    """Which mark stands above an endpoint and did not find its way down to it, if one does."""
    lost = lost_marks(endpoint, *methods)
    if lost:
        lost -= {source.category for source in sources}
    if not lost:
        return None
    return f"sensitive({min(lost)!r}) stands above it, and what lies between hides the function from the mark"


def all_categories(endpoints: Iterable[Endpoint]) -> frozenset[str]:
    """The sensitive categories of all the endpoints."""
    return frozenset[str]().union(*(endpoint.categories for endpoint in endpoints))


def check_endpoints(endpoints: Iterable[Endpoint], config: Config) -> None:
    """Refuse to start with marks that can't hold.

    Raises ConfigError, naming every endpoint with an unknown category, a mark that a decorator hides, marks that can't
    be read, or categories that leave no route.
    """
    mistakes = [mistake for endpoint in endpoints for mistake in _mistakes(endpoint.with_rules(config), config)]
    if mistakes:
        raise ConfigError(mistakes)


def _mistakes(endpoint: Endpoint, config: Config) -> list[Mistake]:
    place = f"endpoint {endpoint.label()}"
    found = []
    if endpoint.unresolved is not None:
        fix = "Mark the endpoint's own function with @sensitive or @standard."
        found.append(Mistake(place, endpoint.unresolved, fix))
    fix = "Put @sensitive above that decorator, or give the decorator functools.wraps."
    found += [
        Mistake(place, f"a decorator hides its mark {source.category!r}", fix)
        for source in endpoint.sources
        if source.hidden
    ]
    known = config.sensitive
    unknown = sorted(endpoint.categories - known.keys())
    found += [
        Mistake(place, f"unknown sensitive category {name!r}", f"The config has: {', '.join(known) or 'none'}.")
        for name in unknown
    ]
    if endpoint.categories and not unknown:
        approved = frozenset.intersection(*(frozenset(known[name].routes) for name in endpoint.categories))
        if not approved:
            names = ", ".join(sorted(endpoint.categories))
            found.append(Mistake(place, f"no route is approved for {names} together", "Give them a route in common."))
    return found


def unmatched_rules(endpoints: Sequence[Endpoint], config: Config) -> list[str]:
    """The patterns of ``[endpoints]`` that no endpoint can be under: misspelled, or left behind."""
    return [
        pattern for pattern in config.endpoints if not any(may_match(pattern, endpoint.path) for endpoint in endpoints)
    ]


def warn_of_unmatched(endpoints: Sequence[Endpoint], config: Config) -> None:
    """Say in the log which patterns of ``[endpoints]`` no endpoint can be under."""
    for pattern in unmatched_rules(endpoints, config):
        _log.warning('[endpoints] "%s" = "%s" matches no endpoint', pattern, config.endpoints[pattern])


def assert_declared(endpoints: Iterable[Endpoint], config: Config) -> None:
    """For the app's own tests: every endpoint says whether it is sensitive.

    Raises AssertionError that lists those that don't.
    """
    missing = [endpoint.label() for endpoint in endpoints if not endpoint.with_rules(config).declared]
    if missing:
        listed = "\n  ".join(missing)
        raise AssertionError(
            f"{len(missing)} endpoints don't say whether they are sensitive; mark them with @sensitive(...) or "
            f"@standard, or by a path under [endpoints]:\n  {listed}"
        )


def endpoint_table(endpoints: Sequence[Endpoint], config: Config) -> str:
    """A table of all endpoints, with their sensitivity and where it comes from.

    Example::

        print(endpoint_table(endpoints, router.config))
    """
    table = endpoints_listed(endpoints, config)
    console = Console(width=160, force_terminal=False, markup=False, file=io.StringIO())
    needed = Measurement.get(console, console.options.update(max_width=10_000), table).maximum
    console.width = max(160, needed)
    with console.capture() as captured:
        console.print(table)
        for line in rules_that_match_none(endpoints, config):
            console.print(line)
    return captured.get()


def endpoints_listed(endpoints: Sequence[Endpoint], config: Config) -> Table:
    """A table of all endpoints, with their sensitivity and where it comes from, for a terminal of any width."""
    table = Table(title=f"{len(endpoints)} endpoints", title_justify="left")
    for column in ("endpoint", "sensitive", "approved routes", "because of"):
        table.add_column(column)
    for endpoint in sorted(endpoints, key=lambda each: each.path):
        known = endpoint.with_rules(config)
        cells = known.label(), _sensitivity(known, config), _routes(known, config), _origins(known)
        table.add_row(*map(Text, cells))
    return table


def rules_that_match_none(endpoints: Sequence[Endpoint], config: Config) -> list[str]:
    """A line for each of the path rules that no endpoint falls under."""
    return [
        f'[endpoints] "{pattern}" = "{config.endpoints[pattern]}" matches none of them'
        for pattern in unmatched_rules(endpoints, config)
    ]


def _sensitivity(endpoint: Endpoint, config: Config) -> str:
    if endpoint.categories:
        return ", ".join(sorted(endpoint.categories))
    return STANDARD if endpoint.declared else f"undeclared: {config.router.undeclared}"


def _routes(endpoint: Endpoint, config: Config) -> str:
    sets = [frozenset(config.sensitive[name].routes) for name in endpoint.categories if name in config.sensitive]
    if not endpoint.categories:
        return "all of the task"
    return ", ".join(sorted(frozenset.intersection(*sets))) if sets else "none"


def _origins(endpoint: Endpoint) -> str:
    return ", ".join(f"{source.origin}{' (hidden)' if source.hidden else ''}" for source in endpoint.sources)
