"""What an answer must look like to count, and how one breaks it.

A breach is reported in paths and keywords. Nothing here keeps, logs or reports the content of an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from re import Pattern

import msgspec

from lanewise._contracts.json_schema import NO_VERDICTS, Question, Schema, TooMuchWork, Verdicts
from lanewise._contracts.pattern_cost import MOST_STEPS, search_steps
from lanewise._contracts.tool_calls import ToolRules
from lanewise._failures import failure_table as failures
from lanewise._openai.choices import Choice
from lanewise._openai.finish_reasons import LENGTH
from lanewise._openai.lenient_json import MALFORMED, read_valid_json
from lanewise.types import Api, Failure

__all__ = ["Breach", "Contract", "DeclaredContract", "JsonRule", "Repair"]


class JsonRule(msgspec.Struct, frozen=True):
    """A text that must be JSON: an object, or whatever its schema says."""

    schema: Schema | None = None
    only_objects: bool = False

    def breach(self, text: str, verdicts: Verdicts = NO_VERDICTS) -> str | None:
        """What is wrong with a text, or ``None``. Raises TooMuchWork."""
        try:
            value = _read(text)
        except MALFORMED:
            return _not_json(text)
        if self.schema is not None:
            return self.schema.breach(value, text, verdicts)
        return "it is no JSON object" if self.only_objects and not isinstance(value, dict) else None


def _read(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except MALFORMED:
        return read_valid_json(text)


def _not_json(text: str) -> str:
    if not text.strip():
        return "it has no text"
    return "it is not JSON: a code fence is around it" if text.lstrip().startswith("```") else "it is not JSON"


class DeclaredContract(msgspec.Struct, frozen=True, kw_only=True):
    """A task's contract, ready to be checked. ``formats`` is what asks a provider for its schema, by kind of API.

    ``accepts`` says more than the schema can (a pydantic model's own validators): it gives what is wrong, in words
    without values. ``check`` is the app's own, and says whether a text will do. ``repair``: a route that breaks the
    contract may mend its answer, once.
    """

    json: JsonRule | None = None
    formats: Mapping[Api, msgspec.Raw] = {}
    accepts: Callable[[str], str | None] | None = None
    max_chars: int | None = None
    must_match: Pattern[str] | None = None
    check: Callable[[str], object] | None = None
    repair: bool = False

    def breach(self, text: str, verdicts: Verdicts = NO_VERDICTS) -> str | None:
        """What is wrong with a text beside its JSON, or ``None``. Raises TooMuchWork."""
        if self.max_chars is not None and len(text) > self.max_chars:
            return f"max_chars: it is longer than {self.max_chars} characters"
        if self.must_match is not None and not _is_in(self.must_match, text, verdicts):
            return "must_match: the pattern is not in it"
        return None if self.check is None else self._checked(self.check, text)

    def _checked(self, check: Callable[[str], object], text: str) -> str | None:
        try:
            return None if check(text) else "check: the app's function says no"
        except Exception as error:  # noqa: BLE001 - the app's function may raise anything
            return f"check: the app's function raised {type(error).__name__}"


def _is_in(pattern: Pattern[str], text: str, verdicts: Verdicts) -> bool:
    """Whether a pattern is in a text. Raises TooMuchWork."""
    if search_steps(pattern.pattern, len(text)) <= MOST_STEPS:
        return pattern.search(text) is not None
    question = Question("pattern", pattern.pattern, text)
    if question not in verdicts:
        raise TooMuchWork(question, of_task=True)
    return verdicts[question] is None


class Repair(msgspec.Struct, frozen=True):
    """What a route must be shown to mend its answer: what it said, and what is wrong with it. Its repr has neither."""

    choice: Choice
    problem: str

    def __repr__(self) -> str:
        return "<Repair>"


class Breach(msgspec.Struct, frozen=True):
    """An answer that breaks its contract: the failure that it is, and how it could be mended, if it may be."""

    failure: Failure
    repair: Repair | None = None


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """What the answers of one call must keep. ``asked``: the app itself asked for JSON."""

    json: tuple[JsonRule, ...] = ()
    declared: DeclaredContract | None = None
    tools: ToolRules | None = None
    asked: bool = False

    def breach(self, choices: Sequence[Choice] | None, verdicts: Verdicts = NO_VERDICTS) -> Breach | None:
        """How an answer breaks the contract, or ``None``; ``None`` for ``choices`` is one that can't be read.

        A refusal is the app's to read, and breaks nothing. Raises TooMuchWork.

        Example::

            contract.breach(read_choices(Api.CHAT, body))
        """
        if not choices:
            return Breach(_failure("the answer can't be read as what was asked for"))
        for number, choice in enumerate(choices, 1):
            if choice.refused:
                continue
            if choice.finish_reason == LENGTH and (self.json or any(call.is_cut for call in choice.calls)):
                return Breach(failures.LENGTH.failure(http_status=200))
            problem = self._problem(choice, verdicts)
            if problem is not None:
                where = f"choice {number}: " if len(choices) > 1 else ""
                repair = Repair(choice, problem) if self.declared is not None and self.declared.repair else None
                return Breach(_failure(f"breaks the contract: {where}{problem}"), repair)
        return None

    def _problem(self, choice: Choice, verdicts: Verdicts) -> str | None:
        calls = choice.calls
        if self.tools is not None:
            problem = self.tools.breach(calls, verdicts)
            if problem is not None:
                return problem
        elif calls:
            return "it calls a function, and none was offered"
        if calls and not choice.text.strip():
            return None
        for rule in self.json:
            try:
                problem = rule.breach(choice.text, verdicts)
            except TooMuchWork as work:
                of_task = self.declared is not None and rule is self.declared.json
                raise TooMuchWork(work.question, of_task=of_task) from None
            if problem is not None:
                return problem
        if self.declared is None or calls:
            return None
        if self.declared.accepts is not None and self.declared.json in self.json:
            problem = self.declared.accepts(choice.text)
            if problem is not None:
                return problem
        return self.declared.breach(choice.text, verdicts)


def _failure(cause: str) -> Failure:
    return failures.CONTRACT.failure(http_status=200, cause=cause)
