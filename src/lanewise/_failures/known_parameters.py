"""Names of parameters and of their parts that are no app's and no user's own: an error that names one may be shown."""

from __future__ import annotations

from typing import Final

__all__ = ["KNOWN_PARAMETERS"]


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
