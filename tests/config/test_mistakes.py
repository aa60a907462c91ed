"""Each mistake is told with its place and what would be right, and all of them at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.small import SMALL, changed, mistakes_of
from lanewise.config import Config, ConfigError

ONE_MISTAKE = {
    "unknown section": (("provider",), {}, "provider", "'providers'"),
    "unknown key": (("routes", "main", "timout"), "2s", "routes.main.timout", "'timeout'"),
    "unknown stream key": (("tasks", "chat", "stream"), {"hld": "all"}, "tasks.chat.stream.hld", "'hold'"),
    "unknown lane key": (("tasks", "chat", "primary"), {"routes": ["main"], "if": []}, "tasks.chat.primary", "'if'"),
    "unknown route": (("tasks", "chat", "primary"), "mian", "tasks.chat.primary", "'main'"),
    "unknown provider": (("routes", "main", "provider"), "opnai", "routes.main.provider", "'openai'"),
    "unknown category": (("tasks", "chat", "sensitive"), "paiment", "tasks.chat.sensitive", "'payment'"),
    "unknown category of a path": (("endpoints", "/a"), "paiment", 'endpoints."/a"', "'payment'"),
    "unknown category of unmarked": (("router", "undeclared"), "sensitive:x", "router.undeclared", "payment"),
    "unknown stand-in": (("routes", "main", "same_as"), ["spar"], "routes.main.same_as", "'spare'"),
    "unknown approved route": (("sensitive", "payment", "routes"), ["main", "x"], "sensitive.payment.routes", "main"),
    "unknown failure": (
        ("tasks", "chat", "equivalent"),
        {"routes": ["spare"], "on": ["timout"]},
        "tasks.chat.equivalent.on",
        "'timeout'",
    ),
    "failure that never moves": (
        ("tasks", "chat", "equivalent"),
        {"routes": ["spare"], "on": ["cancelled"]},
        "tasks.chat.equivalent.on",
        "never",
    ),
    "empty on": (("tasks", "chat", "equivalent"), {"routes": ["spare"], "on": []}, "tasks.chat.equivalent.on", "empty"),
    "unknown failure to retry": (("tasks", "chat", "retries"), {"outge": 1}, "tasks.chat.retries.outge", "'outage'"),
    "no primary": (("tasks", "chat"), {"equivalent": "main"}, "tasks.chat.primary", "missing"),
    "empty lane": (("tasks", "chat", "primary"), [], "tasks.chat.primary", "no route"),
    "lane of another type": (("tasks", "chat", "primary"), 3, "tasks.chat.primary", "a route"),
    "route twice": (("tasks", "chat", "equivalent"), "main", "tasks.chat.equivalent", "twice"),
    "deadline too short": (
        ("tasks", "chat"),
        {"primary": "main", "degraded": "spare", "deadline": 1.5},
        "tasks.chat.deadline",
        "2s",
    ),
    "start in a lane that is not there": (("tasks", "chat", "start"), "degraded", "tasks.chat.start", "degraded"),
    "start rule that can't be read": (
        ("tasks", "chat", "start"),
        [{"when": "tokns < 3", "lane": "primary"}],
        "tasks.chat.start",
        "Did you mean 'tokens'",
    ),
    "start rules of which several can't be read": (
        ("tasks", "chat", "start"),
        [
            {"when": "tokens <", "lane": "primary"},
            {"when": "tools", "lane": "primary"},
            {"when": "tokns < 1", "lane": "primary"},
        ],
        "tasks.chat.start",
        "rule 3, 'tokns < 1'",
    ),
    "start rule into a lane that is not there": (
        ("tasks", "chat", "start"),
        [{"when": "json", "lane": "degraded"}],
        "tasks.chat.start",
        "degraded",
    ),
    "start rule into no lane": (
        ("tasks", "chat", "start"),
        [{"when": "json", "lane": "degarded"}],
        "tasks.chat.start",
        "Did you mean 'degraded'",
    ),
    "start rule with another key": (
        ("tasks", "chat", "start"),
        [{"if": "json", "lane": "primary"}],
        "tasks.chat.start",
        "'if'",
    ),
    "start rule without a lane": (("tasks", "chat", "start"), [{"when": "json"}], "tasks.chat.start", "`lane` is"),
    "start that is neither lane nor rules": (("tasks", "chat", "start"), 5, "tasks.chat.start", "degraded"),
    "start without a rule": (("tasks", "chat", "start"), [], "tasks.chat.start", "no rule"),
    "sticky and in order": (
        ("tasks", "chat"),
        {"primary": "main", "sticky": "subject", "select": "order"},
        "tasks.chat.sticky",
        'select = "weight"',
    ),
    "sticky and fastest": (
        ("tasks", "chat"),
        {"primary": "main", "sticky": "subject", "select": "fastest"},
        "tasks.chat.sticky",
        "fastest",
    ),
    "no approved route": (
        ("tasks", "chat"),
        {"primary": "spare", "sensitive": "payment"},
        "tasks.chat.sensitive",
        "main",
    ),
    "no approved routes at all": (("sensitive", "payment", "routes"), [], "sensitive.payment.routes", "may answer"),
    "draft without review": (
        ("sensitive", "payment", "review_routes"),
        ["main"],
        "sensitive.payment.review_routes",
        "review",
    ),
    "no URL": (("providers", "x"), {}, "providers.x.base_url", "missing"),
    "not a URL": (("providers", "openai", "base_url"), "api.openai.com", "providers.openai.base_url", "https://"),
    "bad port": (("providers", "openai", "base_url"), "https://h:99999/", "providers.openai.base_url", "not a URL"),
    "bad IPv6": (("providers", "openai", "base_url"), "https://[::1/", "providers.openai.base_url", "not a URL"),
    "http": (("providers", "openai", "base_url"), "http://api.openai.com", "providers.openai.base_url", "insecure"),
    "ftp": (("providers", "openai", "base_url"), "ftp://localhost", "providers.openai.base_url", "https"),
    "query in the URL": (
        ("providers", "openai", "base_url"),
        "https://h/v1?v=1",
        "providers.openai.base_url",
        "query =",
    ),
    "path without slash": (("endpoints", "payments"), "payment", "endpoints.payments", "/"),
    "path with a framework's parameter": (("endpoints", "/a/{id}"), "payment", 'endpoints."/a/{id}"', "A * stands"),
    "path without a category": (("endpoints", "/a"), 1, 'endpoints."/a"', "category"),
    "bad name": (("tasks", "my chat"), {"primary": "main"}, 'tasks."my chat"', "64 letters"),
    "too long a name": (("tasks", "x" * 65), {"primary": "main"}, "tasks." + "x" * 65, "64 letters"),
    "duration without a unit": (("tasks", "chat", "deadline"), "12", "tasks.chat.deadline", '"12s"'),
    "negative duration": (("tasks", "chat", "deadline"), -1.0, "tasks.chat.deadline", "out of range"),
    "zero duration": (("tasks", "chat", "deadline"), "0s", "tasks.chat.deadline", "zero"),
    "id in a header of keys": (("router", "request_id_header"), "Authorization", "router.request_id_header", "its own"),
    "id in cookies": (("router", "request_id_header"), "Set-Cookie", "router.request_id_header", "its own"),
    "id in the framing": (("router", "request_id_header"), "Content-Length", "router.request_id_header", "its own"),
    "drill in a header of keys": (("router", "drill_header"), "x-api-key", "router.drill_header", "its own"),
    "ids in the key": (
        ("providers", "other", "idempotency_header"),
        "api-key",
        "providers.other.idempotency_header",
        "own",
    ),
    "infinite duration": (("routes", "main", "timeout"), math.inf, "routes.main.timeout", "out of range"),
    "huge duration": (("routes", "main", "timeout"), 10**400, "routes.main.timeout", "out of range"),
    "boolean as a duration": (("routes", "main", "timeout"), True, "routes.main.timeout", "12s"),
    "number as a text": (("routes", "main", "model"), 3, "routes.main.model", "a text"),
    "empty text": (("routes", "main", "model"), " ", "routes.main.model", "empty"),
    "text as a boolean": (("providers", "openai", "optional"), "yes", "providers.openai.optional", "true or false"),
    "text as a list": (("routes", "main", "drop"), "seed", "routes.main.drop", "a list"),
    "text as a number": (("routes", "main", "weight"), "1", "routes.main.weight", "a number"),
    "float as a whole number": (("providers", "openai", "rpm"), 1.5, "providers.openai.rpm", "whole number"),
    "weight of zero": (("routes", "main", "weight"), 0, "routes.main.weight", "greater than 0"),
    "no api": (("routes", "main", "api"), [], "routes.main.api", "at least one"),
    "unknown api": (("routes", "main", "api"), ["audio"], "routes.main.api[0]", "'chat'"),
    "unknown choice": (("tasks", "chat", "select"), "odrer", "tasks.chat.select", "'order'"),
    "dropping the question": (("routes", "main", "drop"), ["messages"], "routes.main.drop[0]", "'messages'"),
    "setting the model": (("routes", "main", "set"), {"model": "x"}, "routes.main.set", "'model'"),
    "setting what is no JSON": (("routes", "main", "set"), {"x": math.nan}, "routes.main.set", "not a number"),
    "contract of another type": (("tasks", "chat", "contract"), 3, "tasks.chat.contract", "JSON Schema"),
    "rule that no contract has": (
        ("tasks", "chat", "contract"),
        {"max_char": 3},
        "tasks.chat.contract.max_char",
        "max_chars",
    ),
    "stand-in of another kind": (("routes", "main", "stand_in"), {"n": "prompt"}, "routes.main.stand_in.n", "'calls'"),
    "stand-in for what is unknown": (
        ("routes", "main", "stand_in"),
        {"seed": "x"},
        "routes.main.stand_in.seed",
        "response_format",
    ),
    "unknown ability": (("routes", "main", "cannot"), ["visoin"], "routes.main.cannot[0]", "vision"),
    "empty contract": (("tasks", "chat", "contract"), {}, "tasks.chat.contract", "Give it a schema"),
    "contract with a bad pattern": (
        ("tasks", "chat", "contract"),
        {"must_match": "("},
        "tasks.chat.contract.must_match",
        "regular expression",
    ),
    "contract with no function": (
        ("tasks", "chat", "contract"),
        {"check": "polite"},
        "tasks.chat.contract.check",
        "app.",
    ),
    "bad header": (("providers", "openai", "auth_header"), "X: y", "providers.openai.auth_header", "header"),
    "line break in a header": (
        ("providers", "openai", "headers"),
        {"X": "a\r\nb"},
        "providers.openai.headers",
        "line break",
    ),
    "non-ASCII in a header": (("providers", "openai", "headers"), {"X": "é"}, "providers.openai.headers", "ASCII"),
    "header of the key": (
        ("providers", "openai", "headers"),
        {"authorization": "x"},
        "providers.openai.headers",
        "key",
    ),
    "header of the transport": (
        ("providers", "openai", "headers"),
        {"Host": "x"},
        "providers.openai.headers",
        "'Host'",
    ),
    "idempotency header true": (
        ("providers", "openai", "idempotency_header"),
        True,
        "providers.openai.idempotency_header",
        "false",
    ),
    "proxy": (("router", "proxy"), "proxy:80", "router.proxy", '"none"'),
    "place of a case without its id": (("router", "review_location"), "/reviews", "router.review_location", "{id}"),
    "place of a case in the clear": (
        ("router", "review_location"),
        "http://shop.example/reviews/{id}",
        "router.review_location",
        "https://",
    ),
    "place of a case with a line break": (
        ("router", "review_location"),
        "/reviews/{id}\r\nX: y",
        "router.review_location",
        "{id}",
    ),
    "drafts without a review": (
        ("sensitive", "payment", "review_routes"),
        ["main"],
        "sensitive.payment.review_routes",
        'on_failure = "review"',
    ),
    "undeclared": (("router", "undeclared"), "open", "router.undeclared", '"refuse"'),
    "section of another type": (("tasks",), 3, "tasks", "a table"),
    "table of another type": (("tasks", "chat"), "main", "tasks.chat", "a table"),
    "router of another type": (("router",), [], "router", "a table"),
    "endpoints of another type": (("endpoints",), "x", "endpoints", "a table"),
    "two keys": (
        ("providers", "openai"),
        {"base_url": "https://h", "api_key": "k", "api_key_env": "K"},
        "providers.openai.api_key",
        "not both",
    ),
    "name of its own": (("tasks", "chat", "name"), "talk", "tasks.chat.name", "Leave"),
}


@pytest.mark.parametrize(("path", "value", "place", "said"), ONE_MISTAKE.values(), ids=ONE_MISTAKE.keys())
def test_a_mistake_is_told_with_its_place_and_a_way_out(
    path: tuple[str, ...], value: object, place: str, said: str
) -> None:
    """One thing is wrong, so one mistake is told, there, with what would be right."""
    mistakes = mistakes_of(changed(*path, value=value))
    told = [mistake for mistake in mistakes if mistake.place == place]
    assert len(told) == 1, mistakes
    assert said in str(told[0])


def test_all_mistakes_are_told_at_once(in_file: Callable[[str], Path]) -> None:
    """A file with many mistakes is set right in one go, by line."""
    file = in_file(
        "[providers.openai]\n"
        'base_url = "http://api.example.com"\n'
        "[routes.main]\n"
        'provider = "opnai"\n'
        "timeout = 20\n"
        "[tasks.chat]\n"
        'deadline = "12"\n'
        'equivalent = { routes = ["mian"], on = ["outge"] }\n'
        'colour = "red"\n'
    )
    with pytest.raises(ConfigError) as caught:
        Config.from_file(file)
    assert [(mistake.line, mistake.place) for mistake in caught.value.mistakes] == [
        (2, "providers.openai.base_url"),
        (3, "routes.main.model"),
        (4, "routes.main.provider"),
        (5, "routes.main.timeout"),
        (6, "tasks.chat.primary"),
        (7, "tasks.chat.deadline"),
        (8, "tasks.chat.equivalent.on"),
        (8, "tasks.chat.equivalent"),
        (9, "tasks.chat.colour"),
    ]
    assert str(caught.value).startswith(f"{file} has 9 mistakes:\n  line 2, providers.openai.base_url: ")


def test_lines_are_found_past_long_texts_and_quoted_keys(in_file: Callable[[str], Path]) -> None:
    """What looks like a key within a text of many lines is none."""
    file = in_file(
        '[providers.openai]\n[routes."a.b"]\nprovider = "openai"\nmodel = "m"\n'
        'system_suffix = """\n[tasks.chat]\nprimary = "x"\n"""\n'
        '[tasks.chat]\nprimary = "a.b"\ndeadline = "x"\n'
    )
    with pytest.raises(ConfigError) as caught:
        Config.from_file(file)
    assert [(mistake.line, mistake.place) for mistake in caught.value.mistakes] == [(11, "tasks.chat.deadline")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "[tasks.chat]"),
        (b"[tasks", "this is not TOML"),
        (b"a = 1\na = 2\n", "line 2"),
        (b"a = " + b"[" * 100_000, "nested too deeply"),
        (b"# \xff\n", "byte 2"),
    ],
)
def test_a_file_that_is_no_config_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    """Empty, not TOML, not UTF-8, absurd."""
    file = tmp_path / "bad.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        Config.from_file(file)
    assert said in str(caught.value)


@pytest.mark.parametrize("path", ["missing.toml", ".", "null\0byte"])
def test_a_path_without_a_file_is_refused(tmp_path: Path, path: str) -> None:
    """A missing file, a directory and a path that can't be one end as the same error."""
    with pytest.raises(ConfigError):
        Config.from_file(tmp_path / path)


