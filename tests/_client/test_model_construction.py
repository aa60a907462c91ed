"""Models that are put together by our constructors are those that the SDK's own ``construct`` makes."""

from __future__ import annotations

import json
from types import NoneType
from typing import Any, Final, Literal, get_args, get_origin

import openai
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai._models import construct_type
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent

from lanewise._client.model_construction import ModelConstructors

KINDS: Final[tuple[Any, ...]] = (
    ChatCompletion,
    ChatCompletionChunk,
    CreateEmbeddingResponse,
    Response,
    ResponseStreamEvent,
)
CONSTRUCTORS: Final = ModelConstructors(construct_type)

anything: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4) | st.just("7"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "_fields_set", "id"]), inner),
    max_leaves=4,
)


def likely(kind: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values as a provider sends them for a type: right, nearly right, or anything."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        right: st.SearchStrategy[Any] = st.sampled_from(arguments)
    elif isinstance(kind, type) and issubclass(kind, pydantic.BaseModel) and depth < 4:
        fields = {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
        right = st.fixed_dictionaries(
            {},
            optional={
                **{name: st.deferred(lambda of=of: likely(of, depth + 1)) for name, of in fields.items()},
                "unheard_of": anything,
                "model_config": anything,
            },
        )
    elif origin is list and arguments:
        right = st.lists(st.deferred(lambda: likely(arguments[0], depth + 1)), max_size=2)
    elif arguments and origin is not dict:
        right = st.one_of(*(st.deferred(lambda of=of: likely(of, depth + 1)) for of in arguments if of is not NoneType))
    else:
        simple = {str: st.text(max_size=5), int: st.integers(), float: st.floats(allow_nan=False), bool: st.booleans()}
        right = simple.get(kind, anything) if isinstance(kind, type) else anything
    return st.one_of(right, right, right, right, st.none(), anything)


def plain(value: Any) -> Any:
    """All of a model, with the types of its values."""
    if isinstance(value, pydantic.BaseModel):
        parts = (value.__dict__, value.__pydantic_extra__, value.__pydantic_private__, value.model_fields_set)
        return (type(value), *(plain(part) for part in parts))
    if isinstance(value, dict):
        return [(key, plain(each)) for key, each in value.items()]
    if isinstance(value, list):
        return [plain(each) for each in value]
    return (type(value), value)


def made_by(make: Any) -> Any:
    try:
        return plain(make())
    except Exception as error:  # noqa: BLE001 - it is what is compared
        return type(error)


@settings(max_examples=30)
@pytest.mark.parametrize(
    "kind",
    [ChatCompletion, ChatCompletionChunk, CreateEmbeddingResponse, pytest.param(Response, marks=pytest.mark.slow)],
    ids=lambda kind: kind.__name__,
)
@given(data=st.data())
def test_a_model_is_the_one_that_the_sdk_makes(kind: Any, data: st.DataObject) -> None:
    """Of any JSON object: classes, values, their types, the fields that were set, and what is extra."""
    value = data.draw(likely(kind).filter(lambda value: isinstance(value, dict)))
    again = json.loads(json.dumps(value))
    assert made_by(lambda: CONSTRUCTORS.of(kind)(value)) == made_by(lambda: construct_type(type_=kind, value=again))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: getattr(kind, "__name__", "events"))
@pytest.mark.parametrize("value", [None, [], [{"id": "1"}, 2], "text", 7, {}, {"_fields_set": ["id"], "id": "1"}])
def test_what_is_no_model_is_what_the_sdk_makes_of_it(kind: Any, value: Any) -> None:
    """A list of objects becomes a list of models, and anything else stays."""
    again = json.loads(json.dumps(value))
    assert made_by(lambda: CONSTRUCTORS.of(kind)(value)) == made_by(lambda: construct_type(type_=kind, value=again))


class Tree(openai.BaseModel):
    """A model that holds its own kind."""

    name: str = pydantic.Field(alias="Name")
    parts: list[Tree] = []
    size: int | None = 3
    weight: float = 1.0


class Named(openai.BaseModel):
    """A model whose fields go by two names."""

    model_config = pydantic.ConfigDict(populate_by_name=True)
    size: int | None = pydantic.Field(alias="Size", default=None)


@pytest.mark.parametrize("kind", [Tree, Named], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    "value",
    [
        {"Name": "a", "parts": [{"Name": "b", "parts": None, "size": None, "weight": 2}]},
        {"name": "a", "size": "7", "Size": 7, "weight": "heavy"},
        {"size": True, "weight": 2**70, "parts": [None, 1]},
    ],
)
def test_a_model_of_the_apps_own_is_made_alike(kind: Any, value: Any) -> None:
    """With other names for its fields, defaults of its own, or parts of its own kind."""
    again = json.loads(json.dumps(value))
    assert made_by(lambda: CONSTRUCTORS.of(kind)(value)) == made_by(lambda: construct_type(type_=kind, value=again))
