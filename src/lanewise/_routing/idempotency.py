"""From an inbound request id to the ids and keys that go upstream.

All are functions of their arguments: the same request, body, route and user make the same key, in any process.

An idempotency key reads ``<request id>-<16 hex>[-<ordinal>][-retry[<count>]]``: the ordinal (from 2) tells identical
calls of one scope apart; ``-retry`` follows a 500, which a provider that honours the header would otherwise replay,
``-retry2`` a second one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Final

__all__ = [
    "accept_request_id",
    "client_request_id",
    "idempotency_key",
    "new_request_id",
    "own_request_id",
    "replay_key",
    "subject_hash",
]

MAX_KEY_LENGTH: Final = 255
"""Characters that an idempotency key may have, as in Stripe's documentation of the header."""

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,128}")
_OWN_ID_DOMAIN: Final = b"lanewise request id 1\0"
_KEY_DOMAIN: Final = b"lanewise idempotency key 1"
_REPLAY_DOMAIN: Final = b"lanewise replay 1"
_SUBJECT_DOMAIN: Final = b"lanewise subject 1"
_RANDOM_BYTES: Final = 10


def accept_request_id(values: Sequence[str | bytes]) -> str | None:
    """The inbound request id, if its header came exactly once and is harmless, else ``None``.

    Example::

        assert accept_request_id([b"req-2026-000042"]) == "req-2026-000042"
        assert accept_request_id(["a", "b"]) is None
    """
    if len(values) != 1:
        return None
    value = values[0]
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    return text if _REQUEST_ID.fullmatch(text) else None


def own_request_id(value: object) -> str:
    """The id that the app itself gives to a request or a job: as it is, or, where it can't be in a header, a digest.

    The same each time, so that a job that is tried again is known for the same. Raises ValueError: it says nothing.

    Example::

        assert own_request_id("nightly-2026-11-22") == "nightly-2026-11-22"
        assert own_request_id("job 7") == own_request_id("job 7") != own_request_id("job 8")
    """
    text = str(value)
    if not text.strip():
        raise ValueError("a request id says nothing if it is empty: leave it out, and a fresh one is made")
    if _REQUEST_ID.fullmatch(text):
        return text
    return f"id-{hashlib.sha256(_OWN_ID_DOMAIN + text.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def new_request_id(now_ms: int, random_bytes: bytes) -> str:
    """A UUIDv7 (RFC 9562, section 5.7) of this time in milliseconds since 1970 and at least 10 random bytes.

    Raises ValueError if there are fewer random bytes, or the time is none that fits.

    Example::

        new_request_id(time.time_ns() // 1_000_000, os.urandom(10))
    """
    if len(random_bytes) < _RANDOM_BYTES or not 0 <= now_ms < 1 << 48:
        raise ValueError("a UUIDv7 takes 48 bits of milliseconds and 10 random bytes")
    random = int.from_bytes(random_bytes[:_RANDOM_BYTES], "big")
    high = (now_ms << 16) | 0x7000 | (random >> 68)
    low = (0b10 << 62) | (random & ((1 << 62) - 1))
    text = f"{high:016x}{low:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def idempotency_key(
    request_id: str,
    *,
    body_digest: bytes,
    recipe_fingerprint: bytes,
    route: str,
    subject: str | None,
    secret: bytes | None,
    ordinal: int = 1,
    retry: int = 0,
) -> str:
    """The key of an attempt; attempts that a provider should take for one get the same.

    ``body_digest`` and ``recipe_fingerprint`` together stand for the final body. ``retry`` is how many 500s came
    before. No subject and an empty one are two different users.

    Example::

        idempotency_key("req-2026-000042", body_digest=body.digest, recipe_fingerprint=rendered.fingerprint,
                        route="flagship", subject="user-7", secret=None)
        # "req-2026-000042-5f0c1d5c3e8a9b27"
    """
    message = _framed(_KEY_DOMAIN, body_digest, recipe_fingerprint, _encoded(route), _optional(subject))
    digest = hmac.digest(secret, message, "sha256") if secret else hashlib.sha256(message).digest()
    key = f"{request_id}-{digest[:8].hex()}"
    if ordinal > 1:
        key += f"-{ordinal}"
    if retry:
        key += "-retry" if retry == 1 else f"-retry{retry}"
    return key


def replay_key(
    request_id: str,
    *,
    task: str,
    endpoint: str,
    body_digest: bytes,
    subject: str | None,
    start: str | None,
    secret: bytes | None,
    ordinal: int,
) -> str:
    """Under which a call's answer is kept to be given again: 64 hex digits, the same for the same call of the app.

    ``endpoint`` is the path with its query. No subject and an empty one are two different users; a drill (``start``) is
    not answered by what was no drill.

    Example::

        replay_key("req-2026-000042", task="ticket-summary", endpoint="chat/completions", body_digest=body.digest,
                   subject="user-7", start=None, secret=None, ordinal=1)
    """
    parts = (*map(_encoded, (request_id, task, endpoint)), body_digest, _optional(subject), _optional(start))
    message = _framed(_REPLAY_DOMAIN, *parts, str(ordinal).encode())
    return (hmac.digest(secret, message, "sha256") if secret else hashlib.sha256(message).digest()).hex()


def subject_hash(subject: str | None, secret: bytes | None) -> str | None:
    """A keyed hash that stands for the subject in records: 32 hex digits. Without a secret there is none.

    Example::

        assert subject_hash("user-7", None) is None
    """
    if subject is None or not secret:
        return None
    return hmac.digest(secret, _framed(_SUBJECT_DOMAIN, _encoded(subject)), "sha256")[:16].hex()


def client_request_id(call_id: str, attempt_number: int) -> str:
    """The id under which a provider's support can find one attempt (``X-Client-Request-Id``).

    Example::

        assert client_request_id("01998c7e", 2) == "01998c7e-2"
    """
    return f"{call_id}-{attempt_number}"


def _framed(*parts: bytes) -> bytes:
    """The parts, each after its length, so that none can run into the next."""
    return b"".join([len(part).to_bytes(8, "big") + part for part in parts])


def _optional(text: str | None) -> bytes:
    return b"\x00" if text is None else b"\x01" + _encoded(text)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
