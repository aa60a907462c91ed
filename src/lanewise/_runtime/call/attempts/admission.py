"""Lets the attempts of one call out: past our own caps and the health of the route, which hear how each ended."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from typing import Final

from lanewise._budgets.call_budgets import CallBudgets
from lanewise._failures import failure_table as failures
from lanewise._health.breakers.permit import Permit
from lanewise._health.rate_limits.rate_limit_headers import exhausted_for
from lanewise._health.rate_limits.rate_limiter import RateLimiter
from lanewise._openai import token_estimate as rough_tokens
from lanewise._routing.plan import Plan
from lanewise._runtime.call.recorder import CallRecorder
from lanewise._runtime.call.resolve import ResolvedCall
from lanewise._transform.capabilities import has_attachments
from lanewise.config import Provider
from lanewise.types import Attempt, Failure, Move, Send, Wait

__all__ = ["Admission"]

_NOTICEABLE: Final = 0.005
"""Seconds: to be held back for less is not recorded, and takes nothing of an attempt's time."""


class Admission:
    """Of one call. One attempt is out at a time."""

    __slots__ = (
        "_api",
        "_attempt_number",
        "_budgets",
        "_health",
        "_lag",
        "_limiter",
        "_lost",
        "_permit",
        "_resolved",
        "_route",
        "_runtime",
    )

    def __init__(self, resolved: ResolvedCall) -> None:
        context = resolved.context
        runtime = context.runtime
        self._runtime = runtime
        self._health = runtime.health
        self._resolved = resolved
        self._api = resolved.call.api
        self._lag = context.loop.lag
        self._budgets: CallBudgets | None = None
        if runtime.budgets is not None:
            caller, body, choices = context.caller, resolved.body, resolved.choices
            self._budgets = runtime.budgets.of(
                resolved.call, body, choices, subject=caller.subject, client=caller.client, labels=caller.labels
            )
        self._attempt_number = 0
        self._route = ""
        self._permit: Permit | None = None
        self._limiter: RateLimiter | None = None
        self._lost = 0.0

    async def enter(self, send: Send, plan: Plan, recorder: CallRecorder) -> Move:
        """Let an attempt out: the very ``send``, or what the plan does instead. What it waits for is recorded."""
        limiters = self._runtime.limiters
        if limiters:
            other_move = await self._pass_gate(send, plan, limiters, recorder)
            if other_move is not None:
                if not (isinstance(other_move, Send) and other_move.route == self._route):
                    self._leave_gate(0)  # it does not go there any more: another call may have the place
                return other_move
        if self._budgets is not None:
            over = await self._reserve(self._budgets, send, plan, recorder)
            if over is not None:
                return over
        self._permit = self._health.enter(send.route, self._api, last_resort=send.last_resort, slot=send.slot)
        if self._permit is None:
            if self._budgets is not None:
                self._budgets.settle(None)
            self._leave_gate(0)
            return plan.held_back(asyncio.get_running_loop().time(), jitter=random.random())
        self._route = send.route
        if self._health.counts_slow:
            self._lost = self._lag.lost
        return send

    @property
    def is_probe(self) -> bool:
        """Whether the attempt that is out tries a route that is half-open or throttled."""
        return self._permit is not None and self._permit.decides_early

    async def enter_beside(self, send: Send, recorder: CallRecorder) -> bool:
        """Let a second attempt of a call out, if nothing has to be waited or paid for: not as a probe."""
        limiter = self._runtime.limiters.get(self._runtime.upstreams[send.route].provider.name)
        if limiter is not None:
            if await limiter.enter(self._tokens(), 0.0) is None:
                return False
            self._limiter = limiter
        self._route = send.route
        if self._budgets is not None:
            self._attempt_number = send.attempt_number
            try:
                result = await self._budgets.reserve(send)
            except BaseException:
                self._leave_gate(0)
                raise
            if not isinstance(result, str):
                self._leave_gate(0)
                return False
            if result:
                recorder.note(result)
        self._permit = self._health.enter(send.route, self._api)
        if self._permit is not None and not self._permit.decides_early:
            if self._health.counts_slow:
                self._lost = self._lag.lost
            return True
        self.leave(failures.CANCELLED.failure())
        if self._budgets is not None:
            self._budgets.settle(None)
        self._leave_gate(0)
        return False

    def leave(self, failure: Failure | None, record: Attempt | None = None) -> None:
        """Note how the attempt that is out ended, with what the record of the latest attempt says that it took.

        Does nothing if none is out.
        """
        permit = self._permit
        if permit is None:
            return
        self._permit = None
        lost = self._lost_since() if self._health.counts_slow else 0.0
        self._health.leave(self._route, self._api, permit, failure, is_plain=self._is_plain, lost=lost)
        if self._budgets is not None:
            was_sent = record is not None and record.attempt_number == self._attempt_number
            self._budgets.settle(record if was_sent else None)
        if self._limiter is not None:
            taken = 0 if record is None else (record.input_tokens or 0) + (record.output_tokens or 0)
            self._leave_gate(taken or None)

    def committed(self) -> None:
        """Note that the attempt's stream has begun to answer, which decides a probe: its end may be minutes off."""
        permit = self._permit
        if permit is not None and self._health.counts_slow:
            self._health.began(permit, self._lost_since())
        if permit is not None and permit.decides_early:
            self._permit = self._health.committed(self._route, self._api, permit, is_plain=self._is_plain)

    def bytes_came(self) -> None:
        """Note that bytes of the attempt's answer have come."""
        if self._permit is not None:
            self._health.heard(self._route, self._api, self._permit)

    def limits(self, headers: dict[str, str]) -> None:
        """Take in what an answer's headers say of the provider's limits; the names are lower-case."""
        wait = exhausted_for(headers, self._health.usual_tokens(self._route, self._tokens()), datetime.now(UTC))
        if wait is not None:
            self._health.limit(self._route, self._api, failures.NO_ROOM.failure(retry_after=wait))

    async def _reserve(self, budgets: CallBudgets, send: Send, plan: Plan, recorder: CallRecorder) -> Move | None:
        """Reserve what the attempt may cost. What the plan does, unless it may go out."""
        try:
            result = await budgets.reserve(send)
        except BaseException:
            self._leave_gate(0)
            raise
        if isinstance(result, str):
            self._attempt_number = send.attempt_number
            if result:
                recorder.note(result)
            return None
        self._leave_gate(0)
        now = asyncio.get_running_loop().time()
        return plan.over_budget(result.failure, result.lane, now, jitter=random.random())

    async def _pass_gate(
        self, send: Send, plan: Plan, limiters: dict[str, RateLimiter], recorder: CallRecorder
    ) -> Move | None:
        """Wait for room under our own caps. What the plan does, unless the attempt may go out as it is."""
        provider = self._runtime.upstreams[send.route].provider
        if self._limiter is not None and self._route == send.route:
            return None  # it has waited, and has its place
        self._leave_gate(0)
        limiter = limiters.get(provider.name)
        if limiter is None:
            return None
        waited = await limiter.enter(self._tokens(), send.patience)
        now = asyncio.get_running_loop().time()
        if waited is None:
            return plan.held_back(now, failures.CAPPED.failure(cause=_caps_of(provider)), random.random())
        self._limiter, self._route = limiter, send.route
        if waited < _NOTICEABLE:
            return None
        reason = f"held back by {_caps_of(provider)}"
        recorder.move(Wait(seconds=waited, route=send.route, lane=send.lane, reason=reason))
        return plan.held_back(now, jitter=random.random())

    def _lost_since(self) -> float:
        """The seconds for which our own loop stood still since the attempt went out."""
        return self._lag.lost_at(asyncio.get_running_loop().time()) - self._lost

    def _is_plain(self) -> bool:
        return not has_attachments(self._resolved.body, self._api)

    def _leave_gate(self, tokens: int | None) -> None:
        limiter, self._limiter = self._limiter, None
        if limiter is not None:
            limiter.leave(0 if tokens is None else tokens - self._tokens())

    def _tokens(self) -> int:
        return rough_tokens.likely(rough_tokens.text_bytes(self._resolved.body.raw))


def _caps_of(provider: Provider) -> str:
    caps = {"rpm": provider.rpm, "tpm": provider.tpm, "max_concurrency": provider.max_concurrency}
    declared = ", ".join(f"{name} = {cap}" for name, cap in caps.items() if cap is not None)
    return f"the config's cap for {provider.name} ({declared})"
