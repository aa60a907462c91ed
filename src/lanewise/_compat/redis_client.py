"""redis-py: how it reads a store's URL."""

from __future__ import annotations

from typing import Final

from lanewise._compat.parts import Library, Part

__all__ = ["REDIS"]

REDIS: Final = Library("redis", ("8.0.1", "8.1"), (Part("redis.connection:parse_url", takes=("url",)),))
