"""jsonschema-rs: what keeps it from fetching, and from telling an answer's text."""

from __future__ import annotations

from typing import Final

from lanewise._compat.parts import Library, Part

__all__ = ["JSONSCHEMA_RS"]

JSONSCHEMA_RS: Final = Library(
    "jsonschema-rs", ("0.54", "0.61.2"), (Part("jsonschema_rs:validator_for", takes=("offline", "mask")),)
)
