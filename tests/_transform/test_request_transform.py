"""The body that a route may get: what stays byte by byte, what is taken out, and which routes can't take it."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise._transform.request_transform import BadBody, RequestBody, RequestTransform, binding, may_stand_in
from lanewise.config import Route
from lanewise.types import Api

CANARY = "canary-7e1f"


def route(**settings: object) -> Route:
    return Route.model_validate({"name": "r", "provider": "p", "model": "gpt-real", **settings})


def body(**fields: object) -> RequestBody:
    return RequestBody.parse(json.dumps({"model": "task", **fields}, ensure_ascii=False).encode())


def rendered(recipe_route: Route, sent: RequestBody, api: Api = Api.CHAT, **options: object) -> dict[str, object]:
    return json.loads(RequestTransform(recipe_route).render(sent, api, **options).raw)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"hello " + CANARY.encode(), "not JSON"),
        (b'{"temperature": NaN}', "not JSON"),
        (b'{"messages": [{"x": Infinity}]}', "not JSON"),
        (b'{"a": 1} {"b": 2}', "not JSON"),
        (b'{"messages": "\\ud800 and more"}', "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"[1, 2]", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"messages": "\xff\xfe"}', "not UTF-8"),
        (b'{"\xff": 1}', "not UTF-8"),
        (b'{"input": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", "nested too deeply"),
    ],
)
def test_a_body_that_could_not_be_sent_is_refused_in_our_words(raw: bytes, words: str) -> None:
    """The message says what is wrong, and neither it nor a chained error quotes the body."""
    with pytest.raises(BadBody, match=words) as caught:
        RequestBody.parse(raw)
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@given(st.binary(max_size=200))
def test_any_bytes_are_a_body_or_refused(raw: bytes) -> None:
    """Nothing but BadBody comes out of arbitrary bytes, and what is read is what Python's json reads."""
    try:
        parsed = RequestBody.parse(raw)
    except BadBody:
        return
    assert set(parsed.fields) == set(json.loads(raw))


def test_the_top_level_is_read() -> None:
    """Model, stream and presence come from the top level; null counts as not sent."""
    sent = body(stream=True, seed=None, temperature=0)
    assert (sent.model, sent.stream) == ("task", True)
    assert sent.has("temperature")
    assert not sent.has("seed")
    assert not sent.has("tools")


@pytest.mark.parametrize("model", [b"1", b"null", b'["a"]'])
def test_a_model_that_is_no_text_is_none(model: bytes) -> None:
    """The caller then says that the task is missing."""
    assert RequestBody.parse(b'{"model": ' + model + b"}").model is None


def test_of_a_name_that_comes_twice_the_last_counts_and_only_it_is_sent() -> None:
    """A provider can't read another value than the one that the rules were applied to."""
    sent = RequestBody.parse(b'{"model": "task", "store": true, "store": false}')
    assert RequestTransform(route()).render(sent, Api.CHAT).raw == b'{"model":"gpt-real","store":false}'


@pytest.mark.parametrize(
    ("fields", "asks"),
    [
        ({}, False),
        ({"reasoning_effort": "high"}, True),
        ({"reasoning_effort": "none"}, False),
        ({"reasoning_effort": None}, False),
        ({"reasoning": {"effort": "low"}}, True),
        ({"reasoning": {"effort": None}}, False),
        ({"reasoning": {"summary": "auto"}}, False),
        ({"reasoning": "nonsense"}, False),
    ],
)
def test_a_reasoning_effort_is_noticed(fields: dict[str, object], asks: bool) -> None:
    """Such a call's first token may come later."""
    assert body(**fields).asks_reasoning is asks


def test_usage_asked_for_by_the_app_is_noticed() -> None:
    """Only an explicit true counts."""
    assert body(stream_options={"include_usage": True}).asks_usage
    assert not body(stream_options={"include_usage": False}).asks_usage
    assert not body(stream_options=[]).asks_usage
    assert not body().asks_usage


