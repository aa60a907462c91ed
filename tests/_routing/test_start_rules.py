"""The language of starting rules: what can be written, what is refused, and what a rule comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise._routing.selection.start_rules import compile_rule
from lanewise.config.rules.language import RuleError, parse_rule
from lanewise.config.rules.tree import FACTS, FactKind

KIND_OF = {name: kind for name, (kind, _) in FACTS.items()}
NUMBERS = [name for name, kind in KIND_OF.items() if kind is FactKind.NUMBER]
TEXTS = [name for name, kind in KIND_OF.items() if kind is FactKind.TEXT and name != "api"]
FLAGS = [name for name, kind in KIND_OF.items() if kind is FactKind.FLAG]
LABELS = ["size", "user-tier", "x"]
WORDS = ["", "short", "t", "chat", "Zürich"]


@dataclass
class Known:
    """Facts as given, and which of them were asked for."""

    facts: Mapping[str, float | str | bool]
    labels: Mapping[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def value(self, name: str) -> float | str | bool:
        self.asked.append(name)
        return self.facts[name]


PLAIN: dict[str, float | str | bool] = {
    **dict.fromkeys(NUMBERS, 0),
    **dict.fromkeys(FLAGS, False),
    "task": "summary",
    "api": "chat",
}


def holds(rule: str, labels: Mapping[str, str] | None = None, **facts: float | str | bool) -> bool:
    return compile_rule(rule)(Known({**PLAIN, **facts}, labels or {}))


@pytest.mark.parametrize(
    ("rule", "facts", "expected"),
    [
        ("tokens < 2000 and not tools", {"tokens": 1999}, True),
        ("tokens < 2000 and not tools", {"tokens": 1999, "tools": 1}, False),
        ("tokens < 2_000", {"tokens": 2000}, False),
        ("tools > 3 or images", {"images": 2}, True),
        ("22 <= hour or hour < 6", {"hour": 23}, True),
        ("6 <= hour < 22", {"hour": 22}, False),
        ("json", {"json": True}, True),
        ("json == false", {}, True),
        ("task in ['summary', \"triage\"]", {}, True),
        ("task not in ['summary', 'triage']", {}, False),
        ("hour in [1, 2, 3.0]", {"hour": 3}, True),
        ("not (json or stream) and api == 'chat'", {}, True),
        ("(tokens < 10) == json", {"tokens": 5}, False),
        ("true", {}, True),
        ("0 or ''", {}, False),
    ],
)
def test_a_rule_is_what_it_reads_like(rule: str, facts: dict[str, Any], expected: bool) -> None:
    """As in Python, and with true and false in small letters."""
    assert holds(rule, **facts) is expected


def test_labels_are_read_by_name_and_a_missing_one_is_empty() -> None:
    """So a rule can ask whether there is one."""
    assert holds("labels.user-tier == 'free'", {"user-tier": "free"})
    assert holds("not labels.user-tier")
    assert not holds("labels.size == 'short'", {"size": "long"})


@pytest.mark.parametrize(
    ("rule", "problem", "fix"),
    [
        ("tokns < 3", "no fact is called 'tokns'", "Did you mean 'tokens'?"),
        ("tokens = 3", "can't be read from '= 3'", "=="),
        ("tools && json", "can't be read from '&& json'", "and, or, not"),
        ("tokens < 'a'", "tokens is a number and 'a' a text", "like with like"),
        ("tools == true", "tools is a number and true a flag", "like with like"),
        ("tokens in ['a']", "tokens is a number and 'a' a text", "like with like"),
        ("json < true", "a flag is not more or less", "==, != or in"),
        ("labels.size > 'a'", "a text is not more or less", "==, != or in"),
        ("api == 'caht'", "no kind of API is called 'caht'", "'chat'"),
        ("labels == 'short'", "labels are read one by one", "labels.size"),
        ("labels.a.b == 'x'", "labels are read one by one", "labels.size"),
        ("tokens <", "missing before the end", "The facts are"),
        ("", "missing before the end", "The facts are"),
        ("and json", "missing before 'and'", "The facts are"),
        ("(json", ") is missing before the end", ""),
        ("task in 'summary'", "[ is missing", ""),
        ("task in ['a' 'b']", "] is missing before", ""),
        ("json stream", "'stream' can't stand where it does", "and, or"),
        ("tokens < 2k", "can't be read from '2k'", ""),
        ("task == 'summary", "can't be read from", "no closing quotation mark"),
        ("__import__('os')", "no fact is called '__import__'", ""),
        ("task.upper() == 'X'", "no fact is called 'task.upper'", ""),
        ("[x for x in tokens]", "missing before '['", "The facts are"),
        ("tokens if json else 1", "'if' can't stand", ""),
        ("(" * 30 + "json" + ")" * 30, "nested too deeply", "several rules"),
        ("not " * 30 + "json", "nested too deeply", "several rules"),
        ("json or " * 80 + "json", "too long", "500"),
    ],
)
def test_what_is_no_rule_is_refused_with_its_reason(rule: str, problem: str, fix: str) -> None:
    """What is wrong, and what would be right; never at run time."""
    with pytest.raises(RuleError) as caught:
        compile_rule(rule)
    assert problem in caught.value.problem
    assert fix in caught.value.fix


def test_a_rule_asks_for_no_more_than_it_needs() -> None:
    """A label that decides keeps the prompt from being looked at."""
    known = Known(PLAIN, {"size": "short"})
    assert compile_rule("labels.size == 'short' or tokens < 2000 or images")(known)
    assert not compile_rule("labels.size == 'long' and tokens < 2000")(known)
    assert known.asked == []


@given(st.text(max_size=40) | st.text("tokens<>=!()[]'\" notandori.0123labels,", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but a RuleError comes out of reading, and nothing at all out of asking."""
    try:
        rule = compile_rule(text)
    except RuleError:
        return
    assert rule(Known(PLAIN)) in (True, False)


