"""What the health of a route hears of an attempt that was let out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lanewise._runtime.call.attempts.admission import Admission
from lanewise.types import Api, LaneName, Send

SEND = Send(route="second", lane=LaneName.EQUIVALENT, attempt_number=2, timeout=5.0)


class Health:
    """Lets everything out, and keeps how long it is told that our own loop stood still."""

    counts_slow = True

    def __init__(self) -> None:
        self.lost: list[float] = []

    def enter(self, *_: object, **__: object) -> Any:
        return SimpleNamespace(decides_early=False)

    def leave(self, *_: object, lost: float, **__: object) -> None:
        self.lost.append(lost)


class Lag:
    """A loop that had stood still for a minute before any of this."""

    lost = 60.0

    def lost_at(self, now: float) -> float:
        return self.lost


@pytest.mark.anyio
@pytest.mark.parametrize("beside", [False, True], ids=["first", "hedge"])
async def test_what_a_loop_lost_before_an_attempt_is_none_of_its_time(beside: bool) -> None:
    """Neither of a call's first attempt nor of one beside it: both are judged slow by their own time."""
    health = Health()
    upstream = SimpleNamespace(provider=SimpleNamespace(name="b"))
    runtime = SimpleNamespace(health=health, limiters={}, budgets=None, upstreams={"second": upstream})
    context = SimpleNamespace(runtime=runtime, loop=SimpleNamespace(lag=Lag()))
    resolved: Any = SimpleNamespace(context=context, call=SimpleNamespace(api=Api.CHAT))
    admission = Admission(resolved)
    nothing: Any = None
    if beside:
        assert await admission.enter_beside(SEND, nothing)
    else:
        assert await admission.enter(SEND, nothing, nothing) is SEND
    admission.leave(None)
    assert health.lost == [0.0]