def test_only_the_model_changes_where_a_route_has_no_rules() -> None:
    """Every other byte is forwarded as the app wrote it, in its order, odd spellings included."""
    raw = (
        b'{"messages" : [ {"role":"user", "content":"\\u00e9 \xc3\xa9 1.0e0"} ], "model":"task", "x": 1.50, "y":1E400}'
    )
    result = RequestTransform(route()).render(RequestBody.parse(raw), Api.CHAT)
    assert result.raw == (
        b'{"messages":[ {"role":"user", "content":"\\u00e9 \xc3\xa9 1.0e0"} ],"model":"gpt-real","x":1.50,"y":1E400}'
    )
    assert (result.dropped, result.transformed, result.injected_usage) == ((), False, False)


def test_rendering_never_changes_the_apps_body() -> None:
    """Each route starts from what the app sent."""
    sent = body(temperature=1, max_tokens=5, stream=True, messages=[{"role": "system", "content": "s"}])
    before = (sent.raw, dict(sent.fields), sent.digest)
    recipe = RequestTransform(
        route(drop=["temperature"], rename={"max_tokens": "max_completion_tokens"}, set={"a": 1}, system_suffix="x")
    )
    recipe.render(sent, Api.CHAT, inject_usage=True, without=frozenset({"a"}))
    assert (sent.raw, dict(sent.fields), sent.digest) == before


def test_declared_rules_are_applied() -> None:
    """Drop, rename and set each do their part, and what was taken out is told."""
    recipe = RequestTransform(
        route(
            drop=["temperature", "seed", "user"],
            rename={"max_tokens": "max_completion_tokens"},
            set={"service_tier": "auto", "metadata": {"a": 1}},
        )
    )
    result = recipe.render(body(temperature=0.2, seed=None, max_tokens=5, service_tier="flex"), Api.CHAT)
    assert json.loads(result.raw) == {
        "model": "gpt-real",
        "max_completion_tokens": 5,
        "service_tier": "auto",
        "metadata": {"a": 1},
    }
    assert result.dropped == ("temperature",)
    assert result.transformed


def test_a_body_that_no_rule_touches_is_not_transformed() -> None:
    """A 400 for it can't be the rules' fault."""
    result = RequestTransform(route(drop=["seed"], rename={"a": "b"})).render(body(temperature=1), Api.CHAT)
    assert not result.transformed


def test_the_apps_explicit_parameter_wins_over_a_renamed_one() -> None:
    """The one that gave way is told as taken out."""
    recipe = RequestTransform(route(rename={"max_tokens": "max_completion_tokens"}))
    result = recipe.render(body(max_tokens=5, max_completion_tokens=7), Api.CHAT)
    assert json.loads(result.raw) == {"model": "gpt-real", "max_completion_tokens": 7}
    assert result.dropped == ("max_tokens",)


@pytest.mark.parametrize("first", ["max_tokens", "max_completion_tokens"])
def test_a_null_does_not_stand_in_the_way_of_a_renamed_parameter(first: str) -> None:
    """Null counts as not sent, in either order."""
    fields: dict[str, object] = {"max_tokens": 5, "max_completion_tokens": None}
    ordered = {first: fields[first], **fields}
    recipe = RequestTransform(route(rename={"max_tokens": "max_completion_tokens"}))
    result = recipe.render(body(**ordered), Api.CHAT)
    assert json.loads(result.raw) == {"model": "gpt-real", "max_completion_tokens": 5}
    assert result.dropped == ()


def test_two_names_can_be_exchanged() -> None:
    """A parameter that is itself renamed does not hold its name."""
    assert rendered(route(rename={"a": "b", "b": "a"}), body(a=1, b=2)) == {"model": "gpt-real", "b": 1, "a": 2}


