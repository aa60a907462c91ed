"""Keys: found when a router opens, missing ones told at once, and their values nowhere to be seen."""

from __future__ import annotations

import copy
import functools
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from config.small import changed, mistakes_of
from lanewise.config import Config, ConfigError, Provider, Route, key_header, resolve_credentials

CANARY = "sk-canary-5f2c91aa77d04e6b"


def config_with(**providers: Provider) -> Config:
    """A config with a route to each provider, all in one task."""
    return Config(
        providers=providers,
        routes={f"to-{name}": Route(provider=name, model="m") for name in providers},
        tasks={"chat": {"primary": [f"to-{name}" for name in providers]}},
    )


def held(config: Config) -> str:
    """Everything that a config says of itself."""
    dumps = (
        config.model_dump(),
        config.model_dump_json(),
        [provider.model_dump() for provider in config.providers.values()],
    )
    return f"{config!r} {config} {dumps!r} {pickle.dumps(config)!r} {[vars(p) for p in config.providers.values()]!r}"


def give_key(key: str) -> str:
    """Gives the key that it was made with."""
    return key


@pytest.mark.parametrize("key", [CANARY, functools.partial(give_key, CANARY)])
def test_a_key_from_python_is_in_nothing_that_is_printed_or_pickled(key: str | Callable[[], str]) -> None:
    """Neither a key nor what a function of keys holds."""
    config = config_with(a=Provider(base_url="https://h/v1", api_key=key))  # type: ignore[arg-type]
    credentials = resolve_credentials(config, {})
    given = credentials.key("a")
    assert (given if isinstance(given, str) else given()) == CANARY  # type: ignore[misc]
    assert CANARY not in held(config)
    assert CANARY not in f"{credentials!r} {credentials}"
    with pytest.raises(TypeError):
        pickle.dumps(credentials)


def test_a_pickled_config_knows_that_its_key_is_missing() -> None:
    """A key that is gone is asked for; no call goes out without it."""
    config = pickle.loads(pickle.dumps(config_with(a=Provider(base_url="https://h/v1", api_key=CANARY))))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="Give it again"):
        resolve_credentials(config, {})


@pytest.mark.parametrize(
    "fields",
    [
        {"headers": {"X-Gateway-Token": "canary"}},
        {"headers": {"Ocp-Apim-Subscription-Key": "canary"}},
        {"headers": {"X-Gate": CANARY}},
        {"query": {"sig": "canary"}},
        {"query": {"code": CANARY}},
    ],
    ids=str,
)
def test_keys_in_headers_and_queries_are_in_no_repr_and_no_pickle(fields: dict[str, Any]) -> None:
    """Those that carry none stay; and no call goes out without what is gone."""
    fields = {place: {**given, "X-Title": "shop"} for place, given in fields.items()}
    config = config_with(a=Provider(base_url="https://h/v1", **fields))
    assert "canary" not in f"{config!r} {config} {pickle.dumps(config)!r}"
    again = pickle.loads(pickle.dumps(config))
    (given,) = (getattr(again.providers["a"], place) for place in fields)
    assert given["X-Title"] == "shop"
    with pytest.raises(ConfigError, match="Give it again"):
        resolve_credentials(again, {})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("providers", "openai", "api_key_env"), CANARY),
        (("providers", "openai", "api_key_env"), "gsk_AbCd1234EfGh5678IjKl"),
        (("providers", "openai", "base_url"), f"https://user:{CANARY}@h/v1"),
        (("providers", "openai", "base_url"), f"https://h/v1?api_key={CANARY}"),
        (("providers", "openai", "base_url"), CANARY),
        (("providers", "openai", "api_key"), f" {CANARY}"),
        (("providers", "openai", CANARY), "x"),
        (("providers", "openai", "headers"), {"X": f"{CANARY}\n"}),
        (("providers", "openai", "headers"), CANARY),
        (("providers", "openai", "idempotency_header"), CANARY + " "),
        (("routes", "main", "provider"), CANARY),
        (("routes", "main", "timeout"), CANARY),
        (("routes", "main", "api"), [CANARY]),
        (("tasks", "chat", "primary"), CANARY),
        (("tasks", CANARY + "!"), {}),
        (("router", "proxy"), f"socks://u:{CANARY}@h"),
    ],
)
def test_a_key_in_the_wrong_place_is_not_echoed(path: tuple[str, ...], value: object) -> None:
    """Slips of the pen put keys anywhere; the message goes to a log."""
    secret = value if isinstance(value, str) and value.startswith("gsk") else CANARY
    for mistake in mistakes_of(changed(*path, value=value)):
        assert secret not in f"{mistake} {mistake!r}"