def test_durations_in_a_file_need_a_unit(in_file: Callable[[str], Path]) -> None:
    """A bare number could be seconds or milliseconds."""
    file = in_file(
        '[providers.openai]\n[routes.main]\nprovider = "openai"\nmodel = "m"\ntimeout = 20\n'
        '[tasks.chat]\nprimary = "main"\n'
    )
    with pytest.raises(ConfigError, match='Write "20s"'):
        Config.from_file(file)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "[::1]", "api.localhost"])
def test_http_is_fine_on_loopback(host: str) -> None:
    """A model on this machine needs no certificate."""
    Config.from_mapping(changed("providers", "openai", "base_url", value=f"http://{host}:11434/v1"))


def test_http_is_fine_when_it_is_asked_for() -> None:
    """A private network is the app's to judge."""
    Config.from_mapping(changed("providers", "openai", value={"base_url": "http://vllm.internal/v1", "insecure": True}))


def test_what_is_no_table_is_refused() -> None:
    """Also a config that is no mapping at all."""
    assert "not a list" in str(mistakes_of([])[0])


_KEYS = st.sampled_from(
    [
        *("providers", "routes", "tasks", "sensitive", "endpoints", "router", "openai", "main", "chat", "payment"),
        *(
            "primary",
            "on",
            "provider",
            "model",
            "timeout",
            "deadline",
            "retries",
            "stream",
            "api_key",
            "headers",
            "set",
        ),
        *("base_url", "contract", "name", "same_as", "start", "undeclared", "proxy", "rename"),
    ]
)
_ANY_KEYS = _KEYS | st.text(max_size=5) | st.integers()
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=5)
    | st.dates()
    | st.sampled_from(["main", "openai", "payment", "12s", "https://h/v1", "http://[", "outage"])
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_ANY_KEYS, inner, max_size=5),
    max_leaves=20,
)