@pytest.mark.parametrize(
    "name",
    [
        *("tools", "tool_choice", "functions", "parallel_tool_calls", "response_format", "text", "instructions"),
        *("modalities", "audio", "dimensions", "encoding_format", "stop", "n", "max_tokens"),
        *("max_completion_tokens", "max_output_tokens", "previous_response_id", "conversation", "prompt"),
    ],
)
def test_a_route_that_would_lose_what_the_answer_rests_on_is_skipped(name: str) -> None:
    """Listing it in drop means: skip this route when the app sends it; null is not sending it."""
    recipe = RequestTransform(route(drop=[name]))
    assert recipe.incapable(body(**{name: 1}), Api.CHAT) == f"can't take {name}"
    assert recipe.incapable(body(**{name: None}), Api.CHAT) is None
    assert recipe.incapable(body(), Api.CHAT) is None
    assert not recipe.takes_all


def test_only_store_false_rests_on_a_route_that_takes_store() -> None:
    """True can be dropped; false forbids to keep the answer."""
    recipe = RequestTransform(route(drop=["store"]))
    assert recipe.incapable(body(store=False), Api.RESPONSES) == "can't take store"
    assert recipe.incapable(body(store=True), Api.RESPONSES) is None
    assert recipe.render(body(store=True), Api.RESPONSES).dropped == ("store",)


def test_a_route_may_say_how_it_stands_in() -> None:
    """A parameter that is dropped and also renamed or set is not lost."""
    renamed = route(drop=["max_tokens"], rename={"max_tokens": "max_completion_tokens"})
    assert RequestTransform(renamed).incapable(body(max_tokens=5), Api.CHAT) is None
    assert rendered(renamed, body(max_tokens=5)) == {"model": "gpt-real", "max_completion_tokens": 5}
    fixed = route(drop=["response_format"], set={"response_format": {"type": "json_object"}})
    assert RequestTransform(fixed).incapable(body(response_format={"type": "json_schema"}), Api.CHAT) is None
    assert rendered(fixed, body(response_format={}))["response_format"] == {"type": "json_object"}


def test_a_route_without_the_kind_of_api_is_skipped() -> None:
    """The reason names the API."""
    assert RequestTransform(route(api=["chat"])).incapable(body(), Api.RESPONSES) == "does not offer responses"
    assert RequestTransform(route(api=["chat"])).takes_all


@pytest.mark.parametrize("name", ["model", "messages", "input", "stream"])
def test_no_rule_may_touch_the_question_itself(name: str) -> None:
    """A route made in Python without validation is refused too."""
    made = route().model_copy(update={"drop": (name,)})
    with pytest.raises(ValueError, match=name):
        RequestTransform(made)


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (
            [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hi"}],
            [{"role": "system", "content": "Be kind.\n\nBe brief."}, {"role": "user", "content": "hi"}],
        ),
        (
            [{"role": "user", "content": "hi"}, {"content": [{"type": "text", "text": "a"}], "role": "developer"}],
            [
                {"role": "user", "content": "hi"},
                {
                    "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "Be brief."}],
                    "role": "developer",
                },
            ],
        ),
        (
            [{"role": "system", "content": "a"}, {"role": "system", "content": "b"}],
            [{"role": "system", "content": "a\n\nBe brief."}, {"role": "system", "content": "b"}],
        ),
        (
            [{"role": "user", "content": "[x]"}],
            [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "[x]"}],
        ),
        ([], [{"role": "system", "content": "Be brief."}]),
        ([{"role": "system"}], [{"role": "system", "content": "Be brief."}]),
        ([{"role": "system", "content": ""}], [{"role": "system", "content": "Be brief."}]),
        ([{"role": "system", "content": 'é "q" \\'}], [{"role": "system", "content": 'é "q" \\\n\nBe brief.'}]),
    ],
)  # fmt: skip
def test_the_system_suffix_of_a_chat(messages: list[object], expected: list[object]) -> None:
    """The first system or developer message gets it; one is put in front where there is none."""
    assert rendered(route(system_suffix="Be brief."), body(messages=messages))["messages"] == expected


