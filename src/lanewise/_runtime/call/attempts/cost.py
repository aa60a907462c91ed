"""What each attempt of a call used, and what it cost: as its provider says, else reckoned when somebody asks."""

from __future__ import annotations

import re
from operator import attrgetter
from typing import Final

import msgspec

from lanewise._openai import token_estimate as rough_tokens
from lanewise._openai.parameters import OUTPUT_LIMITS
from lanewise._openai.request_body import RequestBody
from lanewise._openai.response_check import Answer
from lanewise._openai.streams.stream_validator import StreamValidator
from lanewise._openai.usage.usage import NO_USAGE, Usage
from lanewise._prices.price_book import PriceBook, asked_tier
from lanewise._runtime.call.attempts.attempt_types import BuiltAttempt
from lanewise._runtime.call.record_fields import AttemptFields
from lanewise.config import Route
from lanewise.types import Api, Attempt, CostStatus, Failure
from lanewise.types.attempts import defer_cost
from lanewise.types.costs import Cost, PendingCost

__all__ = ["Billing"]

_SEARCHING: Final = frozenset({"web_search_options", "search_parameters", "plugins", "enable_search"})
"""Parameters of chat by which a provider searches: of the fee its usage may say nothing."""
_SEARCHES: Final = re.compile(r"-search-(?:preview|api)|:online$")
"""Models that always search."""
_OWN_TOOL: Final = re.compile(
    rb'"type"\s*:\s*"[a-z0-9_$]*(?:search|interpreter|execution|browser|website|image_generation|builtin|retrieval)'
    rb'[a-z0-9_$]*"|"(?:google_?[sS]earch|code_?[eE]xecution|url_?[cC]ontext|google_?[mM]aps)[a-zA-Z_]*"\s*:\s*\{'
)
"""One of the provider's own tools, among those that a chat may call."""
_MEDIA: Final = (
    ("input_audio", "input_audio_tokens", b'"input_audio"'),
    ("input_image", "input_image_tokens", b'"image_url"'),
    ("input_image", "input_image_tokens", b'"input_image"'),
)
"""Kinds of token that are not text, and what sends them."""
_SHARED: Final = tuple(
    name
    for name in Usage.__struct_fields__
    if name in Attempt.__struct_fields__ and name not in ("input_tokens", "output_tokens", "service_tier", "tool_calls")
)
"""What an attempt's record takes from the usage as it is, under the same names."""
_WRITERS: Final = tuple(getattr(AttemptFields, name) for name in _SHARED)
_used: Final = attrgetter(*_SHARED)
_NOTHING_USED: Final = _used(NO_USAGE)
_TIERS: Final = frozenset({
    "auto", "default", "standard", "flex", "priority", "fast", "ultrafast", "scale", "batch", "on_demand",
    "performance", "reserved", "provisioned",
})  # fmt: skip
_TOOLS: Final = frozenset({
    "web_search", "web_search_preview", "file_search", "x_search", "code_interpreter", "code_execution",
    "image_generation", "image_gen", "collections_search", "document_search", "attachment_search", "sources", "shell",
    "view_image", "view_x_video", "browser_search", "google_search", "people_search", "finance_search",
})  # fmt: skip
"""Words of providers that are recorded as they are: any other may be what a user wrote."""
_OTHER: Final = "other"


