"""The lanes of ``[tasks.NAME]``: their routes in order, and the failures that move a call into them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, ValidationInfo

from lanewise.config.mistakes import nearest, quoted
from lanewise.config.tables.model_config import DECLARED
from lanewise.config.values.failures import DEFAULT_ON, FailureSet
from lanewise.config.values.scalars import NonEmpty, wrong
from lanewise.types import FailureKind, LaneName

__all__ = ["DEFAULT_ON", "Lane", "LaneEntry", "LaneField"]

_FORMS = 'Write a route ("flagship"), a list (["a", "b"]) or a table ({ routes = ["a"], on = ["timeout"] }).'


class LaneEntry(BaseModel):
    """A route in a lane, with the failures that may move a call to it (``None``: those of the lane)."""

    model_config = DECLARED

    route: NonEmpty = Field(description="The name of a route.")
    on: FailureSet | None = Field(default=None, description="The failures that may move a call to this route.")


class Lane(BaseModel):
    """A tier of routes. ``on`` is the failures that may move a call into it (``None``: :data:`DEFAULT_ON`)."""

    model_config = DECLARED

    name: LaneName
    entries: tuple[LaneEntry, ...] = Field(min_length=1)
    on: FailureSet | None = None

    def moves_on(self, entry: LaneEntry) -> frozenset[FailureKind]:
        """The failures that may move a call to this entry of the lane.

        Example::

            lane.moves_on(lane.entries[0])  # the entry's own list, else the lane's, else DEFAULT_ON
        """
        if entry.on is not None:
            return entry.on
        return DEFAULT_ON if self.on is None else self.on

    @property
    def routes(self) -> tuple[str, ...]:
        """The names of the lane's routes, in order."""
        return tuple(entry.route for entry in self.entries)


def _entry(value: object) -> object:
    if isinstance(value, LaneEntry):
        return value
    if isinstance(value, str):
        return {"route": value}
    if isinstance(value, Mapping):
        return dict(value)
    raise wrong(f"a lane's list can't hold {quoted(value)}", 'Write "a" or { route = "a", on = ["timeout"] }.')


def _table(value: Mapping[object, object]) -> dict[object, object]:
    table = dict(value)
    if "route" in table and "routes" not in table:
        return {"entries": [_entry(table)]}
    table.pop("name", None)  # what a dump of the models has beside the entries
    routes = table.pop("routes", table.pop("entries", None))
    if isinstance(routes, str):
        routes = [routes]
    if not isinstance(routes, Iterable) or isinstance(routes, Mapping):
        odd = next((key for key in table if key != "on"), None)
        if routes is None and odd is not None:
            raise wrong(f"no key is called {quoted(odd)}", nearest(odd, ("route", "routes", "on")))
        raise wrong("the lane's table has no list of routes", _FORMS)
    return {**table, "entries": [_entry(item) for item in routes]}


def read_lane(value: object, info: ValidationInfo) -> object:
    """A lane from any of its short forms: a route, a list of routes, or a table."""
    if isinstance(value, Lane) or value is None:
        return value
    if isinstance(value, str | LaneEntry):
        written: dict[object, object] = {"entries": [_entry(value)]}
    elif isinstance(value, Mapping):
        written = _table(value)
    elif isinstance(value, list | tuple):
        written = {"entries": [_entry(item) for item in value]}
    else:
        raise wrong(f"{quoted(value)} is no lane", _FORMS)
    if not written["entries"]:
        raise wrong("the lane has no route", "Name at least one, or leave the lane out.")
    return {**written, "name": info.field_name}


LaneField = Annotated[Lane, BeforeValidator(read_lane)]