@given(mapping=st.dictionaries(_KEYS | st.text(max_size=5) | st.integers(), _VALUES, max_size=6))
def test_any_mapping_is_read_or_refused(mapping: dict[str, object]) -> None:
    """Nothing but a ConfigError comes out, and its text can be printed."""
    try:
        Config.from_mapping(mapping)
    except ConfigError as error:
        str(error).encode("utf-8")


@given(path=st.sampled_from([case[0] for case in ONE_MISTAKE.values()]), value=_VALUES)
def test_any_value_at_a_known_place_is_read_or_refused(path: tuple[str, ...], value: object) -> None:
    """A config that is right but for one value."""
    try:
        Config.from_mapping(changed(*path, value=value))
    except ConfigError as error:
        str(error).encode("utf-8")


def test_a_mapping_that_holds_itself_is_refused() -> None:
    """A loop ends as a mistake, not as a crash."""
    loop: dict[str, object] = {}
    loop["x"] = loop
    assert mistakes_of(changed("routes", "main", "set", value=loop))


def test_reading_changes_nothing() -> None:
    """The app's mapping is still its own."""
    before = repr(SMALL)
    Config.from_mapping(SMALL)
    assert repr(SMALL) == before


@pytest.mark.parametrize(
    "globs",
    [["*"], ["**"], ["?*"], ["*?"], ["*-*"], ["*.*"], ["*/*"], ["[!x]*"], ["[a-z]*"], ["*[0-9]*"], ["*a*"], ["*o*"],
     ["????????"], ["?", "??", "???", "????"], ["[a-m]*", "[n-z]*"], ["a*", "c*", "g*", "l*", "m*"],
     ["gpt*", "claude*", "gemini*", "llama*"]],
    ids=str,
)  # fmt: skip
def test_a_route_that_answers_as_anything_is_none_that_a_category_can_approve(globs: list[str]) -> None:
    """However it is written: the model that answers is what a sensitive call goes by."""
    config = _approved(globs)
    with pytest.raises(ConfigError, match="takes almost any model"):
        Config.from_mapping(config)
    Config.from_mapping({**config, "sensitive": {}})


@pytest.mark.parametrize(
    "globs",
    [["gpt-5.5-2026*"], ["gpt-*"], ["openai/*"], ["*claude-sonnet*"], ["llama-3.1-8b*", "meta-llama/*"], ["own"]],
    ids=str,
)
def test_a_route_may_answer_as_what_its_globs_name(globs: list[str]) -> None:
    """One kind of models, by a part of their names."""
    Config.from_mapping(_approved(globs))


def _approved(globs: list[str]) -> dict[str, Any]:
    return {
        "providers": {"one": {"base_url": "http://127.0.0.1:9/v1"}},
        "routes": {"first": {"provider": "one", "model": "m", "answers_as": globs}},
        "tasks": {"t": {"primary": "first"}},
        "sensitive": {"payment": {"routes": ["first"]}},
    }
