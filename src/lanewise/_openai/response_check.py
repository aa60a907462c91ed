"""Looking at the body of a 200: an answer, or a failure that calls itself one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from lanewise._failures import failure_table as failures
from lanewise._failures.classification import from_inner_error
from lanewise._openai import response_schema as wire
from lanewise._openai.response_schema import MALFORMED, is_blank, is_utf8
from lanewise._openai.usage import NO_USAGE, Usage
from lanewise._openai.usage_reading import read_usage
from lanewise._openai.usage_so_far import UsageSoFar
from lanewise.types import Api, Failure

__all__ = ["Answer", "from_answer"]

_LONGEST_MODEL: Final = 200


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an answer, without its text.

    ``finish_reasons`` are in chat's words, one a choice, also for Responses (``stop``, ``length``, ``content_filter``).
    """

    model: str | None = None
    usage: Usage = NO_USAGE
    finish_reasons: tuple[str | None, ...] = ()
    said: int = 0
    """The bytes of what was said, where the provider gives no tokens to go by."""
    refusal: bool = False
    response_id: str | None = None
    """Of the Responses API: what a later call may go on from."""

    @property
    def content_policy(self) -> bool:
        """Whether the model or its filter refused: the app's to read, a failure only where a lane lists it."""
        return self.refusal or "content_filter" in self.finish_reasons


def from_answer(api: Api, body: bytes, content_type: str | None = None) -> Failure | Answer:
    """Judge the whole body of a 200. Never raises, whatever the body holds.

    The content type only refines the words of a failure: an answer that is JSON counts whatever it is called.

    Example::

        from_answer(Api.CHAT, b'{"choices": null}').kind  # FailureKind.BAD_RESPONSE
    """
    try:
        judged = _JUDGES[api](body)
    except MALFORMED:
        return _not_this_api(body, content_type)
    if isinstance(judged, Answer) and not is_utf8(body):
        return failures.NOT_JSON.failure(http_status=200, detail="the answer is not UTF-8")
    return judged


_CHAT: Final = msgspec.json.Decoder(wire.ChatAnswer)
_RESPONSES: Final = msgspec.json.Decoder(wire.ResponsesAnswer)
_EMBEDDINGS: Final = msgspec.json.Decoder(wire.EmbeddingsAnswer)


def _chat(body: bytes) -> Failure | Answer:
    answer = _CHAT.decode(body)
    if not is_blank(answer.error):
        return from_inner_error(body, otherwise=failures.INNER_ERROR)
    if not answer.choices:
        return from_inner_error(body, otherwise=failures.NO_CHOICES)
    refusal = False
    so_far = UsageSoFar()
    answer.tell_usage(so_far)
    usage = so_far.usage
    said = 0
    for choice in answer.choices:
        if not is_blank(choice.error):
            return from_inner_error(choice.error, otherwise=failures.INNER_ERROR)
        if choice.finish_reason == "error":
            return failures.FINISH_ERROR.failure(http_status=200)
        if choice.message is None or (not choice.finish_reason and not choice.message.says_something()):
            return failures.NO_CHOICES.failure(http_status=200)
        refusal = refusal or not is_blank(choice.message.refusal)
        said += 0 if usage.output_tokens else choice.message.size()
    return _answer(
        answer.model,
        usage,
        tuple([choice.finish_reason or None for choice in answer.choices]),
        refusal,
        said=said,
    )


def _responses(body: bytes) -> Failure | Answer:
    answer = _RESPONSES.decode(body)
    if answer.status == "failed" or not is_blank(answer.error):
        return from_inner_error(body, otherwise=failures.INNER_ERROR)
    if not answer.output and answer.status in (None, "completed"):
        return from_inner_error(body, otherwise=failures.NO_CHOICES)
    so_far = UsageSoFar()
    answer.tell_usage(so_far)
    usage = so_far.usage
    said = 0 if usage.output_tokens else len(body)
    return _answer(answer.model, usage, (answer.finish_reason(),), answer.refuses(), answer.id, said=said)


def _embeddings(body: bytes) -> Failure | Answer:
    answer = _EMBEDDINGS.decode(body)
    if not is_blank(answer.error):
        return from_inner_error(body, otherwise=failures.INNER_ERROR)
    if not answer.data or any(is_blank(item.embedding) for item in answer.data):
        return from_inner_error(body, otherwise=failures.EMPTY_EMBEDDINGS)
    return _answer(answer.model, read_usage(answer.usage), (), refusal=False)


_JUDGES: Final[dict[Api, Callable[[bytes], Failure | Answer]]] = {
    Api.CHAT: _chat,
    Api.RESPONSES: _responses,
    Api.EMBEDDINGS: _embeddings,
}


def _answer(
    model: str | None,
    usage: Usage,
    finish_reasons: tuple[str | None, ...],
    refusal: bool,
    response_id: str | None = None,
    *,
    said: int = 0,
) -> Answer:
    return Answer(
        model=model[:_LONGEST_MODEL] if model else None,
        usage=usage,
        finish_reasons=finish_reasons,
        said=said,
        refusal=refusal,
        response_id=response_id,
    )


def _not_this_api(body: bytes, content_type: str | None) -> Failure:
    if body[:64].lstrip().startswith(b"<") or "html" in (content_type or "").lower():
        return failures.NOT_JSON.failure(http_status=200, detail="the answer is HTML: is the base URL right?")
    if not body.strip():
        return failures.NOT_JSON.failure(http_status=200, detail="the answer is empty")
    return from_inner_error(body, otherwise=failures.NOT_JSON)  # Gemini lists its errors
