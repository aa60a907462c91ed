"""The commented config that a new app starts from."""

from __future__ import annotations

from importlib.resources import files

__all__ = ["starter_text"]


def starter_text() -> str:
    """The text of the starter file, as ``lanewise init`` writes it. It can be read as it is.

    Example::

        Path("lanewise.toml").write_text(starter_text())
    """
    return files("lanewise.config").joinpath("starter.toml").read_text(encoding="utf-8")
