"""What shape a request asks its answer to have, read in one place."""

from __future__ import annotations

import pytest

from lanewise._openai.response_format import format_parameter, response_format
from lanewise.types import Api

SCHEMA = {"type": "object"}


@pytest.mark.parametrize(
    ("api", "value", "asked"),
    [
        (Api.CHAT, b'{"type": "json_object"}', ("json_object", None)),
        (Api.CHAT, b'{"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}', ("json_schema", SCHEMA)),
        (Api.CHAT, b'{"type": "json_schema", "schema": 5}', ("json_schema", None)),
        (Api.CHAT, b"{}", (None, None)),
        (Api.RESPONSES, b'{"format": {"type": "text"}, "verbosity": "low"}', ("text", None)),
        (Api.RESPONSES, b'{"format": {"type": "json_schema", "schema": {"type": "object"}}}', ("json_schema", SCHEMA)),
        (Api.RESPONSES, b'{"format": {"type": "json_schema", "json_schema": 5}}', ("json_schema", None)),
    ],
)
def test_the_type_and_the_schema_are_read(api: Api, value: bytes, asked: tuple[str | None, object]) -> None:
    """Each API has them in a place of its own; what is the other's is passed over."""
    found = response_format(api, value)
    assert found is not None
    assert (found.type, found.decoded_schema(api)) == asked


@pytest.mark.parametrize("api", [Api.CHAT, Api.RESPONSES])
@pytest.mark.parametrize("value", [None, b"null", b"5", b'"json_object"', b'{"type":', b'{"type": 5, "format": 5}'])
def test_what_cannot_be_read_asks_for_nothing(api: Api, value: bytes | None) -> None:
    """The provider says what is wrong with it."""
    assert response_format(api, value) is None


def test_each_api_says_it_in_a_parameter_of_its_own() -> None:
    """Embeddings have no format: nobody looks."""
    assert [format_parameter(api) for api in (Api.CHAT, Api.RESPONSES)] == ["response_format", "text"]
