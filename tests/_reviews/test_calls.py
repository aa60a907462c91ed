"""Sensitive calls that nobody may answer: left to a person, and nothing of them anywhere but in the case."""

from __future__ import annotations

import logging
import pickle
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import openai
import pytest

from _reviews.asking import DATA, DRAFT, STORAGE_KEY, Desk, draft_of
from busy_machine import LONG_ENOUGH
from lanewise import (
    Call,
    ConfigError,
    FailClosed,
    FailureKind,
    Outcome,
    Review,
    ReviewDecided,
    ReviewNotFound,
    ReviewPending,
    ReviewStatus,
    ReviewsUnavailable,
    Router,
)
from lanewise._runtime.call import escalation as reviewing
from lanewise.testing import Answer, Behaviour, Html, Reset, Silence, Status, StreamOf
from router.driving import FORMS, MESSAGES, PROMPT, WHOLE, Form, ask_in

pytestmark = pytest.mark.anyio

each_form = pytest.mark.parametrize("form", FORMS, ids=str)
each_client = pytest.mark.parametrize("form", WHOLE, ids=str)


@each_form
async def test_what_no_approved_route_answers_waits_for_a_person(form: Form, desk: Desk) -> None:
    """The caller is told where to ask again; nothing was sent elsewhere, and no outer layer asks another model."""
    desk.stage.first.script_all(Status(500))
    async with desk.router() as router:
        got = await ask_in(router.scope(sensitive="payment", review=DATA), form)
        assert isinstance(got.error, ReviewPending)
        assert got.error.review_id is not None
        review = await router.reviews.get(got.error.review_id)
    assert not isinstance(got.error, openai.APIError)
    assert got.error.location == f"/reviews/{review.id}"
    assert got.error.call is got.call
    assert (got.call.outcome, got.call.failure) == (Outcome.PENDING_REVIEW, FailureKind.OUTAGE)
    assert set(got.routes) == {"first"}
    assert desk.stage.second.request_count == 0
    assert (review.status, review.task, review.sensitive) == (ReviewStatus.PENDING, "both", ("payment",))
    assert (review.call_id, review.request_id) == (got.call.id, got.scope.request_id)
    assert (review.why, review.data, review.answer, review.has_draft) == ("first: outage", DATA, None, False)


@pytest.mark.parametrize(
    "behaviour",
    [Status(503), Status(429, retry_after=60), Status(401), Status(400), Html(), Reset("before_headers"), Silence(),
     Answer(model="another"), StreamOf(model="another")],
    ids=["503", "429", "401", "400", "html", "reset", "silence", "swapped", "swapped-stream"],
)  # fmt: skip
async def test_whatever_the_failure_was_a_person_sees_to_it(behaviour: Behaviour, desk: Desk) -> None:
    """As with failing closed: it does not matter how the approved routes failed."""
    desk.stage.first.script_all(behaviour)
    stream = isinstance(behaviour, StreamOf)
    async with desk.router() as router:
        got = await ask_in(router.scope(sensitive="payment"), Form("async", stream=stream), timeout=2.0)
    assert isinstance(got.error, ReviewPending)
    assert desk.stage.second.request_count == 0


@each_client
async def test_an_approved_route_that_answers_opens_no_case(form: Form, desk: Desk) -> None:
    """A person is asked only where nobody else may answer."""
    async with desk.router() as router:
        got = await ask_in(router.scope(sensitive="payment"), form)
        assert await router.reviews.list(None) == []
    assert got.text == "Hello from model-one"


@each_form
async def test_a_category_without_routes_sends_nothing_at_all(form: Form, desk: Desk) -> None:
    """For some data the sending itself would be the breach: then a person is the only route."""
    async with desk.router(routes=[]) as router:
        got = await ask_in(router.scope(sensitive="payment"), form)
        assert isinstance(got.error, ReviewPending)
        assert got.error.review_id is not None
        review = await router.reviews.get(got.error.review_id)
    assert desk.stage.received() == []
    assert review.why == "no route is approved"
    assert (got.call.outcome, got.call.attempts) == (Outcome.PENDING_REVIEW, ())


