"""The callers of the app's own endpoint, as a config declares them."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from lanewise import Config, ConfigError
from lanewise.config import Client

CONFIG: dict[str, Any] = {
    "providers": {"one": {"base_url": "http://127.0.0.1:9/v1"}},
    "routes": {"first": {"provider": "one", "model": "a"}, "second": {"provider": "one", "model": "b"}},
    "tasks": {"chat": {"primary": "second"}, "pay": {"primary": "first", "sensitive": "payment"}},
    "sensitive": {"payment": {"routes": ["first"]}, "medical": {"routes": ["second"]}},
}


def digest(key: str) -> str:
    """The line of a key."""
    return f"sha256:{sha256(key.encode()).hexdigest()}"


STRONG, SPARE = digest("lw_" + "ab12" * 16), digest("lw_" + "cd34" * 16)
"""The same in all tests: each set of keys is looked at once in a process."""


def mistakes(**clients: Any) -> list[str]:
    """What is wrong with these clients."""
    with pytest.raises(ConfigError) as caught:
        Config.from_mapping({**CONFIG, "clients": clients})
    return [str(mistake) for mistake in caught.value.mistakes]


def test_a_client_is_read() -> None:
    """With all that it may say; a single key is a list of one."""
    key = STRONG
    declared = {
        "key": key,
        "tasks": ["chat"],
        "labels": {"tier": "internal"},
        "subject": "header:X-User-ID",
        "deadline": "20s",
        "rpm": 60,
        "max_concurrency": 4,
    }
    client = Config.from_mapping({**CONFIG, "clients": {"node-backend": declared}}).clients["node-backend"]
    assert (client.name, client.key, client.tasks) == ("node-backend", (key,), ("chat",))
    assert (client.labels, client.subject_header, client.deadline) == ({"tier": "internal"}, "x-user-id", 20.0)
    assert key not in repr(client), "a digest is no secret, and yet nobody's business"


def test_a_client_is_declared_in_python() -> None:
    """As the other parts of a config are."""
    config = Config(**CONFIG, clients={"node": Client(key=(STRONG,), deadline=20.0), "web": {"tasks": ["chat"]}})
    assert [(client.name, client.key) for client in config.clients.values()] == [("node", (STRONG,)), ("web", ())]


@pytest.mark.parametrize(
    "key",
    [
        "lw_" + "ab12" * 16,
        "sha256:" + "0" * 63,
        "sha256:" + "A" * 64,
        "SHA256:" + "0" * 64,
        "md5:" + "0" * 64,
        "",
        7,
        [],
        {},
    ],
)
def test_what_is_no_digest_is_refused_and_not_shown(key: Any) -> None:
    """It may be the key itself."""
    (mistake,) = mistakes(node={"key": key})
    assert "clients.node.key" in mistake
    assert "lanewise keys create" in mistake
    assert not key or str(key) not in mistake


GUESSABLE = """
a zz x7 abc k9z 1234 0000 secret Secret1 PASSWORD password123 test sk-test changeme letmein banana Elephant window
MONDAY hello lanewise sk-1234 000000000 xxxxxxxxxxxxxxxx client-name chat payment-key Client-name sk-client-name ~ "
"""


def test_digests_of_short_and_common_words_are_refused() -> None:
    """Whoever reads the config finds those in a second; so do names that stand in it. The words are not shown."""
    words = ["", " ", *GUESSABLE.split(), "payment" * 2]
    clients = {f"c{number}": {"key": digest(word)} for number, word in enumerate(words)}
    strong = {"client-name": {"key": STRONG}, "payment": {"key": [SPARE]}}
    found = mistakes(**clients, **strong)
    assert sorted(found) == sorted(
        f"clients.{name}.key: this is the digest of a text that anybody would guess. `lanewise keys create NAME` makes "
        "a key of 256 random bits, and prints the line that belongs here."
        for name in clients
    )


def test_each_of_several_keys_is_looked_at() -> None:
    """For rotation a client has two; a weak one among them is told, and so is one that stands there twice."""
    read = Config.from_mapping({**CONFIG, "clients": {"node": {"key": [STRONG, SPARE]}}})
    assert read.clients["node"].key == (STRONG, SPARE)
    assert len(mistakes(node={"key": [STRONG, digest("secret")]})) == 1
    assert "twice" in mistakes(node={"key": [STRONG, STRONG]})[0]


def test_one_key_is_not_two_clients() -> None:
    """Nobody could tell which of them calls."""
    (mistake,) = mistakes(one={"key": STRONG}, other={"key": [SPARE, STRONG]})
    assert "'one' has the same key" in mistake


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ({"tasks": ["chta"]}, "Did you mean 'chat'"),
        ({"tasks": []}, "the list is empty"),
        ({"sensitive": "paymnt"}, "Did you mean 'payment'"),
        ({"sensitive": "medical", "tasks": ["pay"]}, "no route of the task 'pay' is approved for 'medical'"),
        ({"subject": "x-user"}, "is no subject"),
        ({"subject": "header:"}, "is no subject"),
        ({"subject": "header:x user"}, "is no subject"),
        ({"subject": "header:Authorization"}, "carries a key"),
        ({"subject": "header:api-key"}, "carries a key"),
        ({"deadline": "0s"}, "zero"),
        ({"rpm": 0}, "out of range"),
        ({"max_concurrency": -1}, "out of range"),
        ({"labels": {"tier": 1}}, "a text belongs here"),
        ({"kye": "x"}, "Did you mean 'key'"),
    ],
)
def test_what_can_not_be_is_told(declared: dict[str, Any], told: str) -> None:
    """With its place, when the config is read."""
    (mistake,) = mistakes(node={"key": STRONG, **declared})
    assert told in mistake
    assert "clients.node" in mistake


def test_a_mark_that_no_task_of_its_own_can_keep_is_told() -> None:
    """Of tasks that are listed; of those that are left out, the calls fail closed."""
    (mistake,) = mistakes(node={"key": STRONG, "sensitive": "payment", "tasks": ["chat", "pay"]})
    assert "no route of the task 'chat' is approved for 'payment'" in mistake
    assert Config.from_mapping({**CONFIG, "clients": {"node": {"key": STRONG, "sensitive": "payment"}}})
