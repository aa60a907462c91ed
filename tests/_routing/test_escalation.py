"""Which calls are left to a person: only those that every category lets, by the strictest of their rules."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lanewise._routing.escalation import is_escalated, review_rule
from lanewise.config import SensitiveCategory
from lanewise.types import FailureKind

ROUTES = ("a", "b", "c")
categories = st.lists(
    st.builds(
        lambda on_failure, routes, expires, keep: SensitiveCategory(
            routes=(), on_failure=on_failure, review_routes=tuple(routes), expires=expires, keep=keep
        ),
        st.sampled_from(["fail", "review"]),
        st.lists(st.sampled_from(ROUTES), unique=True),
        st.floats(1, 1e6),
        st.floats(1, 1e6),
    ),
    max_size=4,
)


@given(categories)
def test_another_category_never_relaxes_a_rule(found: list[SensitiveCategory]) -> None:
    """More categories: never a case where there was none, never a route more that drafts, never a longer time."""
    for number in range(1, len(found)):
        before, after = review_rule(found[:number]), review_rule(found[: number + 1])
        if before is None:
            assert after is None
        elif after is not None:
            assert set(after.drafts_by) <= set(before.drafts_by)
            assert after.expires <= before.expires
            assert after.keep <= before.keep


@given(categories)
def test_the_order_of_categories_does_not_matter(found: list[SensitiveCategory]) -> None:
    """But for the order in which routes draft."""
    one, other = review_rule(found), review_rule(found[::-1])
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert set(one.drafts_by) == set(other.drafts_by)
        assert (one.expires, one.keep) == (other.expires, other.keep)


def test_a_plain_call_is_left_to_nobody() -> None:
    """There is no category that says so."""
    assert review_rule([]) is None


def test_a_bug_of_the_app_and_a_caller_who_has_gone_open_no_case() -> None:
    """Everything else is for a person."""
    assert {kind for kind in FailureKind if not is_escalated(kind)} == {FailureKind.LOCAL, FailureKind.CANCELLED}
