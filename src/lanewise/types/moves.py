"""What a plan does next: it sends, switches, waits or stops."""

from __future__ import annotations

from typing import Literal

import msgspec

from lanewise.types.failures import Failure, LaneName

__all__ = ["Move", "Send", "Skip", "Stop", "Switch", "Wait"]


class Skip(msgspec.Struct, frozen=True, omit_defaults=True):
    """A route that was passed over, and why. ``failure`` is what opened it, if it is open."""

    route: str
    lane: LaneName
    reason: str
    failure: Failure | None = None


class Send(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="send"):
    """Send an attempt. ``timeout``, ``first_token`` and ``first_byte`` are in seconds from the move; ``patience`` is
    for how many seconds a cap of our own may hold it back. ``last_resort`` says that it goes to a route that fails in
    part, since no other is left, and ``slot`` that it is the next probe of one that is throttled."""

    route: str
    lane: LaneName
    attempt_number: int
    timeout: float
    first_token: float | None = None
    first_byte: float | None = None
    patience: float = 0.0
    cause: Literal["first", "retry", "switch", "drop", "restart", "repair", "hedge"] = "first"
    last_resort: bool = False
    slot: bool = False
    skipped: tuple[Skip, ...] = ()


class Switch(Send, frozen=True, kw_only=True, tag="switch"):
    """Send an attempt on another route than the attempt before."""


class Wait(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="wait"):
    """Wait, then ask the plan again. ``seconds`` from the move."""

    seconds: float
    route: str
    lane: LaneName
    reason: str


class Stop(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="stop"):
    """Nothing more is tried. ``failure`` decides which error the app gets."""

    failure: Failure
    reason: str
    skipped: tuple[Skip, ...] = ()


Move = Send | Wait | Stop
"""What the plan does next (a :class:`Switch` is a :class:`Send`). The tags are those of the ledger's JSON."""
