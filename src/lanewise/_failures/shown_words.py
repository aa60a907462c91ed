"""Which words of a provider's error are shown: known codes, statuses and names of parameters; any other is ``other``.

A code and a parameter come from the provider, who may put anything there: a key, a word of the prompt. They reach
errors, records, traces and other workers, so that only what stands in a table passes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Final

from lanewise._failures.dialects.error_codes import KNOWN_CODES, squashed

__all__ = ["KNOWN_PARAMETERS", "OTHER", "shown_code", "shown_param"]

OTHER: Final = "other"

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")
_STATUS: Final = re.compile(r"[45][0-9]{2}", re.ASCII)
_PART: Final = re.compile(r"\.?([A-Za-z0-9_\-]+)|\[([0-9]{1,4})\]", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9_\-]+", re.ASCII)
_INDEX: Final = re.compile(r"[0-9]{1,4}", re.ASCII)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_OF_THE_APIS: Final = _names(
    "access_programs audio background background_options context_management conversation dimensions encoding_format "
    "frequency_penalty function_call functions image include input instructions logit_bias logprobs "
    "max_completion_tokens max_output_tokens max_tokens max_tool_calls messages metadata modalities model moderation n "
    "parallel_tool_calls prediction presence_penalty previous_response_id prompt prompt_cache_key prompt_cache_options "
    "prompt_cache_retention reasoning reasoning_effort response_format safety_identifier seed service_tier stop store "
    "stream stream_options temperature text tool_choice tools top_logprobs top_p truncation user verbosity "
    "web_search_options"
)
_OF_THEIR_PARTS: Final = _names(
    "annotations arguments body content data detail effort file file_data file_id file_ids file_url filename format "
    "function image_url include_usage input_audio input_image input_text json_schema name parameters properties "
    "refusal role schema strict summary system tool_call_id tool_calls type url value"
)
_OF_OTHER_PROVIDERS: Final = _names(
    "best_of chat_template_kwargs documents enable_search enable_thinking extra_body generationConfig "
    "generation_config guided_json guided_regex ignore_eos include_reasoning length_penalty min_p min_tokens mirostat "
    "models num_ctx options plugins prefix provider random_seed reasoning_format reasoning_split repeat_penalty "
    "repetition_penalty response_mime_type response_schema route safe_prompt safetySettings safety_settings "
    "search_parameters stop_sequences stop_token_ids suffix thinking thinking_budget top_a top_k transforms typical_p "
    "use_beam_search"
)
KNOWN_PARAMETERS: Final = _OF_THE_APIS | _OF_THEIR_PARTS | _OF_OTHER_PROVIDERS
"""Names that are no app's and no user's own: an error that names one may be shown."""


def shown_code(codes: Iterable[str]) -> str | None:
    """The first of an error's codes that is known, in a spelling that is; ``None`` if there is no code at all.

    Example::

        shown_code(["canary", "invalid_request_error"])  # "invalid_request_error"
        shown_code(["canary"])  # "other"
    """
    shown = None
    for code in codes:
        known = KNOWN_CODES.get(squashed(code))
        if known is not None:
            return code if code in _spellings(known) else known
        if _STATUS.fullmatch(code):
            shown = code
        shown = shown or OTHER
    return shown


def _spellings(code: str) -> Iterator[str]:
    """A code in the styles that providers write codes in: one that is written in another could say something by it."""
    words = [word.lower() for word in _WORD.findall(code)]
    yield from (code, code.lower(), code.upper())
    yield from ("_".join(words), "_".join(words).upper(), "".join(word.capitalize() for word in words))


def shown_param(param: str | None, sent: Callable[[], Container[str]] = tuple) -> str | None:
    """A parameter's name as far as it is known; ``sent`` gives the names that the request itself had.

    Example::

        shown_param("tools[0].function.parameters.properties.canary")  # "tools[0].function.parameters.properties"
        shown_param("canary")  # "other"
    """
    if param is None:
        return None
    end, indexed = 0, True
    for part in _PART.finditer(param):
        is_index = part[1] is None or _INDEX.fullmatch(part[1]) is not None
        is_known = not indexed if is_index else part[1] in KNOWN_PARAMETERS  # digits after digits could say anything
        if part.start() != end or not is_known:
            break
        end, indexed = part.end(), is_index
    if end == len(param) or not _NAME.fullmatch(param):
        return param[:end] or OTHER
    return param if param in sent() else OTHER