@each_client
@pytest.mark.parametrize("routes", [["first"], []], ids=["tried", "unsent"])
async def test_no_layer_above_gets_the_question_answered_elsewhere(routes: list[str], form: Form, desk: Desk) -> None:
    """One that catches everything asks the plain task next: the question stays what it was."""
    desk.stage.first.script_all(Status(500))
    mapping: Any = desk.config(review={"routes": routes})
    mapping["tasks"]["refund"] = {"primary": "first", "sensitive": "payment"}
    async with Router.from_mapping(mapping) as router:
        scope = router.scope()
        first = await ask_in(scope, form, "refund")
        again = await ask_in(scope, form, "both")
    assert isinstance(first.error, ReviewPending)
    assert isinstance(again.error, ReviewPending)
    assert desk.stage.second.request_count == 0


async def test_a_category_that_fails_beats_one_that_reviews(desk: Desk) -> None:
    """Nothing inner relaxes an outer one: whatever the task says, the scope's category fails."""
    desk.stage.first.script_all(Status(500))
    async with desk.router() as router:
        got = await ask_in(router.scope(sensitive=("payment", "medical")), Form("async"))
        assert await router.reviews.list(None) == []
    assert isinstance(got.error, FailClosed)
    assert got.call.outcome is Outcome.REFUSED


async def test_what_a_person_can_t_mend_opens_no_case(desk: Desk) -> None:
    """A request that became sensitive too late, an unknown task, a hang-up: these fail closed as ever."""
    async with desk.router() as router:
        scope = router.scope()
        await ask_in(scope, Form("async"))
        scope.raise_sensitivity("payment")
        late = await ask_in(scope, Form("async"))
        unknown = await ask_in(router.scope(sensitive="payment"), Form("async"), "none")
        desk.stage.first.script_all(Silence())
        with anyio.move_on_after(0.3):
            await ask_in(router.scope(sensitive="payment"), Form("async"))
        assert await router.reviews.list(None) == []
    assert isinstance(late.error, FailClosed)
    assert isinstance(unknown.error, FailClosed)


async def test_a_stream_that_broke_after_its_beginning_fails_closed(desk: Desk) -> None:
    """The caller has a part of an answer already; held back whole, it waits for a person."""
    desk.stage.first.script_all(StreamOf(cut_after=2))
    async with desk.router() as router:
        got = await ask_in(router.scope(sensitive="payment"), Form("async", stream=True))
    held = desk.config()
    held["tasks"]["both"]["stream"] = {"hold": "all"}  # type: ignore[index]
    async with Router.from_mapping(held) as router:
        whole = await ask_in(router.scope(sensitive="payment"), Form("async", stream=True))
    assert isinstance(got.error, FailClosed)
    assert isinstance(whole.error, ReviewPending)
    assert whole.text == ""


# -- the decision ------------------------------------------------------------------------------------------------------


async def test_a_person_s_answer_reaches_the_app(desk: Desk) -> None:
    """Pending, then approved with the person's own words, by whom and when."""
    desk.stage.first.script_all(Status(500))
    async with desk.router() as router:
        review_id = await _opened(router)
        before = await router.reviews.get(review_id)
        await router.reviews.approve(review_id, by="Ada", answer="We refund it.")
        after = await router.reviews.get(review_id)
        with pytest.raises(ReviewDecided, match="approved by Ada"):
            await router.reviews.reject(review_id, by="Bob")
        with pytest.raises(ReviewNotFound):
            await router.reviews.get("none")
    assert (before.status, before.answer) == (ReviewStatus.PENDING, None)
    assert (after.status, after.answer, after.decided_by) == (ReviewStatus.APPROVED, "We refund it.", "Ada")
    assert after.decided_at is not None
    assert after.decided_at >= before.created_at


async def test_the_same_for_synchronous_code(desk: Desk) -> None:
    """Every method has its twin."""
    desk.stage.first.script_all(Status(500))
    async with desk.router() as router:
        review_id = await _opened(router)

        def decide() -> tuple[Review, Review]:
            desk_of = router.sync_reviews
            assert [each.id for each in desk_of.list()] == [review_id]
            assert desk_of.case(review_id).question is not None
            return desk_of.reject(review_id, by="Ada"), desk_of.get(review_id)

        rejected, found = await anyio.to_thread.run_sync(decide)
        with pytest.raises(ReviewDecided):
            await anyio.to_thread.run_sync(lambda: router.sync_reviews.approve(review_id, by="Bob", answer="x"))
    assert rejected.status is found.status is ReviewStatus.REJECTED
    assert found.answer is None


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_cases_are_looked_up_on_any_loop(desk: Desk) -> None:
    """Also on one that is no home of the router's."""
    desk.stage.first.script_all(Status(500))
    with desk.router() as router:
        got = await ask_in(router.scope(sensitive="payment"), Form("async"))
        assert isinstance(got.error, ReviewPending)
        review = await router.reviews.approve(got.error.review_id or "", by="\x1b[1mAda\n", answer="Yes.")
        assert await router.reviews.list() == []
    assert review.answer == "Yes."