@pytest.mark.parametrize(
    "messages", ["text", None, [1], [{"role": 1}], [{"role": "system", "content": {"a": 1}}], {"a": 1}]
)
def test_malformed_messages_are_left_for_the_provider_to_refuse(messages: object) -> None:
    """The suffix is no reason for an error of ours."""
    assert rendered(route(system_suffix="x"), body(messages=messages))["messages"] == messages


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"instructions": "Be kind."}, "Be kind.\n\nBe brief."),
        ({"instructions": None}, "Be brief."),
        ({}, "Be brief."),
    ],
)
def test_the_system_suffix_of_a_response(fields: dict[str, object], expected: str) -> None:
    """It is added to the instructions; the input stays as it is."""
    sent = body(input=[{"role": "system", "content": "a"}], **fields)
    result = rendered(route(system_suffix="Be brief."), sent, Api.RESPONSES)
    assert result["instructions"] == expected
    assert result["input"] == [{"role": "system", "content": "a"}]


def test_embeddings_have_no_system_suffix() -> None:
    """Their input is data."""
    result = RequestTransform(route(system_suffix="x")).render(body(input="a"), Api.EMBEDDINGS)
    assert json.loads(result.raw) == {"model": "gpt-real", "input": "a"}
    assert not result.transformed


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (None, {"include_usage": True}),
        ({"include_usage": False}, {"include_usage": True}),
        ({"include_obfuscation": False}, {"include_obfuscation": False, "include_usage": True}),
    ],
)
def test_usage_of_a_chat_stream_is_asked_for(options: object, expected: object) -> None:
    """Where the app did not ask, we do, beside the app's own options, and say so."""
    result = RequestTransform(route()).render(body(stream=True, stream_options=options), Api.CHAT, inject_usage=True)
    assert json.loads(result.raw)["stream_options"] == expected
    assert result.injected_usage
    assert result.transformed


@pytest.mark.parametrize(
    ("fields", "api"),
    [
        ({"stream": True, "stream_options": {"include_usage": True}}, Api.CHAT),
        ({"stream": True, "stream_options": "nonsense"}, Api.CHAT),
        ({"stream": False}, Api.CHAT),
        ({}, Api.CHAT),
        ({"stream": True}, Api.RESPONSES),
    ],
)
def test_usage_is_not_asked_for_twice_or_where_it_comes_anyway(fields: dict[str, object], api: Api) -> None:
    """Then nothing has to be hidden from the app."""
    result = RequestTransform(route()).render(body(**fields), api, inject_usage=True)
    assert json.loads(result.raw) == {"model": "gpt-real", **fields}
    assert not result.injected_usage
    assert not result.transformed


def test_what_a_provider_was_learned_to_refuse_is_taken_out() -> None:
    """It is told as dropped, by the name that the provider got."""
    recipe = RequestTransform(route(rename={"effort": "reasoning_effort"}, set={"service_tier": "auto"}))
    sent = body(effort="high", temperature=1)
    result = recipe.render(sent, Api.CHAT, without=frozenset({"temperature", "reasoning_effort", "service_tier", "x"}))
    assert json.loads(result.raw) == {"model": "gpt-real"}
    assert result.dropped == ("reasoning_effort", "service_tier", "temperature")
    assert result.transformed


def test_what_the_answer_rests_on_is_never_taken_out_by_learning() -> None:
    """Learned from one body (store=true), it must not change what another one asks for (store=false)."""
    sent = body(store=False, tools=[1], messages=[], stream=True)
    result = RequestTransform(route()).render(
        sent, Api.CHAT, without=frozenset({"store", "tools", "messages", "model", "stream"})
    )
    assert json.loads(result.raw) == {**json.loads(sent.raw), "model": "gpt-real"}
    assert result.dropped == ()


