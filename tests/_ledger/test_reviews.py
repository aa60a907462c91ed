"""The queue of cases in both databases: written before anybody is told, decided once, forgotten in time."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from sqlalchemy import Engine, func, select

from busy_machine import LONG_ENOUGH
from lanewise import Api, Call, Review, ReviewDecided, ReviewNotFound, ReviewStatus, ReviewsUnavailable
from lanewise._ledger.retention import Retention
from lanewise._ledger.schema.tables import reviews
from lanewise._reviews import NewCase, ReviewQueue
from lanewise._sealing import Seal

KEY = "canary-storage-key-of-at-least-32-characters"
QUESTION = json.dumps({"messages": [{"role": "user", "content": "canary-prompt \u20ac"}]}).encode()
CALL = Call(
    id="call-1",
    request_id="req-2026-000042",
    task="refund",
    api=Api.CHAT,
    started_at=datetime.now(UTC),
    sensitive=("medical", "payment"),
)
NEW = NewCase(CALL, "first: outage", b'{"ticket":7}', QUESTION, 3600.0, 60.0)


@pytest.fixture
def queue(url: str, engine: Engine) -> Iterator[ReviewQueue]:
    """A queue in an up-to-date ledger."""
    queue = ReviewQueue(url, Seal([KEY]))
    yield queue
    queue.close()


def opened(queue: ReviewQueue, new: NewCase = NEW) -> Review:
    review = queue.open(new)
    assert review is not None
    return review


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """A clock that can be put forward."""
    with time_machine.travel(datetime.now(UTC)) as traveller:
        yield traveller


def texts(engine: Engine) -> int:
    """How many texts are stored, of all cases."""
    columns = [func.count(column) for column in reviews.c if column.name.startswith("sealed_")]
    with engine.connect() as connection:
        return sum(connection.execute(select(*columns)).one())


def test_a_case_comes_back_as_it_was_opened(queue: ReviewQueue, engine: Engine) -> None:
    """All of it, from any other process; in the table are only ids, names and times in the clear."""
    review = opened(queue)
    found = queue.get(review.id)
    assert found == review
    assert (found.data, found.sensitive, found.why) == ({"ticket": 7}, ("medical", "payment"), "first: outage")
    assert found.expires_at - found.created_at == timedelta(hours=1)
    assert queue.case(review.id).question == json.loads(QUESTION)
    with engine.connect() as connection:
        row = connection.execute(select(reviews)).one()
    assert "canary" not in repr(tuple(row))
    assert b"canary" not in b"".join(value for value in row if isinstance(value, bytes))
    with pytest.raises(ReviewNotFound):
        queue.get("another")


def test_what_nobody_waits_for_is_not_there(queue: ReviewQueue) -> None:
    """The caller was told that it failed closed: a person must not find a case of it."""
    assert queue.open(NEW, lambda: False) is None
    assert queue.latest() == []


def test_a_case_is_decided_once(queue: ReviewQueue) -> None:
    """Of many who decide at a time one does; the others learn by whom."""
    review = opened(queue)
    start = threading.Barrier(4)

    def decide(who: int) -> bool:
        start.wait()
        try:
            queue.approve(review.id, by=f"person {who}", answer=f"answer {who}")
        except ReviewDecided:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        won = list(threads.map(decide, range(4)))
    assert sum(won) == 1
    found = queue.get(review.id)
    assert found.decided_by == f"person {won.index(True)}"
    assert found.answer == f"answer {won.index(True)}"


def test_a_draft_comes_too_late_for_a_decided_case(queue: ReviewQueue) -> None:
    """A person was faster than the model."""
    review = opened(queue)
    assert queue.add_draft(review.id, "first draft", "second")
    queue.reject(review.id, by="Ada")
    assert not queue.add_draft(review.id, "late draft", "second")
    draft = queue.case(review.id).draft
    assert draft is not None
    assert draft.text == "first draft"
    assert queue.get(review.id).answer is None


def test_texts_go_when_their_time_is_over_and_the_decision_stays(
    clock: time_machine.Traveller, queue: ReviewQueue, engine: Engine
) -> None:
    """``keep`` after the decision; who decided and when is kept."""
    review = opened(queue)
    queue.add_draft(review.id, "draft", "second")
    decided = queue.approve(review.id, by="Ada")
    assert texts(engine) == 4
    clock.shift(timedelta(seconds=61))
    found = queue.get(review.id)
    assert (found.answer, found.data, queue.case(review.id).question) == (None, None, None)
    assert queue.forget() == 1
    assert texts(engine) == 0
    found = queue.get(review.id)
    assert (found.status, found.decided_by) == (ReviewStatus.APPROVED, "Ada")
    assert found.decided_at is not None
    assert decided.decided_at is not None
    assert queue.forget() == 0


def test_a_case_that_nobody_decides_expires(clock: time_machine.Traveller, queue: ReviewQueue, engine: Engine) -> None:
    """Also where nobody has written that down yet: it can't be decided any more, and nothing of it is read."""
    review = opened(queue)
    clock.shift(timedelta(hours=2))
    assert queue.get(review.id).status is ReviewStatus.EXPIRED
    with pytest.raises(ReviewDecided, match="expired"):
        queue.approve(review.id, by="Ada", answer="x")
    assert queue.latest(ReviewStatus.PENDING) == []
    assert [each.id for each in queue.latest(ReviewStatus.EXPIRED)] == [review.id]
    assert texts(engine) == 0


