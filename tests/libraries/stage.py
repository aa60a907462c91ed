"""What the tests with other people's libraries share: two providers, a config over them, and what the apps ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pydantic

from lanewise import Scope
from lanewise.testing import Answer, FakeProvider, Received, ToolCall

__all__ = ["PARCEL", "PARCEL_JSON", "Parcel", "Stage", "uses_a_tool"]


class Parcel(pydantic.BaseModel):
    """Where a parcel is."""

    number: int
    place: str


PARCEL = Parcel(number=7, place="Bonn")
PARCEL_JSON = PARCEL.model_dump_json()


@dataclass(frozen=True)
class Stage:
    """``primary`` fails, ``standby`` answers. Approved for the sensitive task is only the first."""

    primary: FakeProvider
    standby: FakeProvider

    def config(self) -> dict[str, object]:
        """The config over both."""
        lanes = {"primary": "flagship", "equivalent": "sonnet", "deadline": "10s"}
        return {
            "router": {"health": {"breakers": False, "retry_tokens": 1e6}},
            "providers": {"a": {"base_url": self.primary.base_url}, "b": {"base_url": self.standby.base_url}},
            "routes": {
                "flagship": {"provider": "a", "model": "flagship-1"},
                "sonnet": {"provider": "b", "model": "sonnet-1"},
            },
            "tasks": {"desk": lanes, "refund": {**lanes, "sensitive": "payment"}},
            "sensitive": {"payment": {"routes": ["flagship"]}},
        }

    def answered_by_standby(self, scope: Scope) -> bool:
        """Whether the primary was tried, and each call of the scope answered by its standby.

        The later calls pass over a route that refuses its key: it is open.
        """
        answered = [(call.route, call.outcome) for call in scope.calls]
        return self.primary.request_count > 0 and set(answered) == {("sonnet", "answered")}


def uses_a_tool(name: str, arguments: str) -> Callable[[Received], Answer]:
    """A model that asks for a tool, and then says what it got from it."""

    def behave(received: Received) -> Answer:
        result = _tool_result(received.json)
        return Answer(tool_calls=[ToolCall(name, arguments)]) if result is None else Answer(f"It says: {result}")

    return behave


def _tool_result(body: Any) -> str | None:
    for item in body.get("messages") or body.get("input") or []:
        if item.get("role") == "tool":
            return str(item["content"])
        if item.get("type") == "function_call_output":
            return str(item["output"])
    return None
