"""The language of the rules that pick a call's starting lane: a text becomes a checked tree, or a RuleError.

A rule is a small expression over the facts of a call: ``tokens < 2000 and not tools``. It is never Python: what is not
read here can't be written in a rule, and what was read here can't fail when a call is looked at. Python's own parser
(``ast``) would need this tokenizer too, for labels with dashes and texts without escapes, and its errors name other
places in a rule than the one to mend.

::

    rule    = all ("or" all)*
    all     = none ("and" none)*
    none    = "not" none | compare
    compare = value (("<" | "<=" | ">" | ">=" | "==" | "!=") value)*  |  value ["not"] "in" "[" value ("," value)* "]"
    value   = number | text | "true" | "false" | fact | "labels." name | "(" rule ")"

A number counts as true unless it is 0, a text unless it is empty. A label that a scope does not have is the empty text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lanewise.config.mistakes import nearest, quoted
from lanewise.config.rules.tree import FACTS, Both, Compare, Either, Fact, FactKind, Label, Literal, Not, OneOf, Rule
from lanewise.types import Api

__all__ = ["RuleError", "parse_rule"]


LONGEST: Final = 500
"""Characters of a rule."""
DEEPEST: Final = 20
"""Parentheses and ``not`` within each other."""

_LABELS: Final = "labels"
_ORDERING: Final = frozenset({"<", "<=", ">", ">="})
_COMPARING: Final = _ORDERING | {"==", "!="}
_WORDS: Final = frozenset({"and", "or", "not", "in", "true", "false"})
_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<number>[0-9][0-9_]*(?:\.[0-9]+)?(?![A-Za-z_.]))
      | (?P<text>"[^"]*"|'[^']*')
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_-]*)*)
      | (?P<sign><=|>=|==|!=|[<>()\[\],])
      | (?P<end>$)
    )""",
    re.VERBOSE,
)
_API_NAMES: Final = tuple(api.value for api in Api)


class RuleError(ValueError):
    """A rule can't be read: ``problem`` says what is wrong, ``fix`` what would be right."""

    def __init__(self, problem: str, fix: str = "") -> None:
        super().__init__(problem, fix)
        self.problem = problem
        self.fix = fix


def parse_rule(text: str) -> Rule:
    """The tree of a rule.

    Raises RuleError: it can't be read, names a fact that does not exist, or compares what can't be compared.

    Example::

        parse_rule("tokens < 2000 and not tools")
    """
    if len(text) > LONGEST:
        raise RuleError("the rule is too long", f"It may have {LONGEST} characters; write several rules.")
    parser = _Parser(text)
    rule = parser.either(0)
    parser.expect_end()
    return rule


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else quoted(self.text)


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while True:
        found = _TOKEN.match(text, position)
        if found is None:
            left = text[position:].lstrip()
            raise RuleError(f"the rule can't be read from {quoted(left[:20])} on", _sign_fix(left))
        kind = found.lastgroup or "end"
        yield _Token(kind, found[kind])
        if kind == "end":
            return
        position = found.end()


