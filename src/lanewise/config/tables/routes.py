"""``[routes.NAME]``: a provider's model, what it can't take, and how it stands in for that."""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

from pydantic import AfterValidator, BaseModel, Field, Strict, WithJsonSchema

from lanewise.config.mistakes import nearest, quoted
from lanewise.config.tables.model_config import DECLARED
from lanewise.config.tables.prices import PriceTable
from lanewise.config.values.durations import PositiveSeconds
from lanewise.config.values.parameters import Parameters, ParameterTable, Renames
from lanewise.config.values.scalars import Bool, Count, Names, NonEmpty, Text, Weight, wrong
from lanewise.types import Api

__all__ = ["Route", "StandIns"]

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

    model_config = DECLARED

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


class Route(BaseModel):
    """A named way to an answer: one provider, one model, and what that model can't take. Times are in seconds."""

    model_config = DECLARED

    name: Text = ""
    provider: NonEmpty = Field(description="The name of a provider.")
    model: NonEmpty = Field(description="The model's name at the provider.")
    api: tuple[Api, ...] = Field(
        default=tuple(Api), min_length=1, description="The kinds of API that the route answers."
    )
    timeout: PositiveSeconds = Field(
        default=30.0,
        description="The longest that one attempt may take. Undeclared, it gives way to all that is left of the "
        "deadline where no other route could be used.",
    )
    first_token: PositiveSeconds | None = Field(
        default=None, description="The longest wait for a stream's first content. Default: 20s; 60s with `reasoning`."
    )
    stall: PositiveSeconds | None = Field(
        default=None,
        description="The longest silence within a stream, comments not counted. Default: before its first content "
        "as long as `first_token`, after it the task's `stream`.",
    )
    drop: Parameters = Field(default=(), description="Parameters that this route can't take.")
    rename: Renames = Field(default={}, description="Parameters that have another name here.")
    stand_in: StandIns = Field(default=StandIns(), description="How this route stands in for what it can't take.")
    cannot: Abilities = Field(
        default=(), description="What the model can't do: calls that need it pass this route over."
    )
    set: ParameterTable = Field(default={}, description="Parameters that this route always sends.")
    system_suffix: NonEmpty | None = Field(default=None, description="Text added to the system message on this route.")
    weight: Weight = Field(
        default=1.0, description='This route\'s share in its lane, for tasks with select = "weight".'
    )
    context_window: Count | None = Field(
        default=None, description="Tokens that the model can take, question and answer."
    )
    max_output: Count | None = Field(default=None, description="Tokens that the model can answer with.")
    answers_as: Names = Field(
        default=(), description="Other names under which the model answers; * stands for anything."
    )
    reasoning: Bool = Field(default=False, description="The model thinks before its first word: streams start late.")
    same_as: Names = Field(default=(), description="Routes that give the same embeddings as this one.")
    price: PriceTable | None = Field(
        default=None,
        description="The route's own prices, in US dollars a million tokens. Default: the public list's.",
    )