async def test_of_two_who_decide_at_a_time_one_does(desk: Desk) -> None:
    """The other is told, and nothing of the decision changes."""
    desk.stage.first.script_all(Status(500))
    done: list[str] = []
    late: list[str] = []

    async def decide(router: Router, review_id: str, who: str) -> None:
        try:
            await router.reviews.approve(review_id, by=who, answer=f"by {who}")
        except ReviewDecided:
            late.append(who)
        else:
            done.append(who)

    async with desk.router() as router:
        review_id = await _opened(router)
        async with anyio.create_task_group() as group:
            for who in "abcd":
                group.start_soon(decide, router, review_id, who)
        review = await router.reviews.get(review_id)
    assert len(done) == 1
    assert sorted(done + late) == list("abcd")
    assert (review.decided_by, review.answer) == (done[0], f"by {done[0]}")


async def test_without_a_draft_an_approval_needs_an_answer(desk: Desk) -> None:
    """There would be nothing to give to the caller; and who decides is not left out."""
    desk.stage.first.script_all(Status(500))
    async with desk.router() as router:
        review_id = await _opened(router)
        with pytest.raises(ValueError, match="no draft to approve"):
            await router.reviews.approve(review_id, by="Ada")
        with pytest.raises(ValueError, match="who decides"):
            await router.reviews.approve(review_id, by=" ", answer="x")
        with pytest.raises(ValueError, match="who decides"):
            await router.reviews.approve(review_id, by="\x1b\n\u202e", answer="x")
        assert (await router.reviews.get(review_id)).status is ReviewStatus.PENDING


