"""Replay: a call that was made before waits for the answer of that one, or gets its stored answer."""

from __future__ import annotations

import asyncio
from typing import Final

from lanewise._openai.response_check import Answer, from_answer
from lanewise._replay.replays import Claimed, ReplaysUnavailable, Unclaimed
from lanewise._replay.sealed_replays import KeptAnswer, SealedReplays
from lanewise._routing import idempotency as keys
from lanewise._runtime.call.recorder import CallRecorder
from lanewise._runtime.call.reply_headers import reply_id
from lanewise._runtime.call.resolve import ResolvedCall
from lanewise._runtime.call.streams.committed_stream import CommittedStream
from lanewise._runtime.call.streams.recording_stream import RecordingStream, ReplayedStream
from lanewise._runtime.messages import RoutedResponse
from lanewise._runtime.response_affinity import ResponseOrigin
from lanewise.types import Api

__all__ = ["ReplayClaim"]

CLAIM_WAIT: Final = 0.05
"""Seconds that a call waits for the store before its first attempt."""
LOOK_WAIT: Final = 1.0
"""Seconds that a call which waits for another one anyway waits for the store."""
LEASE: Final = 6.0
"""Seconds for which a claim holds without a sign of life: as long a call that is repeated waits for a worker that was
killed, or for a store that makes a claim up."""
RENEW_EVERY: Final = 2.0
"""Seconds between two signs of life of a call that runs, or of a stream that goes on."""
LONGEST_CLAIM: Final = 3600.0
"""Seconds after which a claim is renewed no more, whatever became of its call."""
FIRST_LOOK: Final = 0.02
LOOKS_GROW: Final = 1.5
LONGEST_BETWEEN_LOOKS: Final = 0.25
"""Seconds between two looks at what another call makes: an answer takes seconds, and a look is cheap."""
_REPLAYED: Final = "x-lanewise-replayed"


class ReplayClaim:
    """The claim of one call, which is under no sensitive category, to make the answer of its key."""

    def __init__(self, replay: SealedReplays, resolved: ResolvedCall, recorder: CallRecorder) -> None:
        context = resolved.context
        self._replay = replay
        self._context = context
        self._recorder = recorder
        self._call = resolved.call
        self._body = resolved.body
        self._loop = asyncio.get_running_loop()
        self._started = recorder.started
        self._budget = resolved.budget_alone
        self._signs = 0
        self._holds = False
        call_id, subject = context.key_names(mark=":")  # which no request id has in it
        self._key = keys.replay_key(
            call_id,
            task=resolved.task.name,
            endpoint=f"{context.request.path}?{context.request.query}",
            body_digest=resolved.body.digest,
            subject=subject,
            start=context.caller.start,
            secret=context.runtime.secret,
            ordinal=resolved.ordinal,
        )

    # -- before the first attempt ----------------------------------------------------------------------------------

    async def stored_answer(self) -> KeptAnswer | None:
        """The answer of this call, made earlier or elsewhere; ``None`` if it is this one's turn to make it."""
        try:
            found = await self._claim(CLAIM_WAIT)
            if isinstance(found, Claimed):
                found = await self._wait(found)
            if found is Unclaimed.OURS:
                self._hold()
            return self._replay.read(self._key, found) if isinstance(found, bytes) else None
        except ReplaysUnavailable as reason:
            self._recorder.note(f"goes on without replay: {reason}")
            self._replay.complain(str(reason))
            return None

    async def _wait(self, claimed: Claimed) -> Unclaimed | Claimed | bytes:
        """Wait for the same call that runs, until the deadline of this one; claim its turn if it had no answer.

        Raises ReplaysUnavailable: there is no sign of that call any more, whatever the store says.
        """
        self._recorder.note("waits for the same call, which runs")
        pause = FIRST_LOOK
        deadline = self._started + self._budget
        number, alive_at = self._replay.number(self._key, claimed), self._loop.time()
        while (left := deadline - self._loop.time()) > 0:
            await asyncio.sleep(min(pause, left))
            pause = min(pause * LOOKS_GROW, LONGEST_BETWEEN_LOOKS)
            found = await self._claim(LOOK_WAIT)
            if not isinstance(found, Claimed):
                if found is Unclaimed.OURS:
                    self._recorder.note("goes on: that call left no answer that can be given again")
                return found
            if found.owner != claimed.owner or self._replay.number(self._key, found) > number:
                claimed, number, alive_at = found, self._replay.number(self._key, found), self._loop.time()
            elif self._loop.time() - alive_at > LEASE:
                raise ReplaysUnavailable("the same call gives no sign of life, and its claim does not end")
        return claimed  # the plan finds that the time is over

    async def _claim(self, within: float) -> Unclaimed | Claimed | bytes:
        sign = self._replay.sign(self._key, self._call.id, 0)
        return await self._replay.replays.claim(self._key, self._call.id, sign, lease=LEASE, within=within)

    def _hold(self) -> None:
        """Give signs of life from now on, until the call has left an answer or has none to leave."""
        self._holds = True
        self._loop.call_later(RENEW_EVERY, self._renew)

    def _renew(self) -> None:
        if not self._holds or self._loop.time() - self._started > LONGEST_CLAIM:
            return
        self._signs += 1
        sign = self._replay.sign(self._key, self._call.id, self._signs)
        self._replay.replays.renew(self._key, self._call.id, sign, lease=LEASE)
        self._loop.call_later(RENEW_EVERY, self._renew)

    def replay(self, stored: KeptAnswer) -> RoutedResponse:
        """The reply by an earlier answer, with which the call has ended."""
        call = self._call
        self._recorder.replayed(stored.call_id, stored.route, stored.lane)
        self._context.caller.answered(reply_id(stored.headers), call)
        headers = [*stored.headers, (_REPLAYED.encode(), b"true")]
        if stored.stream:
            return RoutedResponse(stored.status, headers, b"", ReplayedStream(stored.body))
        if call.api is Api.RESPONSES:
            self._remember(stored)
        return RoutedResponse(stored.status, headers, stored.body)

    def _remember(self, stored: KeptAnswer) -> None:
        """Calls that go on from a stored response stay on its route, in this worker too."""
        answer = from_answer(Api.RESPONSES, stored.body, "application/json")
        if isinstance(answer, Answer):
            made = ResponseOrigin(stored.route, self._call.task, ())
            self._context.runtime.affinity.remember(self._body, answer.response_id, made)

    # -- after it --------------------------------------------------------------------------------------------------

    def keep(self, reply: RoutedResponse) -> RoutedResponse:
        """The call's own reply, which is kept: of a stream once it is complete."""
        if not isinstance(reply.stream, CommittedStream):
            self._keep(reply, reply.body)
            return reply
        recording = RecordingStream(
            reply.stream,
            self._call,
            largest=self._replay.largest,
            keep=lambda body: self._keep(reply, body),
            release=self.release,
        )
        return RoutedResponse(reply.status, reply.headers, b"", recording)

    def _keep(self, reply: RoutedResponse, body: bytes) -> None:
        self._holds = False
        call = self._call
        if not self._may_be_kept() or call.route is None or call.lane is None:
            self.release()
            return
        stored = KeptAnswer(call.id, call.route, call.lane, reply.headers, body, reply.stream is not None, reply.status)
        self._replay.keep(self._key, stored)

    def _may_be_kept(self) -> bool:
        """Not if the request has become sensitive since: nothing of its text is stored then."""
        caller = self._context.caller
        return caller.still_allowed(self._call) and not caller.sensitive

    def release(self) -> None:
        """Give the claim up: there is no answer to keep."""
        self._holds = False
        self._replay.replays.release(self._key, self._call.id)
