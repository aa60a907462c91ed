"""The public surface, on which apps, configs, dashboards and queries rely, stands in a file: no change goes unseen.

After a change that is meant, write the file anew with ``python -m tests.public_surface``, and read its difference.
"""

from __future__ import annotations

import json

import pytest

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
