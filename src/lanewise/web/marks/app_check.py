"""Whether an app's marks can hold: checked when it starts, or else at its first request; nobody is served before."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from lanewise.config import ConfigError
from lanewise.config.environment.libraries import require_library
from lanewise.errors import RouterClosed
from lanewise.web.inbound import Inbound
from lanewise.web.marks.endpoint_report import Endpoint, check_endpoints, warn_of_unmatched

__all__ = ["AppCheck"]

_log: Final = logging.getLogger("lanewise")


class AppCheck:
    """The check of one app. ``endpoints`` lists those of an app; ``prepare`` is called with each that has passed.

    ``libraries`` are looked through for changes in what the adapter rests on, if they were imported.
    """

    def __init__(
        self,
        inbound: Inbound,
        endpoints: Callable[[Any], Sequence[Endpoint]],
        *libraries: str,
        prepare: Callable[[Any], None] | None = None,
    ) -> None:
        self._inbound = inbound
        self._endpoints = endpoints
        self._libraries = libraries
        self._prepare = prepare
        self.is_done = False
        self.refused: ConfigError | None = None
        """Why every request is refused, if so."""

    def at_start(self, app: object, *, is_whole: bool = True) -> None:
        """Check an app. Where it is the whole one, the log names path rules that match no endpoint.

        Raises ConfigError, with all endpoints whose marks can't hold: every request is refused from then on.
        """
        self.refused, self.is_done = None, False
        try:
            self.run(app, is_whole=is_whole)
        except ConfigError as error:
            self.refused = error
            self.is_done = True
            raise
        if self._prepare is not None:
            self._prepare(app)
        self.is_done = True  # not before: whatever else goes wrong in the check, no request gets past it

    def run(self, app: object, *, is_whole: bool = True) -> None:
        """The check itself, without consequences for requests. Raises ConfigError."""
        for library in self._libraries:
            if library in sys.modules:
                require_library(library)
        found = self._endpoints(app)
        check_endpoints(found, self._inbound.config)
        if is_whole:
            warn_of_unmatched(found, self._inbound.config)

    def at_first_request(self, app: object, *, is_whole: bool = True) -> bool:
        """Check an app where the framework has no start, or it was not run. Gives whether calls can be made.

        The keys are looked up, too. What is wrong raises nothing here: it refuses every request.
        """
        try:
            self.at_start(app, is_whole=is_whole)
            self._inbound.check_keys()
        except RouterClosed:
            pass  # requests without AI calls can be served, and a call raises it
        except ConfigError as error:
            self.refused = error
        else:
            return True
        return False

    def instead_of_start(self, app: object, *, is_whole: bool = True) -> bool:
        """Do what :meth:`at_first_request` does, and log once why every request is refused, if so."""
        can_call = self.at_first_request(app, is_whole=is_whole)
        if self.refused is not None:
            _log.error("every request is refused: %s", self.refused)
        return can_call

    def refusal(self) -> ConfigError:
        """The error of one more request to an app that did not pass."""
        assert self.refused is not None
        return ConfigError(self.refused.mistakes)
