"""Checking the whole body of a 200: an answer, or a failure in the form of one."""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Callable
from typing import Any, Final

import msgspec

from lanewise._failures import failure_table as failures
from lanewise._failures.classification import from_inner_error
from lanewise._openai import wire_types as wire
from lanewise._openai.content import NULL, is_blank, is_no_error
from lanewise._openai.deciding_fields import Uncertainty, doubt_about
from lanewise._openai.finish_reasons import CONTENT_FILTER, ERROR, MALFORMED_CALL, in_chats_words
from lanewise._openai.lenient_json import MALFORMED, as_far_as_it_fits, is_utf8, read_json, write_json
from lanewise._openai.usage.accumulator import UsageAccumulator
from lanewise._openai.usage.reading import read_usage
from lanewise._openai.usage.usage import NO_USAGE, Usage
from lanewise.types import Api, Failure

__all__ = ["Answer", "Checked", "check_answer", "from_answer"]

_LONGEST_MODEL: Final = 200
_MAY_BE_EMPTY: Final = frozenset({"queued", "in_progress", "incomplete"})
_FLOAT: Final = 4
"""Bytes of a number of an embedding, which the SDK asks for in base64."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an answer, without its text.

    ``finish_reasons`` are in chat's words, one a choice, also for Responses (``stop``, ``length``, ``content_filter``).
    """

    model: str | None = None
    usage: Usage = NO_USAGE
    finish_reasons: tuple[str | None, ...] = ()
    content_bytes: int = 0
    """The bytes of the content, where the provider reports no tokens."""
    refusal: bool = False
    response_id: str | None = None
    """Of the Responses API: what a later call may go on from."""
    unfinished: bool = False
    """Of the Responses API: it is made in the background, and its usage will never come by here."""

    @property
    def content_policy(self) -> bool:
        """Whether the model or its filter refused: the app's to read, a failure only where a lane lists it."""
        return self.refusal or CONTENT_FILTER in self.finish_reasons


class Checked(msgspec.Struct, frozen=True):
    """What a body was found to be, and the body that may be handed on: what was judged is what is delivered.

    ``lenient`` names what was odd and was let pass, ``json`` or ``types``. Then ``body`` is written anew.
    """

    result: Failure | Answer
    body: bytes
    lenient: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Checked {type(self.result).__name__}>"


def from_answer(api: Api, body: bytes, content_type: str | None = None) -> Failure | Answer:
    """What the whole body of a 200 is: an answer or a failure. Never raises, whatever the body holds.

    Example::

        from_answer(Api.CHAT, b'{"choices": null}').kind  # FailureKind.BAD_RESPONSE
    """
    return check_answer(api, body, content_type).result


def check_answer(
    api: Api, body: bytes, content_type: str | None = None, *, sensitive: bool = False, sdk_decodes: bool = True
) -> Checked:
    """Judge the whole body of a 200. Never raises, whatever the body holds.

    The content type only refines the words of a failure: an answer that is JSON counts whatever it is called. What the
    strict decoder refuses is read as Python reads it. ``sensitive``: what decides must be beyond doubt.
    ``sdk_decodes``: embeddings that are texts are decoded by the SDK, and must be what it can decode.
    """
    kind = _KINDS[api] if sdk_decodes else _AS_THE_APP_DECODES
    try:
        answer = kind.decoder.decode(body)
        checked = (
            Checked(kind.judge(answer, body), body) if is_utf8(body) else _read_again(kind, body, content_type, ())
        )
    except msgspec.ValidationError:
        checked = _read_again(kind, body, content_type, ("types",))
    except MALFORMED:
        checked = _read_again(kind, body, content_type, ("json",))
    if sensitive and isinstance(checked.result, Answer):
        doubt = doubt_about(api, body)
        if doubt is not None:
            row = failures.SUBSTITUTED if doubt is Uncertainty.MODEL else failures.IN_DOUBT
            return Checked(row.failure(http_status=200), body)
    return checked


class _Kind(msgspec.Struct, frozen=True):
    """One API: its strict decoder, the type that it decodes, and what judges that."""

    decoder: msgspec.json.Decoder[Any]
    type: type[msgspec.Struct]
    judge: Callable[[Any, bytes], Failure | Answer]


def _read_again(kind: _Kind, body: bytes, content_type: str | None, odd: tuple[str, ...]) -> Checked:
    try:
        value = read_json(body)
        answer = as_far_as_it_fits(kind.type, value)
        written = write_json(value)
        return Checked(kind.judge(answer, written), written, odd or ("json",))
    except MALFORMED:
        if not odd:
            return Checked(failures.NOT_JSON.failure(http_status=200, detail="the answer is not UTF-8"), body)
        return Checked(_not_this_api(body, content_type), body)


