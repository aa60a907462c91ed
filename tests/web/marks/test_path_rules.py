"""The path rules: what they match, and that nothing under a ruled path escapes them."""

from __future__ import annotations

import time
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise.web import PathRules
from lanewise.web.marks.path_rules import may_match, normalised

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


@pytest.mark.parametrize("end", ["\n", "\r", "\t", " ", "\0", "\x7f", "/\n", "\n/", " \n"])
def test_what_cant_be_seen_at_the_end_makes_no_difference(end: str) -> None:
    """Starlette serves ``/exact%0A`` as ``/exact``."""
    assert RULES.match(f"/exact{end}") == {"exact"}
    assert RULES.match(f"/clinic/7/triage{end}") == {"medical"}


@pytest.mark.parametrize("number", ["7", "07", "007", " 7", "7 ", "+7", "\u0667"])
def test_a_number_is_the_same_however_it_is_written(number: str) -> None:
    """As a router reads the number in ``/users/{id:int}``."""
    rules = PathRules({"/users/7": "one", "/users/8/*": "eight"})
    assert rules.match(f"/users/{number}") == {"one"}
    assert rules.match("/users/70") == frozenset()


@pytest.mark.parametrize(
    ("pattern", "route", "expected"),
    [
        ("/users/*/card", "/users/{id}/{rest:path}", True),
        ("/payments/*", "/payments", True),
        ("/users/7", "/users/<int:id>", True),
        ("/shop/refunds", "/shop/*", True),
        ("/a/b", "/{path:path}", True),
        ("*", "/z", True),
        ("/refund/*", "/refunds", False),
        ("*/b", "/a/<int:x>/c", False),
        ("/users/7", "/users/{id}/x", False),
        ("/x", "/x/*", False),
    ],
)
def test_whether_a_rule_is_for_a_route_at_all(pattern: str, route: str, expected: bool) -> None:
    """A route's parameters stand for anything; a rule that is for none of an app's routes is said at its start."""
    assert may_match(pattern, route) is expected


@given(pattern=st.text("ab/*", max_size=8), path=st.text("ab/", max_size=8))
def test_a_rule_that_matches_a_path_may_match_its_route(pattern: str, path: str) -> None:
    """No rule that holds is told as one that is for nothing."""
    pattern, path = f"/{pattern}", f"/{path}"
    if PathRules({pattern: "one"}).match(path):
        assert may_match(pattern, normalised(path))
