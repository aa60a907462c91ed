"""Reviews: the cases that wait for a person, one of them with its texts, and its decision. For reviewers alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from lanewise._reviews import Case, ReviewDecided, ReviewError, ReviewNotFound, ReviewStatus
from lanewise._reviews.conversation import conversation
from lanewise.web.dashboard.page_request import PageRequest, PageResponse, Refused, Viewer
from lanewise.web.dashboard.views.view_context import ViewContext

__all__ = ["case_of_review", "decide", "list_of_reviews"]

_LISTED: Final = 100
_STATUSES: Final = ("pending", "approved", "rejected", "expired", "all")


def list_of_reviews(context: ViewContext, request: PageRequest, viewer: Viewer) -> PageResponse:
    """The cases that wait, newest first and without their texts. Raises Refused."""
    _require_reviewer(viewer)
    status = request.asked.get("status", "pending")
    if status not in _STATUSES:
        raise Refused(400, "There is no such status.")
    try:
        found = context.router.sync_reviews.list(None if status == "all" else ReviewStatus(status), limit=_LISTED)
    except ReviewError as error:
        raise _refused(error) from None
    return context.page(
        "reviews.html",
        request,
        viewer,
        now=datetime.now(UTC),
        reviews=found,
        shown=status,
        statuses=_STATUSES,
        is_cut=len(found) == _LISTED,
    )


def case_of_review(context: ViewContext, request: PageRequest, viewer: Viewer, review_id: str) -> PageResponse:
    """One case with its question and its draft, and the form that decides it. Raises Refused."""
    _require_reviewer(viewer)
    return _page(context, request, viewer, _case(context, review_id))


def decide(
    context: ViewContext, request: PageRequest, viewer: Viewer, review_id: str, form: Mapping[str, str]
) -> PageResponse:
    """Approve a case with the answer of the form, or reject it. Who decided is the viewer. Raises Refused."""
    reviewer = _require_reviewer(viewer)
    reviews = context.router.sync_reviews
    decision = form.get("decision")
    answer = form.get("answer", "").replace("\r\n", "\n")  # as browsers send the lines of a field
    case = _case(context, review_id)
    try:
        if decision == "reject":
            reviews.reject(review_id, by=reviewer)
        elif decision == "approve" and answer.strip():
            is_draft = case.draft is not None and case.draft.text.replace("\r\n", "\n") == answer
            reviews.approve(review_id, by=reviewer, answer=case.draft.text if is_draft and case.draft else answer)
        elif decision == "approve":
            return _page(context, request, viewer, case, wrong="Write the answer that its caller is to have.")
        else:
            raise Refused(400, "A case is approved or rejected.")
    except ReviewDecided as decided:
        return _page(context, request, viewer, _case(context, review_id), wrong=_sentence(decided))
    except (ReviewError, ValueError) as error:
        raise _refused(error) from None
    return PageResponse(status=303, headers=(("Location", review_id),))


def _page(context: ViewContext, request: PageRequest, viewer: Viewer, case: Case, *, wrong: str = "") -> PageResponse:
    data = case.review.data
    return context.page(
        "review.html",
        request,
        viewer,
        status=409 if wrong else 200,
        now=datetime.now(UTC),
        review=case.review,
        draft=case.draft,
        said=[] if case.question is None else list(conversation(case.question)),
        data=None if data is None else msgspec.json.format(msgspec.json.encode(data), indent=2).decode(),
        wrong=wrong,
    )


def _case(context: ViewContext, review_id: str) -> Case:
    try:
        return context.router.sync_reviews.case(review_id)
    except ReviewError as error:
        raise _refused(error) from None


def _require_reviewer(viewer: Viewer) -> str:
    if viewer.reviewer is None:
        raise Refused(403, "You may not see the cases that wait for a person.")
    return viewer.reviewer


def _refused(error: Exception) -> Refused:
    if isinstance(error, ReviewNotFound):
        return Refused(404, "No case has this id.")
    return Refused(503 if isinstance(error, ReviewError) else 400, _sentence(error))


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
