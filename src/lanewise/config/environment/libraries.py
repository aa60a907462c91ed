"""Whether the installed libraries are as the router needs them inside: asked before anything rests on them."""

from __future__ import annotations

from lanewise._compat import CORE, GENAI_PRICES, LIBRARIES, REDIS
from lanewise.config.config import Config
from lanewise.config.mistakes import ConfigError, Mistake, MistakeCollector

__all__ = ["check_libraries", "require_library"]


def check_libraries(config: Config, findings: MistakeCollector, *, shared_store: bool) -> None:
    """Note each library that a config's router rests on, and whose installed version has changed inside."""
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
    """Raise ConfigError if the installed version of a library has changed inside what is used of it.

    Example::

        require_library("flask")
    """
    library = LIBRARIES[distribution]
    problem = library.problem()
    if problem is not None:
        raise ConfigError([Mistake(distribution, problem, library.fix())])