async def test_the_hook_is_told_of_each_case(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """With the app's own data, to find its ticket; a hook that raises harms nobody, and its error's text stays out."""
    desk.stage.first.script_all(Status(500))
    told: list[Review] = []
    came = threading.Event()
    router = desk.router()

    @router.on_review
    def fails(review: Review) -> None:
        raise RuntimeError(f"canary {review.data}")

    @router.on_review
    def notes(review: Review) -> None:
        told.append(review)
        came.set()

    with pytest.raises(TypeError, match="plain function"):

        @router.on_review  # type: ignore[arg-type]
        async def waits(review: Review) -> None: ...

    async with router:
        scope = router.scope(sensitive="payment")
        scope.for_review(DATA)
        got = await ask_in(scope, Form("async"))
        assert await anyio.to_thread.run_sync(came.wait, 30)
    assert isinstance(got.error, ReviewPending)
    assert [(review.id, review.data) for review in told] == [(got.error.review_id, DATA)]
    assert "an on_review hook raised RuntimeError" in caplog.text
    assert "canary" not in caplog.text


# -- drafts ------------------------------------------------------------------------------------------------------------


@each_form
async def test_a_draft_goes_into_the_case_and_nowhere_else(form: Form, desk: Desk) -> None:
    """Only the person sees it; approved, it is the answer. Its call has a record of its own, outside of the scope."""
    desk.stage.first.script_all(Status(500))
    desk.stage.second.script_all(Answer(DRAFT))
    calls: list[Call] = []
    router = desk.router(review_routes=["second"])
    router.on_call(calls.append)
    async with router:
        got = await ask_in(router.scope(sensitive="payment"), form)
        assert isinstance(got.error, ReviewPending)
        review_id = got.error.review_id
        assert review_id is not None
        waiting = await draft_of(router, review_id)
        case = await router.reviews.case(review_id)
        assert (waiting.status, waiting.answer) == (ReviewStatus.PENDING, None)
        assert DRAFT not in repr((waiting, case, case.draft, got.error, got.call))
        assert case.draft is not None
        assert (case.draft.text, case.draft.route) == (DRAFT, "second")
        assert case.question is not None
        assert case.question["messages"] == MESSAGES
        approved = await router.reviews.approve(review_id, by="Ada")
    assert approved.answer == DRAFT
    assert got.text == ""
    assert [call.outcome for call in got.scope.calls] == [Outcome.PENDING_REVIEW]
    (sent,) = desk.stage.second.journal
    assert not sent.json.get("stream")
    (record,) = [call for call in calls if call.draft_of == review_id]
    assert (record.outcome, record.route, record.sensitive) == (Outcome.PENDING_REVIEW, "second", ("payment",))
    assert record.request_id == got.call.request_id
    assert "=> pending_review, with a draft by second that only a person sees after " in record.explain()


async def test_a_draft_counts_in_the_budgets_of_the_caller_of_its_case(desk: Desk) -> None:
    """What it costs is that subject's, and nobody else's; it is no call of its own."""
    desk.stage.first.script_all(Status(500))
    price = {"price": {"input": 1.0, "output": 1000.0}}
    rule = {"routes": ["first"], "on_failure": "review", "review_routes": ["second"]}
    budgets = {
        "calls": {"limit": "2 calls", "window": "1d", "per": "subject"},
        "usd": {"limit": "9 USD", "window": "1d", "per": "subject"},
    }
    mapping: Any = desk.config(review=rule, budgets=budgets)
    for route in mapping["routes"].values():
        route |= price
    async with Router.from_mapping(mapping) as router:
        spent = {}
        for subject in ("user-7", "user-8", "user-7"):
            got = await ask_in(router.scope(sensitive="payment", subject=subject), Form("async"))
            assert isinstance(got.error, ReviewPending)
            assert got.error.review_id is not None
            await draft_of(router, got.error.review_id)
            spent[subject] = got.call.explain()
    assert "reserves 1 of budget calls (1 of 2 calls with it)" in spent["user-8"]
    assert "reserves 1 of budget calls (2 of 2 calls with it)" in spent["user-7"]
    assert "of budget usd (1.0" in spent["user-8"]
    assert "0.005 of 9.00 USD" not in spent["user-7"]


async def test_the_caller_does_not_wait_for_the_draft(desk: Desk) -> None:
    """A slow route for drafts costs the caller nothing, and closing the router gives the draft up."""
    desk.stage.first.script_all(Status(500))
    desk.stage.second.script_all(Silence())
    async with desk.router(review_routes=["second"]) as router:
        with anyio.fail_after(8):
            review_id = await _opened(router)
        with anyio.fail_after(LONG_ENOUGH):
            while not desk.stage.second.request_count:
                await anyio.sleep(0.01)
    async with router:
        review = await router.reviews.get(review_id)
    assert (review.status, review.has_draft) == (ReviewStatus.PENDING, False)


async def test_drafts_try_their_routes_in_turn_and_a_swapped_model_writes_none(desk: Desk) -> None:
    """The rules of sensitive calls hold for drafts too: none by a model that was not asked for, none from elsewhere."""
    desk.stage.first.script_all(Status(401))
    desk.stage.second.script_all(Answer("no", model="another-model"))
    ended: list[Call] = []
    router = desk.router(routes=["second"], review_routes=["second", "first"])
    router.on_call(ended.append)
    async with router:
        review_id = await _opened(router)
        with anyio.fail_after(LONG_ENOUGH):
            while len(ended) < 2:
                await anyio.sleep(0.02)
        review = await router.reviews.get(review_id)
        assert len(await router.reviews.list(None)) == 1, "a draft that fails opens no case of its own"
    assert (review.status, review.has_draft) == (ReviewStatus.PENDING, False)
    assert [attempt.route for attempt in ended[1].attempts] == ["second", "first"]
    assert ended[1].outcome is Outcome.REFUSED


async def test_only_routes_that_all_categories_name_write_drafts(desk: Desk) -> None:
    """As with answers: what one category forbids, no other allows."""
    desk.stage.first.script_all(Status(500))
    other = {"routes": ["first"], "on_failure": "review", "review_routes": ["first"]}
    mapping: Any = desk.config(review={"review_routes": ["second"]})
    mapping["sensitive"]["minors"] = other
    async with Router.from_mapping(mapping) as router:
        got = await ask_in(router.scope(sensitive=("payment", "minors")), Form("async"))
        assert isinstance(got.error, ReviewPending)
        await anyio.sleep(0.2)
    assert desk.stage.second.request_count == 0


# -- the queue away ----------------------------------------------------------------------------------------------------


@each_form
async def test_without_its_queue_a_call_fails_closed(form: Form, desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is relaxed because the database is away: no other route, no draft, and the log says what is wrong."""
    desk.stage.first.script_all(Status(500))
    desk.file.mkdir()  # no database can be there
    async with desk.router(review_routes=["second"]) as router:
        got = await ask_in(router.scope(sensitive="payment"), form)
        with pytest.raises(ReviewsUnavailable):
            await router.reviews.list()
    assert isinstance(got.error, FailClosed)
    assert got.call.outcome is Outcome.REFUSED
    assert "no case could be opened for a person" in str(got.error)
    assert "no case could be opened for a person" in caplog.text
    assert desk.stage.second.request_count == 0
    assert PROMPT not in caplog.text


async def test_a_queue_that_hangs_is_not_waited_for_and_holds_no_case_afterwards(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A case that nobody was told of is none: what was being written is taken back."""
    desk.stage.first.script_all(Status(500))
    async with desk.router() as router:
        await _opened(router)
        monkeypatch.setattr(reviewing, "OPEN_WAIT", 0.3)
        with _locked(desk):
            got = await ask_in(router.scope(sensitive="payment"), Form("async"))
        await anyio.sleep(0.3)
        assert len(await router.reviews.list(None)) == 1
    assert isinstance(got.error, FailClosed)
    assert "within 0.3 s" in str(got.error)


async def test_a_config_without_a_queue_has_no_reviews(desk: Desk) -> None:
    """And says what is missing."""
    mapping: Any = desk.config(review={"on_failure": "fail"})
    del mapping["router"]
    async with Router.from_mapping(mapping) as router:
        with pytest.raises(ReviewsUnavailable, match="storage_key_env"):
            await router.reviews.list()


def test_a_review_without_ledger_or_key_is_a_mistake_of_the_config(desk: Desk) -> None:
    """Told when the config is read, at its place and with the fix, both at once."""
    mapping: Any = desk.config()
    del mapping["router"]
    with pytest.raises(ConfigError) as caught:
        Router.from_mapping(mapping)
    places = {(mistake.place, mistake.problem) for mistake in caught.value.mistakes}
    assert places == {
        ("sensitive.payment.on_failure", "a case for a person needs a database, and there is no ledger"),
        ("sensitive.payment.on_failure", "a case for a person is stored encrypted, and there is no key for that"),
    }


# -- canaries ----------------------------------------------------------------------------------------------------------


async def test_no_text_is_found_anywhere_but_sealed(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Prompt, data, draft and answer: in no column, log, repr, error or pickle; the case opens with the key alone."""
    caplog.set_level(logging.DEBUG)
    desk.stage.first.script_all(Status(500))
    desk.stage.second.script_all(Answer(DRAFT))
    answer = "canary-answer: we refund it"
    canaries = [PROMPT, DATA["note"], DRAFT, answer, STORAGE_KEY]
    async with desk.router(review_routes=["second"]) as router:
        got = await ask_in(router.scope(sensitive="payment", review=DATA), Form("async"))
        assert isinstance(got.error, ReviewPending)
        review_id = got.error.review_id
        assert review_id is not None
        await draft_of(router, review_id)
        review = await router.reviews.approve(review_id, by="Ada", answer=answer)
        case = await router.reviews.case(review_id)
    seen = [desk.stored(), pickle.dumps(got.error), pickle.dumps(got.call), caplog.text.encode()]
    seen += [repr((got.error, review, case, case.draft, router, got.scope)).encode(), str(got.error).encode()]
    assert len(desk.rows()) == 1
    for canary in canaries:
        assert not any(str(canary).encode() in where for where in seen)
    for held in (review, case):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(held)
    copied = pickle.loads(pickle.dumps(got.error))
    assert (copied.review_id, copied.location) == (review_id, got.error.location)


async def test_another_key_opens_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database alone is no use to a thief, and a case can't be moved under another's id."""
    desk.stage.first.script_all(Status(500))
    async with desk.router() as router:
        first, second = await _opened(router), await _opened(router)
    with _edited(desk) as connection:
        connection.execute(
            "UPDATE reviews SET sealed_question = (SELECT sealed_question FROM reviews WHERE id = ?) WHERE id = ?",
            (first, second),
        )
    async with desk.router() as router:
        assert (await router.reviews.case(first)).question is not None
        with pytest.raises(ReviewsUnavailable, match="sealed for another purpose"):
            await router.reviews.case(second)
    monkeypatch.setenv("STORAGE_KEY", "another-storage-key-of-32-characters-and-more")
    async with desk.router() as router:
        with pytest.raises(ReviewsUnavailable, match="key that is not in use"):
            await router.reviews.case(first)


FAR_AWAY = "'2099-01-01 00:00:00.000000+00:00'"
EDITS = {
    "approved": "status = 'approved', decided_by = 'Ada', decided_at = created_at",
    "rejected": "status = 'rejected'",
    "expired": "status = 'expired'",
    "another task": "task = 'chat'",
    "another category": "sensitive = ''",
    "another reason": "why = 'nothing'",
    "a longer time": f"expires_at = {FAR_AWAY}, texts_until = {FAR_AWAY}",
    "texts that stay": f"texts_until = {FAR_AWAY}",
    "a longer keeping": "keep_seconds = 1e9",
    "another request": "request_id = 'req-2026-000043'",
    "a draft": "draft_route = 'second'",
    "no seal": "row_seal = NULL",
    "another case's seal": "row_seal = (SELECT row_seal FROM reviews WHERE id != :id)",
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
async def test_an_edit_in_the_database_is_noticed(edit: str, desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever of a case it changes: the case is used no more, for nobody, and the others go on."""
    desk.stage.first.script_all(Status(500))
    async with desk.router() as router:
        edited, other = await _opened(router), await _opened(router)
        with _edited(desk) as connection:
            connection.execute(f"UPDATE reviews SET {edit} WHERE id = :id", {"id": edited})
        for use in (router.reviews.get(edited), router.reviews.case(edited)):
            with pytest.raises(ReviewsUnavailable, match=edited):
                await use
        with pytest.raises(ReviewsUnavailable):
            await router.reviews.approve(edited, by="Ada", answer="Yes.")
        assert [review.id for review in await router.reviews.list()] == [other]
        if not edit.startswith("status"):  # else it is not among those that wait
            assert any(edited in record.message for record in caplog.records)
        assert (await router.reviews.approve(other, by="Ada", answer="Yes.")).answer == "Yes."


async def test_an_edit_of_a_decision_is_noticed(desk: Desk) -> None:
    """Who decided, and what: the answer of one case is no other's, and a rejected one is not approved."""
    desk.stage.first.script_all(Status(500))
    async with desk.router() as router:
        approved, rejected = await _opened(router), await _opened(router)
        await router.reviews.approve(approved, by="Ada", answer="Yes.")
        await router.reviews.reject(rejected, by="Ada")
        for id_, edit in (
            (approved, "decided_by = 'Bob'"),
            (rejected, "status = 'approved', sealed_answer = (SELECT sealed_answer FROM reviews WHERE id != :id)"),
        ):
            with _edited(desk) as connection:
                connection.execute(f"UPDATE reviews SET {edit} WHERE id = :id", {"id": id_})
            with pytest.raises(ReviewsUnavailable):
                await router.reviews.get(id_)


async def test_what_json_can_t_say_is_refused_where_it_is_given(desk: Desk) -> None:
    """Not in the outage, when it is too late."""
    async with desk.router() as router:
        scope = router.scope()
        with pytest.raises(TypeError, match="JSON") as caught:
            scope.for_review({"canary": object()})
        with pytest.raises(TypeError, match="JSON"):
            router.scope(review={"text": "canary\ud800"})
    assert "canary" not in str(caught.value)


async def test_an_inner_scope_s_case_has_the_data_of_the_outer(desk: Desk) -> None:
    """The request is the same."""
    desk.stage.first.script_all(Status(500))
    async with desk.router() as router:
        with router.scope(review=DATA):
            inner = router.scope(sensitive="payment")
            got = await ask_in(inner, Form("async"))
        assert isinstance(got.error, ReviewPending)
        assert (await router.reviews.get(got.error.review_id or "")).data == DATA


@contextmanager
def _edited(desk: Desk) -> Iterator[sqlite3.Connection]:
    """The database in the hands of somebody else."""
    connection = sqlite3.connect(desk.file, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def _locked(desk: Desk) -> Iterator[None]:
    """Somebody holds the database's lock for a while."""
    with _edited(desk) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


async def _opened(router: Router) -> str:
    got = await ask_in(router.scope(sensitive="payment"), Form("async"))
    assert isinstance(got.error, ReviewPending)
    assert got.error.review_id is not None
    return got.error.review_id
