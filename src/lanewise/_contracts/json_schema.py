"""A JSON Schema that answers are checked by: here where that is quick, else as a question for a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from lanewise._contracts.compiled_schema import SOMEWHERE, BadSchema, CompiledSchema, extent, property_names
from lanewise._contracts.schema_cost import compiles_quickly, cost_of

__all__ = ["NO_VERDICTS", "BadSchema", "Question", "Schema", "TooMuchWork", "Verdicts"]

MOST_WORK: Final = 400_000
"""Units of work (25 ns each) that may be done between two turns of the event loop: 10 ms."""
_TELLING: Final = 10_000
"""Units up to which the place of a breach is looked for as well, which takes 5 to 150 us for each."""
_ENCODE: Final = msgspec.json.Encoder().encode


class Question(msgspec.Struct, frozen=True):
    """What a text is to be checked by, where that may take long: the JSON of a schema, or a pattern of Python's."""

    kind: Literal["schema", "pattern"]
    source: str
    text: str

    def __repr__(self) -> str:
        return f"<Question of a {self.kind}>"


Verdicts = Mapping[Question, str | None]
"""What is wrong with a text, or ``None``, by the questions that were answered elsewhere."""
NO_VERDICTS: Final[Verdicts] = {}


class TooMuchWork(Exception):
    """A check that must not be made here. Whoever asked has ``question`` answered, and checks again with the verdict.

    ``of_task``: it is the task's contract, not what the call itself asks for.
    """

    def __init__(self, question: Question, *, of_task: bool = False) -> None:
        super().__init__(repr(question))
        self.question = question
        self.of_task = of_task


class Schema:
    """A schema that never fetches: a ``$ref`` may only point into the schema itself.

    ``lenient``: it is a request's (see :class:`CompiledSchema`).

    Raises BadSchema; of a schema that takes long to compile only where ``compiled`` asks for that.

    Example::

        schema = Schema({"type": "object", "required": ["title"]})
        assert schema.breach({"title": "Late parcel"}) is None
        assert schema.breach({}) == "the top level: required (title)"
    """

    __slots__ = ("_compiled", "_cost", "_names", "_source")

    def __init__(self, source: object, *, compiled: bool = False, lenient: bool = False) -> None:
        self._source = source
        self._names: frozenset[str] | None = None
        self._cost = cost_of(source)
        self._compiled = None if self._cost is None else CompiledSchema(source, lenient=lenient)
        if self._cost is None and (compiled or compiles_quickly(source)):
            # It is checked in another process; what is no schema raises now.
            CompiledSchema(source, patient=True, lenient=lenient)

    def __repr__(self) -> str:
        return "<Schema>"

    def breach(self, value: object, text: str | None = None, verdicts: Verdicts = NO_VERDICTS) -> str | None:
        """Where a value breaks the schema, in paths and keywords; ``None`` if it keeps it. Names that are not the
        schema's own are left out: they are the answer's. ``text`` is the JSON that the value was read from.

        Raises TooMuchWork.
        """
        if not text:
            text = _ENCODE(value).decode()
        if self._compiled is not None and (self._is_short(text) or self._work(value, text) <= MOST_WORK):
            if self._compiled.keeps(value):
                return None
            return self._compiled.breach(value) if self._work(value, text) <= _TELLING else SOMEWHERE
        question = Question("schema", _ENCODE(self._source).decode(), text)
        if question not in verdicts:
            raise TooMuchWork(question)
        return verdicts[question]

    def _is_short(self, text: str) -> bool:
        """Whether checking is little work, however many values there are: without counting them."""
        cost = self._cost
        return cost is not None and not cost.grows and cost.of(len(text) // 2 + 1, 0, len(text)) <= MOST_WORK

    def _work(self, value: object, text: str) -> float:
        """The most units that checking takes."""
        if self._cost is None:
            return float("inf")
        values = text.count(",") + text.count("{") + text.count("[") + 1  # at least as many as there are
        depth = extent(value)[1] if self._cost.grows else 0
        return self._cost.of(values, depth, len(text))

    @property
    def names(self) -> frozenset[str]:
        """The names of properties that the schema itself has."""
        if self._names is None:
            self._names = property_names(self._source)
        return self._names
