"""The commented config that a new app starts from."""

from __future__ import annotations

from importlib.resources import files

__all__ = ["starter_text"]


def starter_text() -> str:
    """The text of the starter file, as ``understudy init`` writes it. It can be read as it is.

    Example::

        Path("understudy.toml").write_text(starter_text())
    """
    return files("understudy.config").joinpath("starter.toml").read_text(encoding="utf-8")
