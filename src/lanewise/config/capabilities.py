"""What a route can't do, and how it stands in for it, as they are declared."""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, WithJsonSchema

from lanewise.config.mistakes import nearest, quoted
from lanewise.config.values import wrong

__all__ = ["ABILITIES", "Abilities", "StandIns"]

Ability = Literal["tools", "strict_tools", "vision", "audio", "json", "json_schema", "reasoning", "n", "developer"]
ABILITIES: Final[tuple[str, ...]] = get_args(Ability)
"""What a route may be declared not to do."""


def _ability(name: str) -> str:
    if name not in ABILITIES:
        raise wrong(f"no ability is called {quoted(name)}", nearest(name, ABILITIES))
    return name


Abilities = tuple[Annotated[str, Strict(), AfterValidator(_ability), WithJsonSchema({"enum": list(ABILITIES)})], ...]


class StandIns(BaseModel):
    """How a route stands in for what it can't take.

    Example::

        Route(provider="local", model="llama", stand_in=StandIns(response_format="prompt", developer="system"))
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    response_format: Literal["prompt"] | None = Field(
        default=None, description='"prompt": the format goes into the system message, and the answer is checked.'
    )
    strict_tools: Literal["check"] | None = Field(
        default=None, description='"check": strict is taken out, and arguments are checked against their schemas.'
    )
    n: Literal["calls"] | None = Field(
        default=None, description='"calls": several answers are as many requests at once. Not for streams.'
    )
    developer: Literal["system"] | None = Field(
        default=None, description='"system": developer messages become system messages.'
    )