def test_the_ledger_s_own_retention_lets_cases_expire(
    clock: time_machine.Traveller, queue: ReviewQueue, engine: Engine
) -> None:
    """Without any command or call: whoever writes the ledger looks after them."""
    opened(queue)
    clock.shift(timedelta(hours=2))
    Retention(timedelta(days=90)).step(engine)
    assert texts(engine) == 0
    with engine.connect() as connection:
        assert connection.execute(select(reviews.c.status)).scalar_one() == "expired"


def test_the_list_has_the_latest_first_and_no_texts(queue: ReviewQueue) -> None:
    """So many as are asked for."""
    ids = [opened(queue).id for _ in range(4)]
    found = queue.latest(most=3)
    assert [review.id for review in found] == ids[:0:-1]
    assert {review.data for review in found} == {None}


def test_without_its_tables_the_queue_says_what_to_do(url: str) -> None:
    """A PostgreSQL gets its tables by a command; a new SQLite file by itself."""
    queue = ReviewQueue(url, Seal([KEY]))
    try:
        if url.startswith("sqlite"):
            assert opened(queue).status is ReviewStatus.PENDING
        else:
            with pytest.raises(ReviewsUnavailable, match="lanewise ledger upgrade"):
                queue.open(NEW)
    finally:
        queue.close()


def test_whatever_a_database_raises_is_told_in_our_words(queue: ReviewQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver's own errors may quote addresses and values: nothing of them gets out."""

    def breaks(*_: object) -> None:
        raise RuntimeError("canary: postgresql://user:password@host")

    review = opened(queue)
    monkeypatch.setattr("lanewise._ledger.review_table.ReviewTable.get", breaks)
    monkeypatch.setattr("lanewise._ledger.review_table.ReviewTable.add", breaks)
    for use in (lambda: queue.get(review.id), lambda: queue.open(NEW)):
        with pytest.raises(ReviewsUnavailable) as caught:
            use()
        assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_a_queue_can_be_used_after_its_close_and_after_a_fork(queue: ReviewQueue) -> None:
    """The child has connections and threads of its own."""
    queue.submit(lambda: queue.open(NEW)).result(timeout=LONG_ENOUGH)
    queue.close()
    queue.submit(lambda: queue.open(NEW)).result(timeout=LONG_ENOUGH)
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            queue.after_fork()
            queue.submit(lambda: queue.open(NEW)).result(timeout=LONG_ENOUGH)
            queue.close()
            os._exit(0)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert status == 0
    queue.submit(lambda: queue.open(NEW)).result(timeout=LONG_ENOUGH)
    assert len(queue.latest()) == 4