def written_numbers() -> st.SearchStrategy[str]:
    return st.sampled_from(NUMBERS) | st.integers(0, 30).map(str) | st.sampled_from(["2.5", "1_000"])


def written_texts() -> st.SearchStrategy[str]:
    return (
        st.sampled_from(TEXTS)
        | st.sampled_from(WORDS).map(repr)
        | st.sampled_from(LABELS).map(lambda it: f"labels.{it}")
    )


def chains(values: st.SearchStrategy[str], signs: list[str]) -> st.SearchStrategy[str]:
    more = st.lists(st.tuples(st.sampled_from(signs), values), min_size=1, max_size=2)
    return st.tuples(values, more).map(lambda it: " ".join([it[0], *(f"{sign} {value}" for sign, value in it[1])]))


def memberships(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    members = st.lists(values, min_size=1, max_size=3).map(", ".join)
    return st.tuples(values, st.sampled_from(["in", "not in"]), members).map(lambda it: f"{it[0]} {it[1]} [{it[2]}]")


def written_rules() -> st.SearchStrategy[str]:
    leaves = (
        chains(written_numbers(), ["<", "<=", ">", ">=", "==", "!="])
        | chains(written_texts(), ["==", "!="])
        | memberships(written_numbers())
        | memberships(written_texts())
        | st.sampled_from([*FLAGS, *NUMBERS, "true", "false"])
    )
    return st.recursive(
        leaves,
        lambda inner: (
            st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda it: f"({' '.join(it)})")
            | inner.map(lambda it: f"not ({it})")
        ),
        max_leaves=5,
    )


class Labels:
    """The labels for Python's own reading of a rule."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.__dict__.update({name.replace("-", "_"): labels.get(name, "") for name in LABELS})


@given(
    rule=written_rules().filter(lambda text: len(text) <= 500),
    numbers=st.fixed_dictionaries({name: st.integers(0, 30) for name in NUMBERS}),
    flags=st.fixed_dictionaries({name: st.booleans() for name in FLAGS}),
    texts=st.fixed_dictionaries({name: st.sampled_from(WORDS) for name in TEXTS}),
    labels=st.dictionaries(st.sampled_from(LABELS), st.sampled_from(WORDS)),
)
def test_every_rule_comes_to_what_python_makes_of_it(
    rule: str, numbers: dict[str, int], flags: dict[str, bool], texts: dict[str, str], labels: dict[str, str]
) -> None:
    """Two readers of one text: ours, and the language that it borrows its looks from."""
    facts = {**PLAIN, **numbers, **flags, **texts}
    names = {**facts, "labels": Labels(labels), "true": True, "false": False}
    expected = bool(eval(rule.replace("user-tier", "user_tier"), {"__builtins__": {}}, names))
    assert compile_rule(rule)(Known(facts, labels)) is expected


def test_a_tree_can_be_compared() -> None:
    """The same text, the same tree: spaces and quotation marks aside."""
    assert parse_rule("task=='a' and  json") == parse_rule('task == "a" and json')
