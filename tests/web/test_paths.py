"""The path rules: what they match, and that nothing under a ruled path escapes them."""

from __future__ import annotations

import time
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise.web import PathRules

RULES = PathRules({"/payments/*": "payment", "/clinic/*/triage": "medical", "/exact": "exact"})
PAYMENT = frozenset({"payment"})

segments = st.text(st.characters(exclude_characters="/\\", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda segment: segment not in (".", "..")
)
tails = st.lists(segments, max_size=4)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/payments", {"payment"}),
        ("/payments/", {"payment"}),
        ("/payments/7", {"payment"}),
        ("/payments/7/refund", {"payment"}),
        ("/PAYMENTS/7", {"payment"}),
        ("//payments//7", {"payment"}),
        ("/x/../payments/7", {"payment"}),
        ("/payments/../health", {"payment"}),
        ("/payments\\7", {"payment"}),
        ("/paymentsandmore", set()),
        ("/health", set()),
        ("/", set()),
        ("/clinic/7/triage", {"medical"}),
        ("/clinic/7/8/triage", {"medical"}),
        ("/clinic/triage", set()),
        ("/clinic/7/triage/notes", set()),
        ("/exact", {"exact"}),
        ("/exact/", {"exact"}),
        ("/exact/more", set()),
    ],
)
def test_a_rule_matches_what_it_names(path: str, expected: set[str]) -> None:
    """A star stands for anything, a ``/*`` at the end also for the path above it."""
    assert RULES.match(path) == expected


def test_rules_add_up() -> None:
    """A path under two rules has both categories."""
    rules = PathRules({"/a/*": "one", "*/b": "two"})
    assert rules.match("/a/b") == {"one", "two"}


@given(tail=tails, data=st.data())
def test_nothing_under_a_ruled_path_escapes(tail: list[str], data: st.DataObject) -> None:
    """Doubled slashes, dots, detours, case and a slash at the end make no difference."""
    path = ""
    for segment in ["payments", *tail]:
        path += data.draw(st.sampled_from(["/", "//", "/./", "/detour/../", "///"]))
        path += segment.upper() if data.draw(st.booleans()) and segment.upper().casefold() == segment else segment
    path += data.draw(st.sampled_from(["", "/", "/.", "//"]))
    assert RULES.match(path) >= PAYMENT


@given(rest=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_what_a_router_serves_under_the_path_is_ruled(rest: str) -> None:
    """A router that takes the path as it is, dots and all, still serves nothing under it unmarked."""
    assert RULES.match(f"/payments/{rest}") >= PAYMENT


@given(tail=tails, root=st.sampled_from(["/app", "/app/", "/a/b", "//app", "/App"]))
def test_the_root_path_makes_no_difference(tail: list[str], root: str) -> None:
    """Whether the server puts the root path into the path, and whether the rule has it, it matches."""
    path = "/".join(["/payments", *tail])
    assert RULES.match(path, root) >= PAYMENT
    assert RULES.match(root.rstrip("/") + path, root) >= PAYMENT
    assert PathRules({f"{root.rstrip('/')}/payments/*": "payment"}).match(path, root) >= PAYMENT


@given(tail=tails, mask=st.integers(0, 2**64))
def test_encoded_characters_make_no_difference(tail: list[str], mask: int) -> None:
    """A server decodes a path once: whatever of it was encoded, the rule sees the same path."""
    path = "/".join(["/payments", *tail])
    sent = "".join(
        "".join(f"%{byte:02x}" for byte in character.encode()) if mask >> index & 1 or character == "%" else character
        for index, character in enumerate(path)
    )
    assert RULES.match(unquote(sent)) >= PAYMENT


@given(tail=tails)
def test_other_paths_are_left_alone(tail: list[str]) -> None:
    """A rule does not reach beyond its path."""
    assert RULES.match("/".join(["/health", *tail])) == frozenset()


def test_a_long_path_costs_little() -> None:
    """Matching takes linear time, however many stars a pattern has."""
    rules = PathRules({"/a*a*a*a*a*b": "payment"})
    began = time.perf_counter()
    rules.match("/" + "a" * 60_000)
    assert time.perf_counter() - began < 10  # a pattern that goes back takes for ever
