"""How pydantic treats every table of a config."""

from __future__ import annotations

from typing import Final

from pydantic import ConfigDict

__all__ = ["DECLARED"]

DECLARED: Final = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
"""Values stay out of pydantic's own messages: they may be keys of providers."""
