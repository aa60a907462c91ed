"""One attempt that is several requests at once: a route that gives one answer at a time stands in for ``n``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from understudy.engine import attempt
from understudy.engine.attempt import Job, Opened, Whole
from understudy.policy import failures
from understudy.policy.answers import from_answer
from understudy.policy.merging import merged
from understudy.words import Attempt, Failure

__all__ = ["run_all"]


async def run_all(jobs: Sequence[Job], record: Attempt) -> Whole | Opened | Failure:
    """Make all requests of an attempt, and put their answers together. The first failure is the attempt's, and ends
    the others; the times in ``record`` are those of the first request."""
    if len(jobs) == 1:
        return await attempt.run(jobs[0], record)
    records = [record, *(msgspec.structs.replace(record) for _ in jobs[1:])]
    running = [asyncio.ensure_future(attempt.run(job, its)) for job, its in zip(jobs, records, strict=True)]
    try:
        for done in asyncio.as_completed(running):
            result = await done
            if isinstance(result, Failure):
                return result
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    return _together(jobs[0], [task.result() for task in running])


def _together(job: Job, results: Sequence[Whole | Opened | Failure]) -> Whole | Failure:
    answers = [result for result in results if isinstance(result, Whole)]
    body = merged([answer.body for answer in answers]) if len(answers) == len(results) else None
    if body is None:
        return failures.NOT_JSON.failure(http_status=200)
    judged = from_answer(job.api, body)
    if isinstance(judged, Failure):
        return judged
    if len({answer.answer.model for answer in answers}) > 1:
        judged = msgspec.structs.replace(judged, model=None)  # so it is none that a sensitive call could have asked for
    return Whole(answers[0].headers, body, judged)