class Billing:
    """Writes tokens and costs into the attempts of one call. ``choices`` is how many answers the app asked for."""

    __slots__ = ("_api", "_body", "_choices", "_prices")

    def __init__(self, prices: PriceBook, api: Api, body: RequestBody, choices: int) -> None:
        self._prices = prices
        self._api = api
        self._body = body
        self._choices = choices

    def settle(
        self,
        sent: BuiltAttempt,
        failure: Failure | None,
        answer: Answer | StreamValidator | None,
        *,
        unclear: bool = False,
    ) -> None:
        """Note what an attempt used and cost, once it has ended. ``unclear``: more may be billed than ``answer``."""
        unclear = unclear or (failure is not None and failure.outcome_unknown)
        if answer is None:
            self._unanswered(sent, failure, unclear=unclear)
        elif unclear or answer.unfinished:  # a stream that was cut, or some of several requests
            usage = answer.usage
            AttemptFields.input_tokens(sent.record, usage.input_tokens)
            AttemptFields.output_tokens(sent.record, usage.output_tokens)
            _record(sent.record, usage)
            self._unanswered(sent, failure, unclear=True, unfinished=answer.unfinished)
        else:
            self._answered(sent, answer)

    def _answered(self, sent: BuiltAttempt, answer: Answer | StreamValidator) -> None:
        attempt, usage = sent.record, answer.usage
        input_tokens, output_tokens = usage.input_tokens, usage.output_tokens
        estimated = False
        if not input_tokens:
            estimated = True
            input_tokens = rough_tokens.likely(rough_tokens.text_bytes(sent.request.body)) * _requests(sent)
        if self._api is Api.EMBEDDINGS:
            output_tokens = output_tokens or 0
        elif not output_tokens and answer.content_bytes:
            output_tokens, estimated = rough_tokens.likely(answer.content_bytes), True
        AttemptFields.input_tokens(attempt, input_tokens)
        AttemptFields.output_tokens(attempt, output_tokens or 0)
        if estimated:
            AttemptFields.tokens_estimated(attempt, True)
            usage = msgspec.structs.replace(usage, input_tokens=input_tokens, output_tokens=output_tokens)
        elif self._may_owe_more(attempt, usage):
            usage = msgspec.structs.replace(usage, unclear=(*usage.unclear, "tools"))
        _record(attempt, usage)
        tier = asked_tier(sent.request.upstream.route, self._body, dropped=attempt.dropped)
        defer_cost(attempt, _AnswerCost(self._prices, sent, usage, tier, estimated))

    def _may_owe_more(self, attempt: Attempt, usage: Usage) -> bool:
        """Whether a chat may have called tools of its provider that the usage says nothing of."""
        if self._api is not Api.CHAT or usage.tool_calls:
            return False
        fields = self._body.fields
        if not _SEARCHING.isdisjoint(fields) or _SEARCHES.search(attempt.model_asked):
            return True
        tools = fields.get("tools")
        return tools is not None and _OWN_TOOL.search(tools) is not None

    def _unanswered(
        self, sent: BuiltAttempt, failure: Failure | None, *, unclear: bool, unfinished: bool = False
    ) -> None:
        """An attempt without an answer: certainly free, or nobody knows, and then what it can cost at the most."""
        if failure is None and not unfinished:
            return
        if not 200 <= (sent.record.http_status or 0) < 300 and not unclear:  # not sent, or refused
            AttemptFields.cost_status(sent.record, CostStatus.NOT_BILLED)
            return
        output = 0 if self._api is Api.EMBEDDINGS else self._cap(sent.request.upstream.route)
        tier = asked_tier(sent.request.upstream.route, self._body, dropped=sent.record.dropped)
        defer_cost(sent.record, _MostCost(self._prices, sent, output, self._choices, tier))

    def _cap(self, route: Route) -> int | None:
        """The tokens that an answer can have by the route's cap and the app's; ``None`` without any."""
        caps = []
        for name in OUTPUT_LIMITS:
            raw = self._body.fields.get(name)
            cap: object = route.set.get(name)
            if cap is None and raw is not None:
                cap = _decoded(raw)
            if isinstance(cap, int):
                caps.append(max(0, cap))
        return min(caps, default=None)


def _record(attempt: Attempt, usage: Usage) -> None:
    """Write what was used into the record."""
    used = _used(usage)
    if used != _NOTHING_USED:
        for write, value in zip(_WRITERS, used, strict=True):
            if value is not None and value != ():
                write(attempt, value)
    if usage.service_tier is not None:
        tier = usage.service_tier.lower()
        AttemptFields.service_tier(attempt, tier if tier in _TIERS else _OTHER)
    if usage.tool_calls:
        counts: dict[str, int] = {}
        for tool, count in usage.tool_calls:
            known = tool if tool in _TOOLS else _OTHER
            counts[known] = counts.get(known, 0) + count
        AttemptFields.tool_calls(attempt, tuple(sorted(counts.items())))


