"""Request ids in, idempotency keys out: the same for the same, another for any other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise._routing.idempotency import (
    MAX_KEY_LENGTH,
    accept_request_id,
    client_request_id,
    idempotency_key,
    new_request_id,
    replay_key,
    subject_hash,
)

BASE: dict[str, Any] = {
    "body_digest": b"d" * 32,
    "recipe_fingerprint": b"f" * 32,
    "route": "flagship",
    "subject": "user-7",
    "secret": None,
}


@pytest.mark.parametrize("value", ["req-2026-000042", b"req-2026-000042", "a" * 8, "A.b_c-123" * 14])
def test_a_harmless_request_id_that_came_once_is_used(value: str | bytes) -> None:
    """Text and bytes alike."""
    expected = value.decode() if isinstance(value, bytes) else value
    assert accept_request_id([value]) == expected


@pytest.mark.parametrize(
    "values",
    [
        [],
        ["req-2026-000042", "req-2026-000042"],
        [""],
        ["a" * 7],
        ["a" * 129],
        ["req 2026 000042"],
        ["req-2026-000042\n"],
        ["req-2026\r\nX-Evil: 1"],
        ["req-2026-00004é"],
        ["${jndi:ldap}"],
        [b"req-2026-\xff\xfe\x00"],
        ["req-2026-٤٢"],
    ],
)
def test_anything_else_is_not_used(values: list[str | bytes]) -> None:
    """Poisoned, repeated, short and long ids are left out, without an error."""
    assert accept_request_id(values) is None


@given(st.integers(0, (1 << 48) - 1), st.binary(min_size=10, max_size=16))
def test_a_fresh_request_id_is_a_uuid7(now_ms: int, random_bytes: bytes) -> None:
    """It is of version 7, carries its time, and would be accepted itself."""
    made = new_request_id(now_ms, random_bytes)
    parsed = uuid.UUID(made)
    assert (parsed.version, parsed.variant, parsed.int >> 80) == (7, uuid.RFC_4122, now_ms)
    assert str(parsed) == made
    assert accept_request_id([made]) == made


def test_the_rfcs_own_example_comes_out() -> None:
    """RFC 9562, appendix A.6."""
    random = (0xCC3 << 68 | 0x18C4DC0C0C07398F).to_bytes(10, "big")
    assert new_request_id(0x017F22E279B0, random) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


def test_too_little_randomness_is_refused() -> None:
    """Ids must not repeat."""
    with pytest.raises(ValueError, match="10 random bytes"):
        new_request_id(1, b"123456789")
    with pytest.raises(ValueError, match="48 bits"):
        new_request_id(-1, bytes(10))


def test_a_key_reads_as_documented() -> None:
    """Request id, 16 hex digits, the ordinal from the second on, the retry after a 500."""
    first = idempotency_key("req-2026-000042", **BASE)
    assert re.fullmatch(r"req-2026-000042-[0-9a-f]{16}", first)
    assert idempotency_key("req-2026-000042", **BASE, ordinal=1, retry=0) == first
    assert idempotency_key("req-2026-000042", **BASE, ordinal=2) == f"{first}-2"
    assert idempotency_key("req-2026-000042", **BASE, retry=1) == f"{first}-retry"
    assert idempotency_key("req-2026-000042", **BASE, ordinal=3, retry=2) == f"{first}-3-retry2"


def test_the_longest_key_fits_its_header() -> None:
    """With the longest id, a large ordinal and many retries."""
    key = idempotency_key("a" * 128, **BASE, ordinal=10**18, retry=10**9)
    assert len(key) <= MAX_KEY_LENGTH


def test_keys_are_the_same_in_another_process() -> None:
    """A retry by another worker must be taken for the same request, whatever the hash seed."""
    code = (
        "from lanewise._routing.idempotency import idempotency_key as k\n"
        "print(k('req-2026-000042', body_digest=b'd' * 32, recipe_fingerprint=b'f' * 32,"
        " route='flagship', subject='user-7', secret=b's'))"
    )
    environ = {**os.environ, "PYTHONHASHSEED": "123"}
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ)
    assert other.stdout.strip() == idempotency_key("req-2026-000042", **{**BASE, "secret": b"s"})


_INPUTS = st.fixed_dictionaries(
    {
        "body_digest": st.binary(max_size=4),
        "recipe_fingerprint": st.binary(max_size=4),
        "route": st.text(max_size=4),
        "subject": st.none() | st.text(max_size=4),
        "secret": st.none() | st.binary(min_size=1, max_size=4),
        "ordinal": st.integers(1, 3),
        "retry": st.integers(0, 3),
    }
)


@given(st.from_regex(r"[A-Za-z0-9._-]{8,20}", fullmatch=True), _INPUTS, _INPUTS)
def test_the_same_inputs_make_the_same_key_and_others_another(
    request_id: str, one: dict[str, Any], two: dict[str, Any]
) -> None:
    """Equal keys mean equal inputs, and the other way round."""
    same = idempotency_key(request_id, **one) == idempotency_key(request_id, **two)
    assert same is (one == two)


@pytest.mark.parametrize(
    "change",
    [
        {"body_digest": b"e" * 32},
        {"recipe_fingerprint": b"e" * 32},
        {"route": "sonnet"},
        {"subject": "user-8"},
        {"subject": ""},
        {"subject": None},
        {"secret": b"s"},
        {"secret": b"t"},
        {"body_digest": b"d" * 31, "recipe_fingerprint": b"d" + b"f" * 32},
        {"route": "flagshi", "subject": "puser-7"},
    ],
)
def test_any_field_that_differs_makes_another_key(change: dict[str, Any]) -> None:
    """Also when bytes move from one field to its neighbour, and when there is no subject or an empty one."""
    keys = {idempotency_key("req-2026-000042", **settings) for settings in (BASE, {**BASE, **change})}
    assert len(keys) == 2
    assert len({idempotency_key("req-2026-000042", **{**BASE, "subject": who}) for who in (None, "", "\x00")}) == 3


def test_a_subject_with_a_lone_surrogate_is_still_one() -> None:
    """What a header's decoding can leave behind is no error."""
    assert idempotency_key("req-2026-000042", **{**BASE, "subject": "\udcff"})