@pytest.mark.parametrize(
    "line",
    [
        f'api_key = "{CANARY}"',
        f'headers = {{ Authorization = "Bearer {CANARY}" }}',
        f'headers = {{ api-key = "{CANARY}" }}',
        f'query = {{ key = "{CANARY}" }}',
        f'base_url = "https://h/v1?token={CANARY}"',
    ],
)
def test_a_key_in_a_file_is_refused_and_not_echoed(in_file: Callable[[str], Path], line: str) -> None:
    """Files are committed."""
    base = "" if line.startswith("base_url") else 'base_url = "https://h/v1"\n'
    file = in_file(
        f'[providers.a]\n{base}{line}\n[routes.main]\nprovider = "a"\nmodel = "m"\n[tasks.chat]\nprimary = "main"\n'
    )
    with pytest.raises(ConfigError) as caught:
        Config.from_file(file)
    assert len(caught.value.mistakes) == 1
    assert "key" in str(caught.value)
    error = caught.value
    assert CANARY not in f"{error} {error!r} {error.args} {pickle.dumps(error)!r} {error.__context__!r}"


@pytest.mark.parametrize("key", [f"{CANARY}\n", [CANARY]])
def test_a_provider_that_is_made_alone_echoes_no_key(key: object) -> None:
    """Without a Config around it, pydantic's own error says what is wrong."""
    with pytest.raises(ValueError, match="key") as caught:
        Provider(base_url="https://h/v1", api_key=key)  # type: ignore[arg-type]
    assert CANARY not in f"{caught.value} {caught.value!r}"


def test_a_copied_config_keeps_its_keys() -> None:
    """A copy stays in this process."""
    for key in (CANARY, functools.partial(give_key, CANARY)):
        config = copy.deepcopy(config_with(a=Provider(base_url="https://h/v1", api_key=key)))  # type: ignore[arg-type]
        assert resolve_credentials(config, {}).key("a") is not None


def test_urls_with_passwords_are_not_in_the_repr() -> None:
    """In Python a ledger's URL may have a password; it stays out of what is printed."""
    config = Config.from_mapping(changed("router", "ledger", value="postgresql+psycopg://u:s3cr3t-word@h/db"))
    assert "s3cr3t-word" not in f"{config!r} {config}"


def test_all_unset_variables_are_told_at_once() -> None:
    """With the place, and both ways out."""
    config = config_with(
        a=Provider(base_url="https://a", api_key_env="A_KEY"), b=Provider(base_url="https://b", api_key_env="B_KEY")
    )
    with pytest.raises(ConfigError) as caught:
        resolve_credentials(config, {"B_KEY": ""})
    assert [mistake.place for mistake in caught.value.mistakes] == [
        "providers.a.api_key_env",
        "providers.b.api_key_env",
    ]
    assert "export A_KEY=" in str(caught.value)
    assert "optional = true" in str(caught.value)


def test_a_config_error_survives_pickling() -> None:
    """A worker that fails to start can say why to the process that started it."""
    with pytest.raises(ConfigError) as caught:
        Config.from_mapping({})
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.mistakes) == (str(caught.value), caught.value.mistakes)


@pytest.mark.parametrize("key", [f"{CANARY}\n", f" {CANARY}", f"{CANARY} ", f"{CANARY}é", f'"{CANARY}"', f"{CANARY}\0"])
def test_a_key_that_can_not_be_sent_is_told_without_its_value(key: str) -> None:
    """The commonest slip is a line break from a file."""
    config = config_with(a=Provider(base_url="https://a", api_key_env="A_KEY", optional=True))
    with pytest.raises(ConfigError) as caught:
        resolve_credentials(config, {"A_KEY": key})
    assert "A_KEY" in str(caught.value)
    assert CANARY not in f"{caught.value} {caught.value!r}"
    with pytest.raises(ValueError, match="the key of provider 'a' has") as bare:
        key_header(config.providers["a"], key)
    assert CANARY not in str(bare.value)


def test_an_optional_providers_routes_are_off_without_its_key() -> None:
    """The app runs, and is told."""
    config = config_with(
        a=Provider(base_url="https://a"), b=Provider(base_url="https://b", api_key_env="B", optional=True)
    )
    credentials = resolve_credentials(config, {})
    assert credentials.off_routes == {"to-b": "the variable B is not set"}
    assert credentials.warnings == ("provider b: the variable B is not set, so these routes are off: to-b",)
    assert credentials.key("a") is None