def _requests(sent: BuiltAttempt) -> int:
    """How many requests an attempt is made of, each with the same body."""
    return 1 + len(sent.more)


def _decoded(raw: msgspec.Raw) -> object:
    try:
        return msgspec.json.decode(raw)
    except msgspec.MsgspecError:
        return None


# -- reckoned later ------------------------------------------------------------------------------------------------


class _AnswerCost(PendingCost):
    """The cost of an attempt that was answered. ``estimated``: its tokens were not all counted by its provider."""

    __slots__ = ("_answered", "_asked_tier", "_at", "_estimated", "_media", "_prices", "_requests", "_route", "_usage")

    def __init__(
        self, prices: PriceBook, sent: BuiltAttempt, usage: Usage, asked_tier: str | None, estimated: bool
    ) -> None:
        self._prices = prices
        self._route = sent.record.route
        self._answered = sent.record.model_answered
        self._at = sent.record.started_at
        self._requests = 1 + len(sent.more)
        self._usage = usage
        self._asked_tier = asked_tier
        self._estimated = estimated
        self._media: tuple[str, ...] = ()
        for kind, field, sign in _MEDIA:  # now: a record must not keep the question
            if getattr(usage, field) is None and sign in sent.request.body:
                self._media += (kind,)

    def settle(self) -> Cost:
        """What the provider says, else what its prices say."""
        usage = self._usage
        reported, upstream = usage.reported_cost_usd, _upstream(usage)
        if reported is not None and (upstream is not None or not usage.own_key):
            return Cost(reported + (upstream or 0.0), CostStatus.REPORTED)
        price = self._prices.of(self._route, self._answered)
        found = None
        if price is not None:
            found = price.reckon(
                usage, self._at, asked_tier=self._asked_tier, media=self._media, requests=self._requests
            )
        if reported is not None:  # a fee alone: what the provider behind it takes from the app's own key is not told
            return Cost(None) if found is None else Cost(reported + found.usd, CostStatus.ESTIMATED)
        if found is not None and found.covered and not self._estimated:
            return Cost(found.usd, CostStatus.KNOWN)
        if usage.estimated_cost_usd is not None:
            return Cost(usage.estimated_cost_usd, CostStatus.ESTIMATED)
        return Cost(None) if found is None else Cost(found.usd, CostStatus.ESTIMATED)


class _MostCost(PendingCost):
    """What an attempt without an answer can cost at the most. ``output``: the cap on each of its answers."""

    __slots__ = ("_answered", "_asked_tier", "_at", "_audio", "_choices", "_input", "_output", "_prices", "_upstream")

    def __init__(
        self, prices: PriceBook, sent: BuiltAttempt, output: int | None, choices: int, asked_tier: str | None
    ) -> None:
        self._prices = prices
        self._upstream = sent.request.upstream.route
        self._answered = sent.record.model_answered
        self._at = sent.record.started_at
        self._input = rough_tokens.at_most(len(sent.request.body) * _requests(sent))  # images too: safely many
        self._output = output
        self._choices = choices
        self._asked_tier = asked_tier
        self._audio = b"audio" in sent.request.body

    def settle(self) -> Cost:
        """Unknown, with what it can be."""
        price = self._prices.of(self._upstream.name, self._answered)
        most = self._prices.most_output(self._upstream)
        caps = [cap for cap in (self._output, most) if cap is not None]
        if price is None or not caps:
            return Cost(None)
        audio = 1 if self._audio else None
        usage = Usage(input_tokens=self._input, output_tokens=min(caps) * self._choices, input_audio_tokens=audio)
        upper = price.at_most(usage, self._at, asked_tier=self._asked_tier)
        return Cost(None, CostStatus.UNKNOWN, upper)


def _upstream(usage: Usage) -> float | None:
    """What the provider behind this one bills to the app's own key, if it is told.

    Where nobody says whose key it was: a provider that passes an answer on takes no less for it than it pays.
    """
    upstream = usage.upstream_cost_usd
    if upstream is None or usage.own_key is False:
        return None
    return upstream if usage.own_key or upstream > (usage.reported_cost_usd or 0.0) else None