def test_a_refused_usage_request_is_left_out_and_the_apps_own_options_stay() -> None:
    """What we put in may go; what the app asked for may not."""
    recipe, without = RequestTransform(route()), frozenset({"stream_options"})
    ours = recipe.render(body(stream=True), Api.CHAT, inject_usage=True, without=without)
    assert json.loads(ours.raw) == {"model": "gpt-real", "stream": True}
    sent = body(stream=True, stream_options={"include_usage": True})
    assert json.loads(recipe.render(sent, Api.CHAT, without=without).raw)["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("param", "expected"),
    [
        ("temperature", "temperature"),
        ("store", "store"),
        ("tools", None),
        ("max_tokens", None),
        ("max_completion_tokens", None),
        ("previous_response_id", None),
        ("messages", None),
        ("messages[0].content", None),
        ("reasoning.effort", None),
        ("reasoning", "reasoning"),
        ("model", None),
        ("stream", None),
        ("seed", None),
        ("service_tier", "service_tier"),
        ("", None),
        (None, None),
    ],
)
def test_which_refused_parameters_may_be_dropped(param: str | None, expected: str | None) -> None:
    """Only a top-level one that was sent, and that the answer's meaning does not rest on."""
    recipe = RequestTransform(route(rename={"max_tokens": "max_completion_tokens"}, set={"service_tier": "auto"}))
    sent = body(
        messages=[], stream=True, temperature=1, store=True, tools=[1], max_tokens=5, previous_response_id="r",
        reasoning={"effort": "low"},
    )  # fmt: skip
    first = recipe.render(sent, Api.CHAT, inject_usage=True)
    assert recipe.droppable(param, sent, first) == expected


def test_a_parameter_is_dropped_once() -> None:
    """A provider that still complains about what it no longer gets is not asked again."""
    recipe, sent = RequestTransform(route()), body(temperature=1, stream=True, store=False)
    again = recipe.render(sent, Api.CHAT, inject_usage=True, without=frozenset({"temperature", "stream_options"}))
    assert recipe.droppable("temperature", sent, again) is None
    assert recipe.droppable("stream_options", sent, again) is None
    assert recipe.droppable("store", sent, again) is None


