"""What each attempt of a call used and cost: by the provider's usage, else estimated and marked as that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from lanewise._openai import token_estimate as rough_tokens
from lanewise._openai.request_body import Body
from lanewise._openai.response_check import Answer
from lanewise._openai.stream_validator import StreamJudge
from lanewise._telemetry.prices import PriceBook, Tokens
from lanewise.config import Route
from lanewise.types import Api, CostStatus, Failure, note

if TYPE_CHECKING:
    from lanewise._runtime.call.attempt_builder import Sent

__all__ = ["Billing"]

_CAPS: Final = ("max_completion_tokens", "max_tokens", "max_output_tokens")
"""What APIs and providers call the cap on an answer's tokens."""


class Billing:
    """Writes tokens and costs into the attempts of one call. ``choices`` is how many answers the app asked for."""

    __slots__ = ("_api", "_body", "_choices", "_prices")

    def __init__(self, prices: PriceBook, api: Api, body: Body, choices: int) -> None:
        self._prices = prices
        self._api = api
        self._body = body
        self._choices = choices

    def settle(
        self, sent: Sent, failure: Failure | None, answer: Answer | StreamJudge | None, *, unclear: bool = False
    ) -> None:
        """Note what an attempt used and cost, once it has ended. ``unclear``: more may be billed than ``answer``."""
        unclear = unclear or (failure is not None and failure.outcome_unknown)
        if answer is None:
            self._unanswered(sent, failure, unclear=unclear)
        elif unclear:  # a stream that was cut, or some of several requests
            note(sent.record, "input_tokens", answer.input_tokens)
            note(sent.record, "output_tokens", answer.output_tokens)
            self._unanswered(sent, failure, unclear=True)
        else:
            self._answered(sent, answer)

    def _answered(self, sent: Sent, answer: Answer | StreamJudge) -> None:
        attempt = sent.record
        read, written = answer.input_tokens, answer.output_tokens
        cached = answer.cached_tokens
        estimated = read is None or (written is None and self._api is not Api.EMBEDDINGS)
        if read is None:
            read = rough_tokens.likely(rough_tokens.text_bytes(sent.job.body)) * _requests(sent)
        if written is None:
            written = 0 if self._api is Api.EMBEDDINGS else rough_tokens.likely(answer.said)
        note(attempt, "input_tokens", read)
        note(attempt, "output_tokens", written)
        if estimated:
            note(attempt, "tokens_estimated", True)
        if cached is not None:
            note(attempt, "cached_tokens", cached)
        if answer.reasoning_tokens is not None:
            note(attempt, "reasoning_tokens", answer.reasoning_tokens)
        price = self._prices.of(attempt.route, attempt.model_answered)
        if price is not None:
            note(attempt, "cost_usd", price.cost(Tokens(read, written, min(cached or 0, read))))
            note(attempt, "cost_status", CostStatus.ESTIMATED if estimated else CostStatus.KNOWN)

    def _unanswered(self, sent: Sent, failure: Failure | None, *, unclear: bool) -> None:
        """An attempt without an answer: certainly free, or nobody knows, and then what it can cost at the most."""
        attempt = sent.record
        if failure is None:
            return
        if attempt.http_status != 200 and not unclear:  # not sent, or refused
            note(attempt, "cost_status", CostStatus.NOT_BILLED)
            return
        price = self._prices.of(attempt.route, attempt.model_answered)
        output = self._most_output(sent.job.way.route)
        if price is not None and output is not None:
            most = rough_tokens.at_most(len(sent.job.body) * _requests(sent))  # images too: safely many
            note(attempt, "cost_upper_usd", price.cost(Tokens(most, output)))

    def _most_output(self, route: Route) -> int | None:
        """The tokens that an answer can have: by the app's cap, the route's, or the model's whole window."""
        if self._api is Api.EMBEDDINGS:
            return 0
        caps = [cap for name in _CAPS if (cap := self._cap(route, name)) is not None]
        most = self._prices.most_output(route)
        if most is not None:
            caps.append(most)
        return min(caps) * self._choices if caps else None

    def _cap(self, route: Route, name: str) -> int | None:
        """A cap that the route sets or the app sent."""
        declared = route.set.get(name)
        if isinstance(declared, int):
            return declared
        value = self._body.fields.get(name)
        try:
            return None if value is None else max(0, msgspec.json.decode(value, type=int))
        except msgspec.MsgspecError:
            return None


def _requests(sent: Sent) -> int:
    """How many requests an attempt is made of, each with the same body."""
    return 1 + len(sent.more)