def _sign_fix(left: str) -> str:
    if left.startswith("="):
        return "Equal is written ==."
    if left.startswith(("&", "|", "!")):
        return "Write and, or, not."
    if left[:1] in ("'", '"'):
        return "The text has no closing quotation mark."
    return ""


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._position = 0

    @property
    def _next(self) -> _Token:
        return self._tokens[self._position]

    def _take(self, *texts: str) -> str | None:
        token = self._next
        if token.kind in ("name", "sign") and token.text in texts:
            self._position += 1
            return token.text
        return None

    def _expect(self, text: str) -> None:
        if self._take(text) is None:
            raise RuleError(f"{text} is missing before {self._next}")

    def expect_end(self) -> None:
        if self._next.kind != "end":
            raise RuleError(f"{self._next} can't stand where it does", "Join conditions with and, or.")

    def either(self, depth: int) -> Rule:
        parts = [self._both(depth)]
        while self._take("or"):
            parts.append(self._both(depth))
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _both(self, depth: int) -> Rule:
        parts = [self._not(depth)]
        while self._take("and"):
            parts.append(self._not(depth))
        return parts[0] if len(parts) == 1 else Both(tuple(parts))

    def _not(self, depth: int) -> Rule:
        if depth > DEEPEST:
            raise RuleError("the rule is nested too deeply", "Write several rules: the first that is true counts.")
        if self._take("not"):
            return Not(self._not(depth + 1))
        return self._compare(depth)

    def _compare(self, depth: int) -> Rule:
        first = self._value(depth)
        if self._next.text == "in" or (self._next.text == "not" and self._tokens[self._position + 1].text == "in"):
            return self._one_of(first, depth)
        rest: list[tuple[str, Rule]] = []
        left = first
        while sign := self._take(*_COMPARING):
            right = self._value(depth)
            _check_pair(left, sign, right)
            rest.append((sign, right))
            left = right
        return Compare(first, tuple(rest)) if rest else first

    def _one_of(self, part: Rule, depth: int) -> Rule:
        negated = self._take("not") is not None
        self._expect("in")
        self._expect("[")
        values = [self._value(depth)]
        while self._take(","):
            values.append(self._value(depth))
        self._expect("]")
        for value in values:
            _check_pair(part, "==", value)
        found = OneOf(part, tuple(values))
        return Not(found) if negated else found

    def _value(self, depth: int) -> Rule:
        if self._take("("):
            inner = self.either(depth + 1)
            self._expect(")")
            return inner
        token = self._next
        if token.kind == "number":
            self._position += 1
            return Literal(float(token.text.replace("_", "")))
        if token.kind == "text":
            self._position += 1
            return Literal(token.text[1:-1])
        if self._take("true"):
            return Literal(True)
        if self._take("false"):
            return Literal(False)
        if token.kind != "name" or token.text in _WORDS:
            raise RuleError(f"a fact or a value is missing before {token}", _known_facts())
        self._position += 1
        return _named(token.text)


def _named(name: str) -> Rule:
    first, dot, rest = name.partition(".")
    if first == _LABELS and dot and "." not in rest:
        return Label(rest)
    if first == _LABELS:
        raise RuleError("labels are read one by one", 'Write the label\'s name: labels.size == "short".')
    if name not in FACTS:
        raise RuleError(f"no fact is called {quoted(name)}", nearest(name, [*FACTS, "labels.NAME"]))
    return Fact(name)


def _known_facts() -> str:
    return f"The facts are {', '.join(FACTS)} and labels.NAME."


def _kind(rule: Rule) -> FactKind:
    if isinstance(rule, Fact):
        return FACTS[rule.name][0]
    if isinstance(rule, Label):
        return FactKind.TEXT
    if isinstance(rule, Literal) and isinstance(rule.value, str):
        return FactKind.TEXT
    if isinstance(rule, Literal) and not isinstance(rule.value, bool):
        return FactKind.NUMBER
    return FactKind.FLAG


def _check_pair(left: Rule, sign: str, right: Rule) -> None:
    kinds = _kind(left), _kind(right)
    if kinds[0] is not kinds[1]:
        raise RuleError(f"{_shown(left)} is a {kinds[0]} and {_shown(right)} a {kinds[1]}", "Compare like with like.")
    if sign in _ORDERING and kinds[0] is not FactKind.NUMBER:
        raise RuleError(f"a {kinds[0]} is not more or less than another", "Write ==, != or in.")
    for fact, value in ((left, right), (right, left)):
        if fact == Fact("api") and isinstance(value, Literal) and value.value not in _API_NAMES:
            raise RuleError(f"no kind of API is called {quoted(value.value)}", nearest(value.value, _API_NAMES))


def _shown(rule: Rule) -> str:
    if isinstance(rule, Fact):
        return rule.name
    if isinstance(rule, Label):
        return f"labels.{rule.name}"
    if isinstance(rule, Literal):
        return quoted(int(rule.value) if isinstance(rule.value, float) and rule.value.is_integer() else rule.value)
    return "a condition"