def test_a_task_whose_routes_are_all_off_is_refused() -> None:
    """An optional provider can't be all that a task has."""
    config = config_with(b=Provider(base_url="https://b", api_key_env="B", optional=True))
    with pytest.raises(ConfigError, match="no route is left"):
        resolve_credentials(config, {})


def test_a_sensitive_task_whose_approved_routes_are_off_is_refused() -> None:
    """Another route of the task may not answer in their place."""
    config = Config.from_mapping(
        {
            "providers": {
                "a": {"base_url": "https://a"},
                "b": {"base_url": "https://b", "api_key_env": "B", "optional": True},
            },
            "routes": {"a": {"provider": "a", "model": "m"}, "b": {"provider": "b", "model": "m"}},
            "tasks": {"pay": {"primary": ["a", "b"], "sensitive": "payment"}},
            "sensitive": {"payment": {"routes": ["b"]}},
        }
    )
    with pytest.raises(ConfigError, match=r"tasks\.pay"):
        resolve_credentials(config, {})
    assert resolve_credentials(config, {"B": "k"}).off_routes == {}


@pytest.mark.parametrize("name", ["KEY_1_OPENAI_PRODUCTION", "XAI_API_KEY_2026_EU", "HF_TOKEN_2_PRODUCTION", "_k"])
def test_names_of_variables_are_not_taken_for_keys(name: str) -> None:
    """Capitals and underscores are a name, whatever it begins with."""
    config = Config.from_mapping(changed("providers", "openai", "api_key_env", value=name))
    assert resolve_credentials(config, {name: "k"}).key("openai") == "k"


def test_a_provider_without_routes_needs_no_key() -> None:
    """What is not used can't fail."""
    config = Config.from_mapping(changed("providers", "spare", value={"base_url": "https://s", "api_key_env": "S"}))
    assert resolve_credentials(config, {"OPENAI_API_KEY": "k"}).key("openai") == "k"


def test_the_header_says_how_the_key_is_sent() -> None:
    """Bearer in Authorization, the bare key in any other header."""
    assert key_header(Provider(base_url="https://a"), "k") == ("Authorization", "Bearer k")
    assert key_header(Provider(base_url="https://a", auth_header="api-key"), "k") == ("api-key", "k")


def test_the_secret_for_subjects_is_looked_up() -> None:
    """Without it there is a warning, and nothing else."""
    config = Config.from_mapping(changed("router", "secret_env", value="APP_SECRET"))
    keys = {"OPENAI_API_KEY": "k"}
    assert resolve_credentials(config, {**keys, "APP_SECRET": "pepper"}).secret == b"pepper"
    without = resolve_credentials(config, keys)
    assert without.secret is None
    assert "APP_SECRET" in without.warnings[0]


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("postgresql+psycopg://postgres@db/lanewise", True),
        ("postgres://app_user@db:5432/lanewise?sslmode=require", True),
        ("postgresql://postgres:@db/lanewise", True),
        ("postgresql+psycopg://postgres:s3cr3t-word@db/lanewise", False),
        ("postgresql://postgres@db/lanewise?password=s3cr3t-word", False),
        ("postgresql://sk-proj-a8Fk20dLq9ZtYw7B@db/lanewise", False),
    ],
)
def test_the_name_of_a_databases_user_is_no_credential(url: str, fine: bool, tmp_path: Path) -> None:
    """A password is one, wherever it stands, and so is a key that is put in the user's place."""
    file = tmp_path / "lanewise.toml"
    file.write_text(
        f'''
        router.ledger = "{url}"
        providers.one = {{ base_url = "http://127.0.0.1:9/v1" }}
        routes.first = {{ provider = "one", model = "m" }}
        tasks.t.primary = "first"
        '''
    )
    if fine:
        assert Config.from_file(file).router.ledger == url
        return
    with pytest.raises(ConfigError) as caught:
        Config.from_file(file)
    assert "credential" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("url", ["https://user@api.example.com/v1", "redis://user@store/0"])
def test_elsewhere_a_user_may_be_a_key(url: str, tmp_path: Path) -> None:
    """HTTP's Basic scheme takes a bare key as its user."""
    file = tmp_path / "lanewise.toml"
    state, base = (url, "http://127.0.0.1:9/v1") if url.startswith("redis") else ("memory", url)
    file.write_text(
        f'''
        router.state = "{state}"
        providers.one = {{ base_url = "{base}" }}
        routes.first = {{ provider = "one", model = "m" }}
        tasks.t.primary = "first"
        '''
    )
    with pytest.raises(ConfigError, match="credential"):
        Config.from_file(file)
