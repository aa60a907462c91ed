"""The public surface, on which apps, configs, dashboards and queries rely, stands in a file: no change goes unseen.

After a change that is meant, write the file anew with ``python -m tests.public_surface``, and read its difference.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import lanewise
from lanewise import RoutingError
from public_surface import SNAPSHOT, SURFACE

FROZEN = json.loads(SNAPSHOT.read_text())


def test_the_frozen_surface_has_all_parts() -> None:
    """A part that is not frozen would not be looked at."""
    assert sorted(FROZEN) == sorted(SURFACE)


@pytest.mark.parametrize("part", sorted(SURFACE))
def test_the_public_surface_is_the_one_that_was_promised(part: str) -> None:
    """Names, defaults, exit codes and stored names are as the file says, to the letter."""
    now = json.loads(json.dumps(SURFACE[part]()))
    assert now == FROZEN[part]


def test_every_error_that_is_raised_has_its_name_in_the_package() -> None:
    """So that an app can catch it by what it sees in its log."""

    def classes_of(base: type[RoutingError]) -> Iterator[type[RoutingError]]:
        for cls in base.__subclasses__():
            yield cls
            yield from classes_of(cls)

    raised = {cls.__name__ for cls in classes_of(RoutingError) if cls.__module__.startswith("lanewise.")}
    assert {name for name in raised if not name.startswith("_")} <= {*lanewise.__all__}
