"""``tasks.NAME.contract``: what an answer must look like to count as one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, WithJsonSchema

from lanewise.config.mistakes import quoted
from lanewise.config.tables.model_config import DECLARED
from lanewise.config.values.parameters import JsonTable
from lanewise.config.values.scalars import Count, NonEmpty, wrong

__all__ = ["Contract", "ContractField", "is_reference"]

_REFERENCE: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)


def is_reference(text: str) -> bool:
    """Whether a text names something in a module, and no file.

    Example::

        assert is_reference("app.schemas:Summary") and not is_reference("schemas/summary.json")
    """
    return _REFERENCE.fullmatch(text) is not None


def _reference(text: str) -> str:
    if not is_reference(text):
        raise wrong(f"{quoted(text)} names no function", 'Write a module and a name in it: "app.checks:is_polite".')
    return text


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        problem = f"this is no regular expression ({getattr(error, 'msg', 'too large')})"
    else:
        return text
    raise wrong(problem)


class Contract(BaseModel):
    """What an answer must look like to count as one. ``schema`` is reached as ``source``.

    Example::

        Contract(schema="app.schemas:Summary", max_chars=2000, on_violation="repair")
    """

    model_config = ConfigDict(**DECLARED, serialize_by_alias=True)

    source: JsonTable | NonEmpty | None = Field(
        default=None,
        alias="schema",
        description='A pydantic model or a schema in a module ("app.schemas:Summary"), the path of a JSON Schema, or '
        "the schema itself.",
    )
    max_chars: Count | None = Field(default=None, description="The most characters that the answer's text may have.")
    must_match: Annotated[str, Strict(), AfterValidator(_pattern)] | None = Field(
        default=None, description="A regular expression (Python's) that must be found in the answer's text."
    )
    check: (
        Annotated[
            str,
            Strict(),
            AfterValidator(_reference),
            WithJsonSchema({"type": "string", "pattern": r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$"}),
        ]
        | None
    ) = Field(
        default=None, description='A function of the app that says whether a text will do: "app.checks:is_polite".'
    )
    on_violation: Literal["next", "repair"] = Field(
        default="next",
        description='"next" takes the next route; "repair" first shows the same route what is wrong, once a call.',
    )


def _read(value: object) -> object:
    if isinstance(value, str):
        return {"schema": value}
    if isinstance(value, Mapping) and not value:
        raise wrong("the contract is empty", "Give it a schema, max_chars, must_match or check.")
    if value is not None and not isinstance(value, Contract | Mapping):
        raise wrong(
            f"{quoted(value)} is no contract", 'Write a table of rules, "module:name", or a JSON Schema\'s path.'
        )
    return value


ContractField = Annotated[Contract, BeforeValidator(_read)]
