"""The many shapes of a provider's error body, read into one.

Known shapes: ``{"error": {...}}`` (OpenAI, Azure, Groq, OpenRouter, Ollama, llama.cpp), ``{"error": "..."}`` with or
without a code beside it (xAI), a list of those (Gemini), ``{"type": "error", "error": {...}}`` (Anthropic),
``{"object": "error", ...}`` (vLLM, Mistral), a flat ``{"code": ..., "message": ...}`` (Responses, Alibaba,
SiliconFlow), ``{"errors": [...]}`` (Cloudflare), ``{"base_resp": {...}}`` (MiniMax), ``{"error_code": ...,
"error_msg": ...}`` (Baidu, Databricks), ``{"detail": ...}`` as a text, an error, or a list of violations, also in a
``message`` (Mistral, FastAPI), ``{"title": ..., "detail": ...}`` (RFC 9457), ``{"__type": ..., "message": ...}``
(Bedrock), and any of these as JSON in a string of another (resellers). Reading never raises, whatever comes, and looks
at the first 64 kB only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

import msgspec

from lanewise._failures.additions import named_in
from lanewise._failures.dialects.error_codes import squashed
from lanewise._failures.retry_after import parse_seconds

__all__ = ["NO_ERROR", "ErrorBody", "identifier", "model_name", "read_error"]

JSON = dict[str, "JSON"] | list["JSON"] | str | int | float | bool | None

_LONGEST_BODY: Final = 64 * 1024
_LONGEST_MESSAGE: Final = 2048
_DEEPEST: Final = 3
_MODEL = re.compile(r"[A-Za-z0-9_.\-:/@+~=]{1,200}")
_IDENTIFIER = re.compile(r"[A-Za-z0-9_.\-\[\]:/]{1,100}")
# No space in it: a sentence of a prompt must not pass for a parameter's name.
_CODE_FIELDS: Final = ("error_code", "errorCode", "__type", "error_type")
_TEXT_FIELDS: Final = ("message", "error_msg", "msg", "errorMessage", "Message", "detail", "status_msg", "title")


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider said of an error. ``codes`` are squashed, to look up, ``spelled`` the same as they came,
    and ``code`` the most specific of them. What of these is shown, ``shown_words`` says.

    ``status`` is a status that the body itself names; ``retry_after`` is in seconds. ``names`` is what of all that may
    be added to a request the body names anywhere.
    """

    codes: tuple[str, ...] = ()
    spelled: tuple[str, ...] = ()
    code: str | None = None
    param: str | None = None
    message: str = ""
    status: int | None = None
    retry_after: float | None = None
    names: tuple[str, ...] = ()

    def names_any_of(self, codes: frozenset[str]) -> bool:
        """Whether one of the provider's codes is among these, which are squashed."""
        return any(code in codes for code in self.codes)

    def __repr__(self) -> str:  # the rest is the provider's text, and may echo the prompt
        return f"ErrorBody(status={self.status!r})"


NO_ERROR: Final = ErrorBody()


def read_error(body: bytes | msgspec.Raw) -> ErrorBody:
    """The error in a body, or :data:`NO_ERROR` if there is none to be read. A body that is no JSON is its message.

    Example::

        read_error(b'{"error": {"code": "rate_limit_exceeded"}}').code  # "rate_limit_exceeded"
    """
    raw = bytes(body)[:_LONGEST_BODY]
    value = _decoded(body if isinstance(body, msgspec.Raw) else raw)
    if value is None and not isinstance(body, msgspec.Raw) and raw[:1] not in b"{[<":
        error = ErrorBody(message=raw[:_LONGEST_MESSAGE].decode("utf-8", "replace"))
    else:
        error = _normalised(value, depth=0)
    names = named_in(raw)
    return msgspec.structs.replace(error, names=names) if names else error


def model_name(answered: str | None) -> str | None:
    """As which model a provider answered, if that can be a model's name: never a sentence."""
    return answered if answered is not None and _MODEL.fullmatch(answered) else None


def identifier(value: object) -> str | None:
    """``value`` if it is a short identifier (or an int, as text), else ``None``: never a sentence."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if -(10**9) < value < 10**9 else None
    return value if isinstance(value, str) and _IDENTIFIER.fullmatch(value) else None


def _decoded(body: bytes | msgspec.Raw) -> JSON:
    try:
        decoded: JSON = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, ValueError):  # ValueError: not UTF-8
        return _as_python_reads_it(bytes(body))
    return decoded


def _as_python_reads_it(body: bytes) -> JSON:
    """What only Python's ``json`` takes: NaN, a byte order mark, UTF-16."""
    try:
        decoded: JSON = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return decoded