def _chat(answer: wire.ChatAnswer, body: bytes) -> Failure | Answer:
    if _says_error(answer.error):
        return from_inner_error(body, otherwise=failures.INNER_ERROR)
    if not answer.choices:
        return from_inner_error(body, otherwise=failures.NO_CHOICES)
    if len(answer.choices) > wire.MOST_CHOICES:
        return failures.TOO_LARGE.failure(http_status=200)
    refusal = False
    so_far = UsageAccumulator()
    answer.report_usage(so_far)
    usage = so_far.usage
    content_bytes = 0
    reasons: list[str | None] = []
    for choice in answer.choices:
        if _says_error(choice.error):
            return from_inner_error(choice.error, otherwise=failures.INNER_ERROR)
        reason = in_chats_words(choice.finish_reason) if choice.finish_reason else None
        if reason == ERROR:
            return failures.FINISH_ERROR.failure(http_status=200)
        message = choice.message
        if message is None or ((reason is None or reason == MALFORMED_CALL) and not message.says_something()):
            return failures.NO_CHOICES.failure(http_status=200)
        refusal = refusal or not is_blank(message.refusal)
        content_bytes += 0 if usage.output_tokens else message.size()
        reasons.append(reason)
    return _answer(answer.model, usage, tuple(reasons), refusal, content_bytes=content_bytes)


def _responses(answer: wire.ResponsesAnswer, body: bytes) -> Failure | Answer:
    reason = answer.finish_reason()
    if (reason == ERROR and answer.status != "incomplete") or _says_error(answer.error):
        return from_inner_error(body, otherwise=failures.INNER_ERROR)
    if reason == ERROR:
        return failures.FINISH_ERROR.failure(http_status=200)
    if not answer.output and answer.status not in _MAY_BE_EMPTY:
        return from_inner_error(body, otherwise=failures.NO_CHOICES)
    so_far = UsageAccumulator()
    answer.report_usage(so_far)
    usage = so_far.usage
    content_bytes = 0 if usage.output_tokens else len(body)
    found = _answer(answer.model, usage, (reason,), answer.refuses(), answer.id, content_bytes=content_bytes)
    return msgspec.structs.replace(found, unfinished=True) if answer.status in ("queued", "in_progress") else found


def _embeddings(answer: wire.EmbeddingsAnswer, body: bytes) -> Failure | Answer:
    if _says_error(answer.error):
        return from_inner_error(body, otherwise=failures.INNER_ERROR)
    vectors = [item.embedding for item in answer.data or ()]
    # One of nothing beside others is how some servers answer an empty text.
    if all(map(is_blank, vectors)) or any(bytes(vector) == b"null" for vector in vectors):
        return from_inner_error(body, otherwise=failures.EMPTY_EMBEDDINGS)
    return _answer(answer.model, read_usage(answer.usage), (), refusal=False)


def _decoded_embeddings(answer: wire.EmbeddingsAnswer, body: bytes) -> Failure | Answer:
    judged = _embeddings(answer, body)
    if isinstance(judged, Answer) and not all(_is_embedding(item.embedding) for item in answer.data or ()):
        return failures.NOT_JSON.failure(http_status=200, detail="an embedding can't be decoded")
    return judged


def _is_embedding(raw: msgspec.Raw) -> bool:
    """Whether an embedding is numbers, or base64 of numbers: anything else would end in an error of the SDK's own."""
    written = bytes(raw)
    if not written.startswith(b'"'):
        return True
    length = len(written) - 2
    if b"\\" not in written and length % 4 == 0 and (length // 4 * 3 - written.count(b"=", -4)) % _FLOAT == 0:
        return True  # its length suffices: to decode it would cost as much again as the SDK's own decoding
    try:
        return len(a2b_base64(str(read_json(written)))) % _FLOAT == 0
    except ValueError:
        return False


_KINDS: Final = {
    Api.CHAT: _Kind(msgspec.json.Decoder(wire.ChatAnswer), wire.ChatAnswer, _chat),
    Api.RESPONSES: _Kind(msgspec.json.Decoder(wire.ResponsesAnswer), wire.ResponsesAnswer, _responses),
    Api.EMBEDDINGS: _Kind(msgspec.json.Decoder(wire.EmbeddingsAnswer), wire.EmbeddingsAnswer, _decoded_embeddings),
}
_AS_THE_APP_DECODES = _Kind(_KINDS[Api.EMBEDDINGS].decoder, wire.EmbeddingsAnswer, _embeddings)
"""Embeddings in a format that the SDK hands to the app as it came (``ubinary``, ``int8``)."""


def _says_error(error: msgspec.Raw) -> bool:
    return error is not NULL and not is_blank(error) and not is_no_error(read_json(bytes(error)))


def _answer(
    model: str | None,
    usage: Usage,
    finish_reasons: tuple[str | None, ...],
    refusal: bool,
    response_id: str | None = None,
    *,
    content_bytes: int = 0,
) -> Answer:
    return Answer(
        model=model[:_LONGEST_MODEL] if model else None,
        usage=usage,
        finish_reasons=finish_reasons,
        content_bytes=content_bytes,
        refusal=refusal,
        response_id=response_id,
    )


def _not_this_api(body: bytes, content_type: str | None) -> Failure:
    if body[:64].lstrip().startswith(b"<") or "html" in (content_type or "").lower():
        return failures.NOT_JSON.failure(http_status=200, detail="the answer is HTML: is the base URL right?")
    if not body.strip():
        return failures.NOT_JSON.failure(http_status=200, detail="the answer is empty")
    return from_inner_error(body, otherwise=failures.NOT_JSON)  # Gemini lists its errors