def test_a_subject_is_hashed_only_with_a_secret() -> None:
    """Without one, a list of subjects would be enough to read the records."""
    assert subject_hash("user-7", None) is None
    assert subject_hash("user-7", b"") is None
    assert subject_hash(None, b"s") is None
    hashed = subject_hash("user-7", b"s")
    assert hashed is not None
    assert re.fullmatch(r"[0-9a-f]{32}", hashed)
    assert hashed == subject_hash("user-7", b"s")
    assert len({hashed, subject_hash("user-7", b"t"), subject_hash("user-8", b"s"), subject_hash("", b"s")}) == 4


def test_a_client_request_id_names_call_and_attempt() -> None:
    """So a provider's support can find the one exchange."""
    assert client_request_id("01998c7e-aaaa", 2) == "01998c7e-aaaa-2"


REPLAYED: dict[str, Any] = {
    "request_id": "req-2026-000042",
    "task": "chat",
    "endpoint": "chat/completions?",
    "body_digest": b"d" * 32,
    "subject": "user-7",
    "start": None,
    "secret": b"pepper",
    "ordinal": 1,
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("request_id", "req-2026-000043"),
        ("task", "chat2"),
        ("endpoint", "responses?"),
        ("body_digest", b"e" * 32),
        ("subject", None),
        ("subject", ""),
        ("start", "degraded"),
        ("secret", None),
        ("secret", b"salt"),
        ("ordinal", 2),
    ],
)
def test_another_call_has_another_replay_key(name: str, value: object) -> None:
    """Each of these tells two calls apart; none of them can be read in the key."""
    key = replay_key(**REPLAYED)
    assert re.fullmatch("[0-9a-f]{64}", key)
    assert key == replay_key(**REPLAYED)
    assert key != replay_key(**{**REPLAYED, name: value})
