"""Schemas and patterns that take longer than anybody has."""

from __future__ import annotations

from typing import Any


def branching(levels: int) -> dict[str, Any]:
    """A schema of ``anyOf`` of twice the next: checking takes two to the ``levels``."""
    inner = {
        f"d{level}": {"anyOf": [{"$ref": f"#/$defs/d{level + 1}"}, {"$ref": f"#/$defs/d{level + 1}"}]}
        for level in range(levels)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**inner, f"d{levels}": {"type": "array"}}}


PATTERN = "^(a+)+$"
TEXT = "a" * 60 + "!"
