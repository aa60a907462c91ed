"""One attempt that is several requests at once: a route that gives one answer at a time stands in for ``n``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from lanewise._openai.response_check import Answer, from_answer
from lanewise._openai.usage.usage import add_up
from lanewise._runtime.call.attempts import attempt
from lanewise._runtime.call.attempts.attempt_types import AttemptRequest, AttemptResult, CompleteResponse
from lanewise._runtime.call.record_fields import AttemptFields
from lanewise._transform.merge_choices import merged
from lanewise.types import Attempt, Failure

__all__ = ["PartialFailure", "run_all"]


class PartialFailure(msgspec.Struct, frozen=True):
    """Several requests that did not come to one answer.

    ``answer`` is what those used that were answered all the same. ``unclear``: others may be billed too, since they
    were cut off, or nobody knows how they ended.
    """

    failure: Failure
    answer: Answer | None
    unclear: bool


async def run_all(jobs: Sequence[AttemptRequest], record: Attempt) -> CompleteResponse | PartialFailure:
    """Make all requests of an attempt, and put their answers together. The first failure is the attempt's, and ends
    the others; the times in ``record`` are those of the first request, its status that of the one that failed."""
    records = [record, *(msgspec.structs.replace(record) for _ in jobs[1:])]
    running = [asyncio.ensure_future(attempt.run(request, its)) for request, its in zip(jobs, records, strict=True)]
    try:
        await _first_failure(running)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    results = [task.result() for task in running if not task.cancelled()]
    for its, task in zip(records, running, strict=True):
        if not task.cancelled() and isinstance(failure := task.result(), Failure):
            AttemptFields.http_status(record, its.http_status)
            return _fallen(failure, results, cut=len(results) < len(jobs))
    return _together(jobs[0], results)


async def _first_failure(running: Sequence[asyncio.Future[AttemptResult]]) -> None:
    """Wait for the first request that fails, or for all of them."""
    for done in asyncio.as_completed(running):
        if isinstance(await done, Failure):
            return


def _fallen(failure: Failure, results: Sequence[AttemptResult], *, cut: bool) -> PartialFailure:
    unclear = any(
        isinstance(result, Failure) and (result.outcome_unknown or result.http_status == 200) for result in results
    )
    return PartialFailure(
        failure, _sum([result.answer for result in results if isinstance(result, CompleteResponse)]), cut or unclear
    )


def _together(request: AttemptRequest, results: Sequence[AttemptResult]) -> CompleteResponse | PartialFailure:
    answers = [result for result in results if isinstance(result, CompleteResponse)]
    body = merged([answer.body for answer in answers]) or b""
    judged = from_answer(request.api, body)
    if isinstance(judged, Failure):
        return PartialFailure(judged, _sum([answer.answer for answer in answers]), unclear=False)
    if len({answer.answer.model for answer in answers}) > 1:
        judged = msgspec.structs.replace(judged, model=None)  # so it is none that a sensitive call could have asked for
    judged = msgspec.structs.replace(judged, usage=add_up([answer.answer.usage for answer in answers]))
    return CompleteResponse(answers[0].headers, body, judged)


def _sum(answers: Sequence[Answer]) -> Answer | None:
    """What some answers used together."""
    if not answers:
        return None
    return Answer(
        model=answers[0].model,
        usage=add_up([answer.usage for answer in answers]),
        content_bytes=sum(answer.content_bytes for answer in answers),
    )
