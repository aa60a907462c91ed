"""Cases on the page: seen and decided by reviewers alone, in the name that the app gives, once."""

from __future__ import annotations

import html
import re

import pytest

from busy_machine import until
from dashboard.stage import Stage, Visitor, ask, mounted, visiting
from lanewise import Router
from lanewise.testing import Answer, Status

SCRIPT = "</textarea><script>alert(1)</script>"


@pytest.fixture(scope="module")
def kept(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the ledger of this module's routers is."""
    return f"sqlite:///{tmp_path_factory.mktemp('reviews') / 'ledger.db'}"


def a_case(stage: Stage, router: Router, draft: str = "canary-draft") -> str:
    """A case that waits, with a draft."""
    stage.first.script("model-bank", Status(503))
    stage.second.script("model-two", Answer(draft))
    before = {review.id for review in router.sync_reviews.list()}
    ask(router, "pay", review={"order": "<b>7</b>"})
    (review,) = [review for review in router.sync_reviews.list() if review.id not in before]
    until(lambda: router.sync_reviews.get(review.id).has_draft)
    return review.id


def test_a_case_is_approved_with_its_draft(stage: Stage, kept: str) -> None:
    """The question, the draft and what the app says of it are shown; who decided is what the app answered."""
    for mount in ("starlette", "flask"):
        router = Router.from_mapping(stage.config(kept))
        with mounted(mount, router) as url, visiting(url, {"x-user": "boss"}) as boss:
            review_id = a_case(stage, router)
            assert review_id in boss.text("reviews")
            page = boss.text(f"reviews/{review_id}")
            assert "canary-question" in page
            assert "canary-draft" in page
            assert '"order": "<b>7</b>"' in page
            token = boss.token(f"reviews/{review_id}")
            fields = {"csrf": token, "decision": "approve", "answer": "canary-draft", "by": "somebody else"}
            answer = boss.post(f"reviews/{review_id}", **fields)
            assert answer.status_code == 303
            decided = router.sync_reviews.get(review_id)
            assert (decided.status, decided.answer, decided.decided_by) == ("approved", "canary-draft", "the boss")
            assert "Approved by the boss" in boss.text(f"reviews/{review_id}")
            again = boss.post(f"reviews/{review_id}", **{**fields, "decision": "reject"})
            assert again.status_code == 409
            assert "approved by the boss" in again.text
            assert router.sync_reviews.get(review_id).status == "approved"


def test_a_case_is_edited_and_another_rejected(stage: Stage, kept: str) -> None:
    """What the person wrote is the answer, with its lines as they were written."""
    router = Router.from_mapping(stage.config(kept))
    with mounted("starlette", router) as url, visiting(url, {"x-user": "boss"}) as boss:
        edited, rejected = a_case(stage, router), a_case(stage, router)
        token = boss.token(f"reviews/{edited}")
        boss.post(f"reviews/{edited}", csrf=token, decision="approve", answer="two\r\nlines")
        boss.post(f"reviews/{rejected}", csrf=boss.token(f"reviews/{rejected}"), decision="reject")
        assert router.sync_reviews.get(edited).answer == "two\nlines"
        assert router.sync_reviews.get(rejected).status == "rejected"


@pytest.mark.parametrize("fields", [{"decision": "approve", "answer": "  "}, {"decision": "maybe", "answer": "x"}, {}])
def test_a_case_is_decided_by_nothing_less(stage: Stage, kept: str, fields: dict[str, str]) -> None:
    """No empty answer, no decision that is none: it goes on waiting."""
    router = Router.from_mapping(stage.config(kept))
    with mounted("flask", router) as url, visiting(url, {"x-user": "boss"}) as boss:
        review_id = a_case(stage, router)
        answer = boss.post(f"reviews/{review_id}", csrf=boss.token(f"reviews/{review_id}"), **fields)
        assert answer.status_code in (400, 409)
        assert router.sync_reviews.get(review_id).status == "pending"


def test_a_form_of_another_site_decides_nothing(stage: Stage, kept: str) -> None:
    """Nor does one of somebody who may only look."""
    router = Router.from_mapping(stage.config(kept))
    with mounted("starlette", router) as url, visiting(url, {"x-user": "boss"}) as boss, visiting(url) as staff:
        review_id = a_case(stage, router)
        token = boss.token(f"reviews/{review_id}")
        evil = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
        assert boss.post(f"reviews/{review_id}", headers=evil, csrf=token, decision="reject").status_code == 403
        assert boss.post(f"reviews/{review_id}", decision="reject").status_code == 403
        assert staff.post(f"reviews/{review_id}", csrf=token, decision="reject").status_code == 403
        assert "canary" not in staff.get(f"reviews/{review_id}").text
        assert router.sync_reviews.get(review_id).status == "pending"


def test_what_a_case_holds_is_a_text(stage: Stage, kept: str) -> None:
    """A draft can't get out of the field that it is in."""
    router = Router.from_mapping(stage.config(kept))
    with mounted("flask", router) as url, visiting(url, {"x-user": "boss"}) as boss:
        review_id = a_case(stage, router, SCRIPT)
        raw = boss.get(f"reviews/{review_id}").text
        assert "<script>alert" not in raw
        field = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", raw, re.DOTALL)
        assert field
        assert html.unescape(field[1]) == SCRIPT


def test_without_reviews_the_page_says_so(stage: Stage) -> None:
    """A config without a ledger has no cases."""
    with mounted("flask", Router.from_mapping(stage.config())) as url, visiting(url, {"x-user": "boss"}) as boss:
        answer = boss.get("reviews")
    assert answer.status_code == 503
    assert "storage_key_env" in answer.text


def test_no_case_has_such_an_id(boss: Visitor) -> None:
    """A 404, for whoever may see cases."""
    assert boss.get("reviews/01a203e9-none").status_code == 404
