"""Two fake providers with a config over them: ``first`` has the approved route, ``second`` the fallback."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, ClassVar, Final
from uuid import uuid4

from lanewise import Router
from lanewise.testing import FakeProvider, Received

MESSAGES: Any = [{"role": "user", "content": "canary-prompt"}]
PATIENT: Any = {"timeout": "120s", "stall": "120s"}
"""Of a route that never gives up by itself while a test waits for something else to end what is silent."""
_OWN: Final = "x-test-stage"


class TwoProviders:
    """``tasks``, ``sensitive`` and the sections that a test gives stand on the routes ``first`` and ``second``.

    Each request of a router made here carries a header that no other test's has: where a port is used again, what
    another test still sends there is told from what a router here sent.
    """

    sections: ClassVar[dict[str, Any]] = {}

    def __init__(self, first: FakeProvider, second: FakeProvider) -> None:
        self.first = first
        self.second = second
        self._name = uuid4().hex

    @property
    def sent(self) -> int:
        """How many requests both providers have got."""
        return self.first.request_count + self.second.request_count

    @property
    def asked_of_second(self) -> list[Received]:
        """The requests of routers made here that came to the provider that is not approved."""
        return [each for each in self.second.journal if each.headers.get(_OWN) == self._name]

    def config(self, **more: Any) -> dict[str, Any]:
        """The config of most tests; what is given takes the place of a section."""
        own = {"headers": {_OWN: self._name}}
        return {
            "router": {"health": {"breakers": False, "retry_tokens": 1e6}},
            "providers": {
                "one": {"base_url": self.first.base_url, **own},
                "two": {"base_url": self.second.base_url, **own},
            },
            "routes": {
                "first": {"provider": "one", "model": "model-one", **PATIENT},
                "second": {"provider": "two", "model": "model-two", **PATIENT},
            },
            **deepcopy(self.sections),
            **more,
        }

    def router(self, **more: Any) -> Router:
        """A router of its own."""
        return Router.from_mapping(self.config(**more))
