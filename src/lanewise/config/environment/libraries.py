"""Whether the installed libraries still have the private parts that the router uses, checked before a router opens."""

from __future__ import annotations

from lanewise._compat import CORE, GENAI_PRICES, LIBRARIES, REDIS
from lanewise.config.config import Config
from lanewise.config.mistakes import ConfigError, Mistake, MistakeCollector

__all__ = ["check_libraries", "require_library"]


def check_libraries(config: Config, findings: MistakeCollector, *, shared_store: bool) -> None:
    """Note each library that a router of this config uses and whose installed version lacks a private part."""
    needed = list(CORE)
    if any(route.price is None for route in config.routes.values()):
        needed.append(GENAI_PRICES)
    if shared_store:
        needed.append(REDIS)
    for library in needed:
        problem = library.problem()
        if problem is not None:
            findings.add((library.distribution,), problem, library.fix())


def require_library(distribution: str) -> None:
    """Raise ConfigError if the installed version of a library lacks a private part that is used.

    Example::

        require_library("flask")
    """
    library = LIBRARIES[distribution]
    problem = library.problem()
    if problem is not None:
        raise ConfigError([Mistake(distribution, problem, library.fix())])
