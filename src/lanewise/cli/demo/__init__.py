"""``lanewise demo``: a failing provider, and two web apps' users who notice it, or don't."""

from __future__ import annotations

from lanewise.cli.demo.command import demo

__all__ = ["demo"]
