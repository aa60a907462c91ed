"""Checks answers by their contract in bounded time: here, or where that may take too long in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from lanewise._contracts.contract import Breach, Contract
from lanewise._contracts.isolated_checks import CheckUnavailable, IsolatedChecks
from lanewise._contracts.json_schema import BadSchema, Question, TooMuchWork
from lanewise._failures import failure_table as failures
from lanewise._openai.choices import Choice

__all__ = ["LONGEST", "breach_of"]

LONGEST: Final = 5.0
"""Seconds that a check may take, all that it asks together."""


async def breach_of(
    contract: Contract, said: Sequence[Choice] | None, checks: IsolatedChecks, seconds: float
) -> Breach | None:
    """How an answer breaks the contract, or ``None``. One that can't be judged in ``seconds`` counts as breaking a
    contract of its task; where the call's own schema is the reason, the call is refused.

    Example::

        breach = await breach_of(contract, read_choices(Api.CHAT, body), checks, seconds=5.0)
    """
    verdicts: dict[Question, str | None] = {}
    until = time.monotonic() + seconds
    while True:
        try:
            return contract.breach(said, verdicts)
        except TooMuchWork as work:
            question, of_task = work.question, work.of_task
        try:
            verdicts[question] = await checks.breach(question, max(0.0, until - time.monotonic()))
        except (CheckUnavailable, BadSchema) as error:
            if of_task:
                return Breach(failures.CONTRACT.failure(http_status=200, cause=str(error)))
            code = "invalid_schema" if isinstance(error, BadSchema) else "schema_takes_too_long"
            return Breach(failures.UNJUDGED.failure(code=code, cause=str(error)))