@pytest.mark.parametrize(
    ("api", "fields", "bound"),
    [
        (Api.RESPONSES, {"previous_response_id": "resp_1"}, True),
        (Api.RESPONSES, {"previous_response_id": None}, False),
        (Api.RESPONSES, {"conversation": {"id": "conv_1"}}, True),
        (Api.RESPONSES, {"prompt": {"id": "pmpt_1"}}, True),
        (Api.RESPONSES, {"input": [{"content": [{"type": "input_image", "file_id": "file-1"}]}]}, True),
        (Api.RESPONSES, {"input": [{"type": "item_reference", "id": "msg_1"}]}, True),
        (Api.RESPONSES, {"input": "a", "tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}, True),
        (Api.RESPONSES, {"input": "a", "tools": [{"container": {"type": "auto", "file_ids": ["file-1"]}}]}, True),
        (Api.RESPONSES, {"input": "a", "tools": [{"type": "code_interpreter", "container": "cntr_1"}]}, True),
        (Api.RESPONSES, {"input": "a", "tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}, False),
        (Api.RESPONSES, {"input": "a", "tools": [{"type": "function", "name": "list_ids"}]}, False),
        (
            Api.RESPONSES,
            {"input": "a", "tools": [{"parameters": {"properties": {"file_ids": {"type": "array"}, "container": {}}}}]},
            False,
        ),
        (Api.RESPONSES, {"input": "a", "store": False}, False),
        (Api.CHAT, {"messages": [{"content": [{"type": "file", "file": {"file_id": "file-1"}}]}]}, True),
        (Api.CHAT, {"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]}, True),
        (
            Api.CHAT,
            {"messages": [{"content": [{"audio_url": {"url": "https://x"}}]}], "audio": {"voice": "alloy"}},
            False,
        ),
        (Api.CHAT, {"messages": [{"content": 'what is a "file_id"?'}]}, False),
        (Api.CHAT, {"messages": [{"content": "file_id"}]}, False),
        (Api.CHAT, {"messages": [{"content": [{"file": {"file_id": None}}]}]}, False),
        (Api.CHAT, {"messages": [], "metadata": {"file_id": "x"}}, False),
        (Api.CHAT, {"messages": [], "prompt": "x"}, False),
        (Api.EMBEDDINGS, {"input": "file_id"}, False),
    ],
)
@pytest.mark.parametrize("padding", [0, 100_000])
def test_calls_bound_to_a_providers_memory_are_found(
    api: Api, fields: dict[str, object], bound: bool, padding: int
) -> None:
    """Stored responses, conversations, prompts, files, containers, spoken answers and items are; texts that mention
    them are not, nor parameters of functions that are called so."""
    assert (binding(body(padding="x" * padding, **fields), api) is not None) is bound


@pytest.mark.parametrize("noise", ["_", "a_b_", "x"])
def test_a_file_in_a_large_text_is_found(noise: str) -> None:
    """Also behind many underscores, which lead the search at first."""
    part = {"type": "file", "file": {"file_id": "file-1"}}
    assert binding(body(messages=[{"content": [{"text": noise * 40_000}, part]}]), Api.CHAT) is not None


def test_what_can_not_be_told_stays_where_it_is() -> None:
    """In doubt, here for a number that is out of range, a call is bound."""
    raw = b'{"input": [{"x": 1e999, "y": "file_id"}]}'
    assert binding(RequestBody.parse(raw), Api.RESPONSES) is not None


def test_embeddings_stand_in_only_for_the_same_vectors() -> None:
    """The same model string, or a declared same_as in either direction."""
    small, azure = route(name="small", model="m"), route(name="azure", model="deployment", same_as=["small"])
    twin, large = route(name="twin", model="m"), route(name="large", model="l")
    assert may_stand_in(small, small)
    assert may_stand_in(small, twin)
    assert may_stand_in(small, azure)
    assert may_stand_in(azure, small)
    assert not may_stand_in(small, large)
    assert not may_stand_in(azure, twin)


def test_a_fingerprint_stands_for_the_final_body() -> None:
    """Rules, learned drops, the request for usage and the kind of API each make another one; the rest does not."""
    sent = body(stream=True, temperature=1)
    plain, other = RequestTransform(route()), RequestTransform(route(set={"a": 1}))
    fingerprints = [
        plain.render(sent, Api.CHAT).fingerprint,
        plain.render(sent, Api.RESPONSES).fingerprint,
        plain.render(sent, Api.CHAT, inject_usage=True).fingerprint,
        plain.render(sent, Api.CHAT, without=frozenset({"temperature"})).fingerprint,
        other.render(sent, Api.CHAT).fingerprint,
        RequestTransform(route(model="gpt-other")).render(sent, Api.CHAT).fingerprint,
    ]
    assert len(set(fingerprints)) == len(fingerprints)
    assert RequestTransform(route()).render(sent, Api.CHAT).fingerprint == fingerprints[0]
    assert plain.render(sent, Api.CHAT, without=frozenset({"seed"})).fingerprint == fingerprints[0]


def test_nothing_of_the_prompt_is_in_a_repr_or_a_pickle() -> None:
    """Bodies and renderings tell only their size, and refuse to be pickled or copied."""
    sent = body(messages=[{"role": "user", "content": CANARY}])
    for thing in (sent, RequestTransform(route()).render(sent, Api.CHAT)):
        assert CANARY not in repr(thing)
        with pytest.raises(TypeError, match="prompt"):
            pickle.dumps(thing)
        with pytest.raises(TypeError, match="prompt"):
            copy.deepcopy(thing)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["messages", "input", "stream", "stream_options", "n", "a", "b"]), _JSON),
    st.sampled_from(list(Api)),
    st.booleans(),
)
def test_any_json_object_is_rendered_to_one(fields: dict[str, object], api: Api, inject: bool) -> None:
    """No shape of the app's parameters breaks the rules, and no untouched parameter changes."""
    sent = body(**fields)
    binding(sent, api)
    recipe = RequestTransform(route(drop=["b"], rename={"n": "m"}, set={"c": 1}, system_suffix="x"))
    recipe.incapable(sent, api)
    result = json.loads(recipe.render(sent, api, inject_usage=inject).raw)
    assert "b" not in result
    assert result["model"] == "gpt-real"
    assert ("a" in result, result.get("a")) == ("a" in fields, fields.get("a"))