def _normalised(value: JSON, depth: int) -> ErrorBody:
    if isinstance(value, list):  # Gemini
        value = value[0] if value else None
    if isinstance(value, str):  # a reseller's string
        return ErrorBody(message=value[:_LONGEST_MESSAGE])
    if not isinstance(value, dict):
        return NO_ERROR
    error = _error_in(value)
    validation = _validation(error)
    if validation is not None:
        return validation
    nested = _nested(error, depth)
    codes = [code for code in (*nested.spelled, *_codes(error)) if code != "error"]
    return ErrorBody(
        codes=tuple(map(squashed, codes)),
        spelled=tuple(codes),
        code=nested.code or next((code for code in codes if not code.isdigit()), codes[0] if codes else None),
        param=nested.param or identifier(error.get("param")),
        message=nested.message or _text(error),
        status=_status(error) or nested.status,
        retry_after=_retry_delay(error) or nested.retry_after,
    )


def _error_in(value: dict[str, JSON]) -> dict[str, JSON]:
    """The object that describes the error."""
    error = value.get("error")
    if isinstance(error, dict):
        return error
    if isinstance(error, str):  # Ollama's own API, xAI, proxies: beside it may be a code
        return {**value, "message": error, "error": None}
    errors = _dicts(value.get("errors"))
    if errors:
        return errors[0]
    minimax = value.get("base_resp")
    if isinstance(minimax, dict) and (status := identifier(minimax.get("status_code"))) not in (None, "0"):
        return {**minimax, "code": f"base_resp:{status}"}
    return value


def _text(error: dict[str, JSON]) -> str:
    found = (error.get(field) for field in _TEXT_FIELDS)
    return next((text[:_LONGEST_MESSAGE] for text in found if isinstance(text, str) and text), "")


def _codes(error: dict[str, JSON]) -> Iterator[str]:
    """Every field that can hold a code, the most specific first."""
    inner = error.get("innererror")  # Azure
    metadata = error.get("metadata")  # OpenRouter
    status = error.get("status")  # Gemini; in lower case it is the state of a response
    found: list[JSON] = [
        *(detail.get("reason") for detail in _dicts(error.get("details"))),  # Gemini
        error.get("code"),
        inner.get("code") if isinstance(inner, dict) else None,
        status if isinstance(status, str) and status.isupper() else None,
        error.get("type"),
        *(error.get(field) for field in _CODE_FIELDS),
        metadata.get("error_type") if isinstance(metadata, dict) else None,
        "moderation" if isinstance(metadata, dict) and ("flagged_input" in metadata or "reasons" in metadata) else None,
    ]
    return (code for code in map(identifier, found) if code)


def _validation(error: dict[str, JSON]) -> ErrorBody | None:
    """The first entry of a FastAPI-like list of violations, which names its place in ``loc``."""
    message = error.get("message")
    nested = message.get("detail") if isinstance(message, dict) else message
    violations = _dicts(error.get("detail")) or _dicts(nested)
    if not violations:
        return None
    first = violations[0]
    code, place, text = identifier(first.get("type")), first.get("loc"), first.get("msg")
    return ErrorBody(
        codes=(squashed(code),) if code else (),
        spelled=(code,) if code else (),
        code=code,
        # Deeper places end in names that a user may have chosen.
        param=identifier(place[1]) if isinstance(place, list) and len(place) == 2 else None,
        message=text[:_LONGEST_MESSAGE] if isinstance(text, str) else "",
    )


def _nested(error: dict[str, JSON], depth: int) -> ErrorBody:
    """The error of the provider behind a reseller: an object in the object, or JSON in a string of it."""
    if depth >= _DEEPEST:
        return NO_ERROR
    for field in ("error", "detail"):  # of a proxy, and of FastAPI's HTTPException
        inner = error.get(field)
        if isinstance(inner, dict):
            return _normalised(inner, depth + 1)
    metadata = error.get("metadata")
    for text in (metadata.get("raw") if isinstance(metadata, dict) else None, _text(error)):
        if isinstance(text, str) and text.startswith(("{", "[")):
            return _normalised(_decoded(text.encode("utf-8", "replace")), depth + 1)
    return NO_ERROR


def _status(error: dict[str, JSON]) -> int | None:
    for field in ("code", "status", "status_code"):
        value = error.get(field)
        if isinstance(value, str) and re.fullmatch(r"[0-9]{3}", value, re.ASCII):
            value = int(value)
        if isinstance(value, int) and 400 <= value <= 599:
            return value
    return None


def _retry_delay(error: dict[str, JSON]) -> float | None:
    """Seconds of Gemini's ``RetryInfo`` (google.rpc), said in the body where others send Retry-After."""
    for detail in _dicts(error.get("details")):
        delay = detail.get("retryDelay")
        if isinstance(delay, str) and delay.endswith("s"):
            return parse_seconds(delay[:-1])
    return None


def _dicts(value: JSON) -> list[dict[str, JSON]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
