"""No request is paid twice: a call that was made before waits for the answer of that one, or is given it again."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

import msgspec

from lanewise._openai.response_check import Answer, from_answer
from lanewise._replay.replays import Claimed, Replays, ReplaysUnavailable, Unclaimed
from lanewise._routing import idempotency as keys
from lanewise._runtime.call.committed_stream import CommittedStream
from lanewise._runtime.call.reply_headers import reply_id
from lanewise._runtime.loop_context import LoopContext
from lanewise._runtime.messages import CallContext, RoutedRequest, RoutedResponse, names_in_keys
from lanewise._runtime.recording_stream import RecordingStream, ReplayedStream
from lanewise._runtime.response_affinity import ResponseOrigin
from lanewise._sealing import Seal, SealBroken
from lanewise.types import Api, FailureKind, LaneName, Outcome, note

if TYPE_CHECKING:
    from lanewise._runtime.call.resolve import ResolvedCall
    from lanewise._runtime.call.runner import CallRunner
    from lanewise._runtime.router_runtime import RouterRuntime

__all__ = ["HEADERS_BYTES", "Replay"]

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
COMPLAIN_EVERY: Final = 60.0
"""Seconds between two lines in the log."""
_REPLAYED: Final = "x-lanewise-replayed"
HEADERS_BYTES: Final = 256 * 1024
"""What an answer may have beside its body, sealed: its headers, and the little that we add."""

_log: Final = logging.getLogger("lanewise")


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """An answer as it is stored. ``body`` is that of a stream as the app read it, if ``stream``.

    Headers are bytes: what a provider writes there need not be text.
    """

    call_id: str
    route: str
    lane: LaneName
    headers: list[tuple[bytes, bytes]]
    body: bytes
    stream: bool
    status: int = 200

    def __repr__(self) -> str:
        return f"_Kept({self.call_id})"


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Kept).decode


class Replay:
    """What the calls of one router share. ``keep`` is in seconds, ``largest`` in bytes of a body: more is not kept."""

    def __init__(self, replays: Replays, seal: Seal, *, keep: float, largest: int) -> None:
        self.replays = replays
        self.largest = largest
        self._seal = seal
        self._keep = keep
        self._complained_at: float | None = None

    def sign(self, key: str, owner: str, number: int) -> bytes:
        """The sign of life with this number of an owner's claim. No store can make one."""
        return self._seal.seal(b"%d" % number, purpose=_claim_purpose(key, owner))

    def number(self, key: str, claimed: Claimed) -> int:
        """The number of a sign of life. Raises ReplaysUnavailable: no owner of ours has left it."""
        try:
            return int(self._seal.unseal(claimed.sign, purpose=_claim_purpose(key, claimed.owner)))
        except (SealBroken, ValueError):
            raise ReplaysUnavailable("the store has a claim that is none of ours") from None

    async def run(
        self,
        runtime: RouterRuntime,
        runner: CallRunner,
        resolved: ResolvedCall,
        request: RoutedRequest,
        caller: CallContext,
        loop_context: LoopContext,
    ) -> RoutedResponse:
        """The reply to a call that is under no sensitive category. Raises RoutingError, and CancelledError."""
        rerun = _Rerun(self, runtime, runner, resolved, request, caller)
        return await rerun.run(loop_context)

    def keep(self, key: str, kept: _Kept) -> None:
        """Keep the answer of a call, or let others make theirs if it is too large."""
        sealed = b"" if len(kept.body) > self.largest else self._seal.seal(_encode(kept), purpose=_purpose(key))
        if sealed and len(sealed) <= self.largest + HEADERS_BYTES:
            self.replays.answer(key, kept.call_id, sealed, keep=self._keep)
        else:
            self.replays.release(key, kept.call_id)

    def read(self, key: str, sealed: bytes) -> _Kept:
        """What was kept. Raises ReplaysUnavailable: it can't be read."""
        try:
            return _decode(self._seal.unseal(sealed, purpose=_purpose(key)))
        except SealBroken as error:
            raise ReplaysUnavailable(str(error)) from None
        except msgspec.MsgspecError:
            raise ReplaysUnavailable("what is stored was written by another version") from None

    def complain(self, reason: str) -> None:
        """Log that calls go on without replay, once a minute at most."""
        now = time.monotonic()
        if self._complained_at is None or now - self._complained_at >= COMPLAIN_EVERY:
            self._complained_at = now
            _log.warning("calls go on without replay, and one that is repeated may be paid again: %s", reason)


