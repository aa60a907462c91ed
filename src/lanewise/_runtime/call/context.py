"""What a request of the app is driven with: the router's runtime, the loop that it runs in, and who makes it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from lanewise._runtime.call.record_fields import CallFields
from lanewise._runtime.loops.loop_context import LoopContext
from lanewise._runtime.messages import Caller, RoutedRequest
from lanewise._runtime.router_runtime import RouterRuntime
from lanewise.types import Call, Outcome

__all__ = ["CallContext"]


class CallContext(msgspec.Struct, frozen=True):
    """Of one request, from its arrival on: all that drives it is made with this, or with the call that it becomes."""

    runtime: RouterRuntime
    loop: LoopContext
    request: RoutedRequest
    caller: Caller

    def __repr__(self) -> str:
        return f"CallContext({self.request!r})"

    def key_names(self, mark: str = "-") -> tuple[str, str | None]:
        """By which id and which subject the call's keys are made: those of one client are never those of another.

        ``mark`` tells the name that a caller gave from any request id.
        """
        caller = self.caller
        call_id = caller.request_id if caller.named is None else f"named{mark}{caller.named}"
        return call_id, caller.subject if caller.client is None else f"{caller.client}\0{caller.subject}"

    @property
    def may_be_replayed(self) -> bool:
        """Whether the call may be given the answer of an earlier one: of the endpoint's callers, if they named it."""
        return self.caller.client is None or self.caller.named is not None

    def close_scope(self, call: Call) -> None:
        """Let no layer above have the question of a sensitive call answered by another task, however it is put."""
        if call.sensitive:
            self.caller.close_under(frozenset(call.sensitive))

    def end_unsent(self, call: Call, outcome: Outcome) -> None:
        """End the record of a call that ends before its first move."""
        CallFields.total_ms(call, (datetime.now(UTC) - call.started_at) / timedelta(milliseconds=1))
        CallFields.outcome(call, outcome)
        recording = self.runtime.recording
        recording.call(call, recording.trace())
