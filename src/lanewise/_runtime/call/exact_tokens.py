"""Counts a question's tokens where an estimate can't tell whether it fits a route: in a thread, and not for long."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec

from lanewise._openai.tokens import count_body
from lanewise._runtime.call.resolve import ResolvedCall
from lanewise._runtime.candidate_selector import NeedsTokenCount
from lanewise.types import Api

__all__ = ["with_count"]

WAIT: Final = 0.25
"""Seconds for which a count is waited for: about a megabyte of text. After that the estimate counts."""


async def with_count(resolved: ResolvedCall, unsure: NeedsTokenCount) -> ResolvedCall:
    """The call with its candidates by the count of its question; as it is if there is no exact one, or not in time.

    Example::

        if prepared.unsure is not None:
            prepared = await with_count(prepared, prepared.unsure)
    """
    work = asyncio.get_running_loop().run_in_executor(
        None, _counts, resolved.body.raw, resolved.call.api, unsure.models
    )
    done, _ = await asyncio.wait((work,), timeout=WAIT)
    counts = work.result() if done else {}
    if not counts:
        return resolved
    return msgspec.structs.replace(resolved, candidates=unsure.fitting(counts))


def _counts(raw: bytes, api: Api, models: Mapping[str, str]) -> dict[str, int]:
    """The tokens for each route whose model's can be counted exactly: images and tools can't."""
    try:
        body = msgspec.json.decode(raw, type=dict[str, object])
    except (msgspec.MsgspecError, RecursionError):
        return {}
    by_model = {model: count_body(body, api, model) for model in set(models.values())}
    return {route: by_model[model].tokens for route, model in models.items() if by_model[model].exact}
