"""jsonschema-rs: what keeps it from fetching, from showing an answer's text, and from taking long over a pattern."""

from __future__ import annotations

from typing import Final

from lanewise._compat.parts import Library, Part

__all__ = ["JSONSCHEMA_RS"]

JSONSCHEMA_RS: Final = Library(
    "jsonschema-rs",
    ("0.54", "0.61.2"),
    (
        Part("jsonschema_rs:validator_for", takes=("offline", "mask", "pattern_options")),
        Part("jsonschema_rs:RegexOptions", takes=("size_limit",)),
        Part("jsonschema_rs:FancyRegexOptions", takes=("backtrack_limit",)),
    ),
)
