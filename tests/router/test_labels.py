"""A scope's labels are bounded: they are kept with each call, in records and ledgers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from lanewise import Router
from router.driving import Stage, config

GIVE: dict[str, Callable[[Router, Any], Mapping[str, str]]] = {
    "opened with": lambda router, labels: router.scope(labels=labels).labels,
    "added": lambda router, labels: _labelled(router, labels),
}
CANARY = "canary-of-a-prompt"
WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "too many": ({f"n{number}": "x" for number in range(65)}, ValueError, "64 labels at most, and these would be 65"),
    "a long name": ({"n" * 257: "x"}, ValueError, "has 257 characters, and may have 256"),
    "a long text": ({"size": CANARY * 40}, ValueError, "the text of the label 'size' has 720 characters"),
    "half a character": ({"size": CANARY + "\udc80"}, ValueError, "half of a character"),
    "half a character in a name": ({"\ud800": "x"}, ValueError, "half of a character"),
    "a number": ({"size": 7}, TypeError, "the label 'size' is int, and labels are texts"),
    "nothing": ({"size": None}, TypeError, "the label 'size' is NoneType"),
    "bytes": ({"size": CANARY.encode()}, TypeError, "the label 'size' is bytes"),
    "a list": ({"size": [CANARY]}, TypeError, "the label 'size' is list"),
}
WRONG_MAPPINGS = [["size"], {"size"}, "size", 7, {7: "x"}, {None: "x"}, {b"size": "x"}]


def _labelled(router: Router, labels: dict[str, str]) -> Mapping[str, str]:
    scope = router.scope()
    scope.label(**labels)
    return scope.labels


@pytest.mark.parametrize("give", GIVE)
@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_label_is_refused(case: str, give: str, stage: Stage) -> None:
    """With a sentence that names the label, and never what was given for it."""
    labels, kind, said = WRONG[case]
    with pytest.raises(kind, match=said) as refused:
        GIVE[give](Router.from_mapping(config(stage)), labels)
    assert CANARY not in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("given", WRONG_MAPPINGS, ids=repr)
def test_what_are_no_labels_is_refused(given: Any, stage: Stage) -> None:
    """They are names with texts."""
    with pytest.raises(TypeError, match="label"):
        Router.from_mapping(config(stage)).scope(labels=given)


@pytest.mark.parametrize("give", GIVE)
def test_as_much_as_is_allowed_is_taken(give: str, stage: Stage) -> None:
    """64 labels, of 256 characters each, in any script."""
    labels = {f"{number:02}" + "ß" * 254: "漢" * 256 for number in range(64)}
    assert GIVE[give](Router.from_mapping(config(stage)), labels) == labels


def test_labels_are_counted_over_all_that_were_given(stage: Stage) -> None:
    """Names that are there already are no more; what was refused changes nothing."""
    scope = Router.from_mapping(config(stage)).scope(labels={f"n{number}": "x" for number in range(60)})
    scope.label(n0="y", a="1", b="2", c="3", d="4")
    with pytest.raises(ValueError, match="would be 65"):
        scope.label(n1="z", e="5")
    assert (len(scope.labels), scope.labels["n0"], scope.labels["n1"]) == (64, "y", "x")


def test_labels_are_the_scopes_own_copy(stage: Stage) -> None:
    """What the app does with its dict afterwards gets past no bound."""
    given = {"size": "short"}
    scope = Router.from_mapping(config(stage)).scope(labels=given)
    given["size"] = "x" * 1000
    assert scope.labels == {"size": "short"}