class _Rerun:
    """One call under replay."""

    def __init__(
        self,
        replay: Replay,
        runtime: RouterRuntime,
        runner: CallRunner,
        resolved: ResolvedCall,
        request: RoutedRequest,
        caller: CallContext,
    ) -> None:
        self._replay = replay
        self._runtime = runtime
        self._drive = runner
        self._caller = caller
        self._call = resolved.call
        self._body = resolved.body
        self._loop = asyncio.get_running_loop()
        self._started = runner.recorder.started
        self._budget = resolved.budget_alone
        self._signs = 0
        self._holds = False
        call_id, subject = names_in_keys(caller, mark=":")  # which no request id has in it
        self._key = keys.replay_key(
            call_id,
            task=resolved.task.name,
            endpoint=f"{request.path}?{request.query}",
            body_digest=resolved.body.digest,
            subject=subject,
            start=caller.start,
            secret=runtime.secret,
            ordinal=resolved.ordinal,
        )

    async def run(self, loop_context: LoopContext) -> RoutedResponse:
        try:
            kept = await self._kept()
            if kept is not None:
                self._drive.check_sensitivity()
                return self._again(kept)
            reply = await self._drive.run(loop_context)
        except BaseException:
            self._drive.recorder.end(
                Outcome.CANCELLED, FailureKind.CANCELLED
            )  # does nothing if the drive has ended the call
            self._release()
            raise
        if isinstance(reply.stream, CommittedStream):
            return self._taped(reply, reply.stream, loop_context)
        self._keep(reply, reply.body)
        return reply

    # -- before the first attempt ----------------------------------------------------------------------------------

    async def _kept(self) -> _Kept | None:
        """The answer of this call, made earlier or elsewhere; ``None`` if it is this one's turn to make it."""
        try:
            found = await self._claim(CLAIM_WAIT)
            if isinstance(found, Claimed):
                found = await self._wait(found)
            if found is Unclaimed.OURS:
                self._hold()
            return self._replay.read(self._key, found) if isinstance(found, bytes) else None
        except ReplaysUnavailable as reason:
            self._note(f"goes on without replay: {reason}")
            self._replay.complain(str(reason))
            return None

    async def _wait(self, claimed: Claimed) -> Unclaimed | Claimed | bytes:
        """Wait for the same call that runs, until the deadline of this one; claim its turn if it had no answer.

        Raises ReplaysUnavailable: there is no sign of that call any more, whatever the store says.
        """
        self._note("waits for the same call, which runs")
        pause = FIRST_LOOK
        deadline = self._started + self._budget
        number, alive_at = self._replay.number(self._key, claimed), self._loop.time()
        while (left := deadline - self._loop.time()) > 0:
            await asyncio.sleep(min(pause, left))
            pause = min(pause * LOOKS_GROW, LONGEST_BETWEEN_LOOKS)
            found = await self._claim(LOOK_WAIT)
            if not isinstance(found, Claimed):
                if found is Unclaimed.OURS:
                    self._note("goes on: that call left no answer that can be given again")
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

    def _again(self, kept: _Kept) -> RoutedResponse:
        call = self._call
        self._note(f"is given the answer of call {kept.call_id} again")
        note(call, "replayed_from", kept.call_id)
        note(call, "route", kept.route)
        note(call, "lane", kept.lane)
        self._drive.recorder.end(Outcome.ANSWERED, None)
        self._caller.answered(reply_id(kept.headers), call)
        headers = [*kept.headers, (_REPLAYED.encode(), b"true")]
        if kept.stream:
            return RoutedResponse(kept.status, headers, b"", ReplayedStream(kept.body))
        if call.api is Api.RESPONSES:
            self._remember(kept)
        return RoutedResponse(kept.status, headers, kept.body)

    def _remember(self, kept: _Kept) -> None:
        """Calls that go on from a stored response stay on its route, in this worker too."""
        answer = from_answer(Api.RESPONSES, kept.body, "application/json")
        if isinstance(answer, Answer):
            self._runtime.memory.remember(
                self._body, answer.response_id, ResponseOrigin(kept.route, self._call.task, ())
            )

    # -- after it --------------------------------------------------------------------------------------------------

    def _taped(self, reply: RoutedResponse, stream: CommittedStream, loop_context: LoopContext) -> RoutedResponse:
        tape = RecordingStream(
            stream,
            self._call,
            largest=self._replay.largest,
            keep=lambda body: self._keep(reply, body),
            release=self._release,
        )
        loop_context.keep(tape, self._call)
        return RoutedResponse(reply.status, reply.headers, b"", tape)

    def _keep(self, reply: RoutedResponse, body: bytes) -> None:
        self._holds = False
        call = self._call
        if not self._may_be_kept() or call.route is None or call.lane is None:
            self._release()
            return
        kept = _Kept(call.id, call.route, call.lane, reply.headers, body, reply.stream is not None, reply.status)
        self._replay.keep(self._key, kept)

    def _may_be_kept(self) -> bool:
        """Not if the request has become sensitive since: nothing of its text is stored then."""
        return self._caller.still_allowed(self._call) and not self._caller.sensitive

    def _release(self) -> None:
        self._holds = False
        self._replay.replays.release(self._key, self._call.id)

    def _note(self, text: str) -> None:
        call = self._call
        note(call, "notes", (*call.notes, ((self._loop.time() - self._started) * 1000, text)))


def _claim_purpose(key: str, owner: str) -> str:
    return f"replay claim 1 {owner} {key}"


def _purpose(key: str) -> str:
    return f"replay 1 {key}"
