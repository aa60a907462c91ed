"""The failure table: every signal of an attempt, what it is called, and what it allows next.

Everything that decides how a failure is treated lives in this table. ``classification``, and in ``_openai`` the
``response_check`` and the ``stream_validator``, read what a provider sent and pick a row; a
:class:`~lanewise.types.Failure` is only ever made from a row. The documentation's page is printed from it
(``failure_page``), so it can't lie.

What is read first, and stops at the first that speaks: local checks, transport, status with ``error.code`` and
``error.type``, shape of a 200's body, end of the stream, finish reason, contract. Message text is a last resort.
"""

from __future__ import annotations

from typing import Final

import msgspec

from lanewise.types import BreakerEffect, Failure, FailureKind, LocalTrouble, Retry

__all__ = ["SUCCESSES", "TABLE", "Row", "Success"]

_K, _B = FailureKind, BreakerEffect
_SAME, _WAIT, _NEXT, _STOP = Retry.SAME, Retry.WAIT, Retry.NEXT, Retry.STOP
_FAILURE, _NEUTRAL, _ACCOUNT, _ROUTE = _B.FAILURE, _B.NEUTRAL, _B.ACCOUNT, _B.ROUTE
_UNPROVEN = _B.UNPROVEN


class Row(msgspec.Struct, frozen=True):
    """One row: a signal, the failure that it is, and what that allows. ``detail`` is what an error says of it."""

    id: str
    signal: str
    kind: FailureKind
    retry: Retry
    breaker: BreakerEffect
    detail: str
    note: str = ""
    outcome_unknown: bool = False
    executed: bool = False
    stale_connection: bool = False
    final: bool = False
    """The same route would say the same again, also to the last route's tries."""

    def failure(
        self,
        *,
        http_status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        retry: Retry | None = None,
        breaker: BreakerEffect | None = None,
        executed: bool = False,
        retry_refused: bool = False,
        detail: str | None = None,
        cause: str = "",
        names: tuple[str, ...] = (),
        about_content: bool = False,
        trouble: LocalTrouble | None = None,
    ) -> Failure:
        """The failure of this row, with what the provider said. ``retry_after`` is in seconds.

        Example::

            CONTRACT.failure(http_status=200)
        """
        return Failure(
            kind=self.kind,
            retry=retry or self.retry,
            breaker=breaker or self.breaker,
            detail=detail or self.detail,
            http_status=http_status,
            code=code,
            param=param,
            retry_after=retry_after,
            outcome_unknown=self.outcome_unknown,
            executed=executed or self.executed,
            stale_connection=self.stale_connection,
            retry_refused=retry_refused or self.final,
            cause=cause,
            names=names,
            about_content=about_content,
            trouble=trouble,
        )


class Success(msgspec.Struct, frozen=True):
    """A signal that looks like a failure and is none."""

    id: str
    signal: str
    note: str


# A table is read by its columns:
# fmt: off

# Nothing was answered.
LOCAL = Row("local", "bad header value, bad URL, not encodable, unknown task: ours or the app's bug, nothing sent",
            _K.LOCAL, _STOP, _NEUTRAL, "nothing was sent: the request can't be written as HTTP")
KEY_UNAVAILABLE = Row("key-unavailable", "the app's function for a key failed, or gave what can't be in a header",
                      _K.AUTH, _NEXT, _NEUTRAL, "the function for the provider's key gave none",
                      "nothing was sent; logged as a warning")
CAPPED = Row("capped", "a cap of our own for the provider (`rpm`, `tpm`, `max_concurrency`), for longer than patience",
             _K.RATE_LIMIT, _NEXT, _NEUTRAL, "the config's cap for the provider is reached", "nothing was sent")
OVER_BUDGET = Row("over-budget", "a budget that is used up, or has too little left for the attempt",
                  _K.RATE_LIMIT, _NEXT, _NEUTRAL, "a budget of the config is used up",
                  "nothing was sent; on in the budget's lane (`over`), whatever that lane lists, else the call ends")
TOO_LONG = Row("too-long", "a question too long for all routes (known before sending), or a longer answer asked for",
               _K.CONTEXT_LENGTH, _STOP, _NEUTRAL, "no route has room for the question and its answer",
               "nothing was sent")
BOUND_GONE = Row("bound-gone", "a call bound to what one provider keeps, whose routes are off or not in the task",
                 _K.BAD_REQUEST, _STOP, _NEUTRAL, "no route of the task can read what the call goes on from",
                 "nothing was sent")
UNJUDGED = Row("unjudged", "an answer that can't be judged in time by a JSON Schema that the call itself asks for",
               _K.BAD_REQUEST, _STOP, _NEUTRAL, "the call's JSON Schema can't be judged in time")
CANCELLED = Row("cancelled", "caller went away", _K.CANCELLED, _STOP, _NEUTRAL, "the caller went away",
                "the upstream exchange is closed", outcome_unknown=True)
HEDGED = Row("hedged", "a hedge, or what it was to help: another route of the call answered first", _K.CANCELLED, _STOP,
             _NEUTRAL, "another route answered first", "the upstream exchange is closed", outcome_unknown=True)
DEADLINE = Row("deadline", "call deadline hit, in an attempt that had less than half its normal timeout",
               _K.DEADLINE, _STOP, _NEUTRAL, "the call's deadline passed", outcome_unknown=True)
DEADLINE_LONG = Row("deadline-long", "call deadline hit, in an attempt that had at least half its normal timeout",
                    _K.DEADLINE, _STOP, _FAILURE, "the call's deadline passed", outcome_unknown=True)
UNREACHABLE = Row("unreachable", "DNS, refused, reset before anything was written",
                  _K.UNREACHABLE, _SAME, _FAILURE, "no connection could be made", "same key")
CONNECT_TIMEOUT = Row("connect-timeout", "a connection that is not made in time; a look-up of the name that hangs",
                      _K.UNREACHABLE, _NEXT, _FAILURE, "no connection was made in time", "S if there is no other route")
STALE_CONNECTION = Row("stale-connection", "a *reused* connection closed before any byte of an answer",
                       _K.UNREACHABLE, _SAME, _NEUTRAL, "a reused connection had been closed",
                       "on a fresh connection, same key; not charged to the retry budget", stale_connection=True)
TLS = Row("tls", "TLS certificate wrong", _K.CONFIG, _NEXT, _ROUTE, "the TLS certificate is not trusted",
          "logged as an error")
TIMEOUT = Row("timeout", "reset or read timeout after the request was written", _K.TIMEOUT, _NEXT, _FAILURE,
              "no answer in time after the request was written", "may be billed; S if there is no other route",
              outcome_unknown=True)
LOCAL_TROUBLE = Row("local-trouble",
                    "no descriptor, local port, buffer, memory or thread left; no network; not permitted to connect",
                    _K.LOCAL, _SAME, _NEUTRAL, "this process can't connect",
                    "nothing was sent; moves a call as `unreachable` does; not charged to the retry budget, never "
                    "told to other workers; logged once a minute")
LOCAL_TROUBLE_AFTER_WRITE = Row("local-trouble-after-write", "the same, after the request was written", _K.LOCAL, _NEXT,
                                _NEUTRAL, "this process lost the connection by trouble of its own",
                                "S if there is no other route; X after commit", outcome_unknown=True)
LOOP_LATE = Row("loop-late", "call deadline hit while our own event loop stood still or was late", _K.LOCAL, _STOP,
                _NEUTRAL, "the event loop of this process was late",
                "what is ready is read first, and the time lost is made good until the call's deadline",
                outcome_unknown=True)
SILENT = Row("silent", "a route that hangs: 5 attempts without a byte for three times the usual time, 5 s at least",
             _K.TIMEOUT, _NEXT, _FAILURE, "the provider has gone silent",
             "no attempt's own: it opens the route, so that further calls go elsewhere first")
SLOW = Row("slow", "a route most of whose answers are slow, by `slow_call`", _K.TIMEOUT, _NEXT, _FAILURE,
           "the provider answers slowly",
           "no attempt's own: its answers are delivered; it opens the route, so that further calls go elsewhere first")
TIMEOUT_SHORT = Row("timeout-short", "the same, in an attempt that had less than half its normal timeout", _K.TIMEOUT,
                    _NEXT, _NEUTRAL, "no answer in the little time that was left", outcome_unknown=True)

# A status that is not 200.
REDIRECT = Row("redirect", "3xx", _K.CONFIG, _NEXT, _ROUTE, "the provider redirects",
               "never followed: a redirect to another origin would carry the prompt along")
CONTEXT_LENGTH = Row("context-length", "400 `context_length_exceeded` and its known spellings; 413",
                     _K.CONTEXT_LENGTH, _NEXT, _NEUTRAL, "the request is too long for this model",
                     "without being listed: to a window known to be larger only, else X")
UNSUPPORTED_PARAMETER = Row(
    "unsupported-parameter",
    "400 `unsupported_parameter`, `unsupported_value`; 422 `extra_forbidden`; \"Unknown name\" (Gemini)",
    _K.UNSUPPORTED_PARAMETER, _NEXT, _NEUTRAL, "the model can't take a parameter",
    "a droppable parameter is dropped once on the same route; if that is answered, it is remembered for an hour")
ADDITION_REFUSED = Row(
    "addition-refused",
    "400, 404, 415, 422, or a 500 or 501, whose body names what was added to the request (`include_usage`, the format "
    "of a task's contract, a message for a route's suffix)",
    _K.UNSUPPORTED_PARAMETER, _NEXT, _NEUTRAL, "the route can't take what was added to the request",
    "sent once more without it; if that is answered, it is remembered for an hour. Of a sensitive call only "
    "`include_usage` may go")
CONTENT_POLICY = Row(
    "content-policy",
    "400 `content_filter`, `content_policy_violation`, `ResponsibleAIPolicyViolation`, `bio_policy`; 403 moderation; "
    "446 (Portkey)",
    _K.CONTENT_POLICY, _STOP, _NEUTRAL, "the provider's content policy refused the request",
    "unless the lane lists it")
BILLING_400 = Row("billing-400", "400 or 403 that is really billing (Anthropic's spend limit, arrears, a budget of a "
                  "proxy)", _K.QUOTA, _NEXT, _ACCOUNT, "the account has no credit left")
QUOTA_UNSURE = Row(
    "quota-unsure",
    "the same, and 402, where it may be one request's price or one user's budget (\"can only afford\", an end user of "
    "LiteLLM), or where only words tell it; 412 (Portkey, Fireworks)",
    _K.QUOTA, _NEXT, _NEUTRAL, "a budget or a balance is used up", "logged as a warning")
BAD_KEY_400 = Row("bad-key-400", "400 that is really a bad key (Gemini `API_KEY_INVALID`)", _K.AUTH, _NEXT, _ACCOUNT,
                  "the key was not accepted", "logged as an error")
BAD_REQUEST = Row("bad-request", "400, 415, 422 other; a caller's mistake (`invalid_image_url`) wherever it is said",
                  _K.BAD_REQUEST, _STOP, _NEUTRAL, "the provider refused the request as wrong",
                  "N if only the payload of that lane was transformed and an earlier lane accepted it. With something "
                  "added to the request, and no word of what is wrong: sent once more without it")
WITHHELD = Row("withheld", "400 `tool_use_failed`, `json_validate_failed` (Groq): the model wrote something else",
               _K.BAD_RESPONSE, _NEXT, _NEUTRAL, "the provider withheld what the model wrote")
NOT_ABOUT_CONTENT = Row(
    "not-about-content",
    "406, 407, 411, 414, 418, 421, 423, 425, 426, 428, 431, 444, 460, 463, 49x and any 4xx not named here: about the "
    "way to the provider, not about what was asked",
    _K.OUTAGE, _NEXT, _NEUTRAL, "the request was refused on its way, not for what it asks",
    "not tried again on the same route", final=True)
AUTH = Row("auth", "401; 403 with a recognised code for key, account or region", _K.AUTH, _NEXT, _ACCOUNT,
           "the key, account or region was not accepted", "logged as an error")
AUTH_UNRECOGNISED = Row(
    "auth-unrecognised",
    "403 unrecognised (a firewall that disliked a prompt, a file that the account may not see); 451; 400 where only "
    "words tell of a refused key",
    _K.AUTH, _NEXT, _NEUTRAL, "the provider forbids the request, and does not say why", "logged as a warning")
MODEL_FORBIDDEN = Row("model-forbidden", "403 about this model only", _K.MODEL_MISSING, _NEXT, _ROUTE,
                      "the account may not use this model", "logged as a warning")
PAYMENT = Row("payment", "402", _K.QUOTA, _NEXT, _ACCOUNT, "the account has no credit left")
PAYMENT_LATER = Row("payment-later", "402 with Retry-After", _K.RATE_LIMIT, _WAIT, _NEUTRAL,
                    "the account's limit is used up for now")
MODEL_MISSING = Row("model-missing", "404 `model_not_found`; 400 with such a code or phrase", _K.MODEL_MISSING, _NEXT,
                    _ROUTE, "the provider does not have this model", "logged as a warning")
NOT_FOUND = Row(
    "not-found",
    "other 404, 405, 410 (an API that this route lacks); 400 or 404 about what the request needs of a model, or about "
    "another model than the route's",
    _K.MODEL_MISSING, _NEXT, _NEUTRAL, "the provider does not have this API or model")
NOT_FOUND_BOUND = Row("not-found-bound", "the same, when the call is bound to a provider's memory (a stale id)",
                      _K.BAD_REQUEST, _STOP, _NEUTRAL, "the provider does not have what the request refers to")
REQUEST_TIMEOUT = Row("request-timeout", "408", _K.TIMEOUT, _SAME, _FAILURE, "the provider gave up on the request",
                      "a definite answer: nothing is running; same key")
CONFLICT = Row("conflict", "409", _K.CONFLICT, _WAIT, _NEUTRAL, "the provider is busy with the same request",
               "same key")
DEPENDENCY = Row("dependency", "424; 499", _K.OUTAGE, _NEXT, _FAILURE, "something behind the provider failed",
                 "S if there is no other route")
RATE_LIMIT = Row("rate-limit", "429; 498 (Groq: flex tier at capacity)", _K.RATE_LIMIT, _WAIT, _NEUTRAL,
                 "the provider limits the rate",
                 "closed to new calls until Retry-After (none: 1 s, doubling to 10 s) while another route is left")
NO_ROOM = Row("no-room", "an answer whose headers say that the rate limits leave no room for another call",
              _K.RATE_LIMIT, _NEXT, _NEUTRAL, "the provider's limits leave no room",
              "the answer counts; the route is closed to new calls until the reset, while another route is left")
RATE_TOO_LARGE = Row("rate-too-large", "429 \"request too large\" for the tokens-a-minute limit", _K.CONTEXT_LENGTH,
                     _NEXT, _NEUTRAL, "the request is larger than the tokens-a-minute limit",
                     "to a larger limit only, else X")
BILLING_429 = Row("billing-429", "429 whose *code* is `insufficient_quota`, `billing_hard_limit_reached`, a spend "
                  "limit, credit exhausted", _K.QUOTA, _NEXT, _ACCOUNT, "the account has no credit left")
SERVER_ERROR = Row("server-error", "500", _K.OUTAGE, _SAME, _FAILURE, "the provider failed",
                   "with another key: a provider that honours it would replay the failure", executed=True)
SERVER_ERROR_DOUBTED = Row(
    "server-error-doubted",
    "500 that calls itself the request's fault (`invalid_request_error`); inside a 200, an error in what the request "
    "brought along (`mcp_server_error`)", _K.OUTAGE, _SAME, _NEUTRAL,
    "the provider failed, and it may be the request's fault", "with another key", executed=True)
ATTACHMENT_ERROR = Row(
    "attachment-error", "500 (also inside a 200) to a call with pictures, sound or files", _K.OUTAGE, _SAME, _UNPROVEN,
    "the provider failed at a request with pictures, sound or files",
    "with another key. A server without eyes fails so, and is not down for others", executed=True)
ATTACHMENT_REFUSED = Row("attachment-refused", "501 to a call with pictures, sound or files", _K.CONFIG, _NEXT,
                         _UNPROVEN, "the provider can't take pictures, sound or files")
GATEWAY = Row("gateway", "502, 504, 520-527, 530, other 5xx", _K.OUTAGE, _SAME, _FAILURE,
              "the provider's gateway got no answer", "same key", outcome_unknown=True)
UNAVAILABLE = Row("unavailable", "503", _K.OUTAGE, _SAME, _FAILURE, "the provider is not available", "same key")
UNAVAILABLE_LATER = Row("unavailable-later", "503 with Retry-After", _K.OUTAGE, _WAIT, _FAILURE,
                        "the provider is not available for now", "same key")
OVERLOADED = Row("overloaded", "503 `server_is_overloaded` without Retry-After; 529", _K.OUTAGE, _NEXT, _FAILURE,
                 "the provider is overloaded", "S if there is no other route")
NOT_IMPLEMENTED = Row("not-implemented", "501, 505", _K.CONFIG, _NEXT, _ROUTE, "the provider can't do this at all",
                      "0 and `model_missing` for a 501 with the code `unimplemented` (Gemini)")
ODD_STATUS = Row("odd-status", "a status that is no final answer to these APIs (1xx, over 599; 2xx without an answer)",
                 _K.BAD_RESPONSE, _NEXT, _FAILURE, "the status makes no sense here")

# A 200 that is no answer.
INNER_ERROR = Row("inner-error", "200 with an `error` object", _K.OUTAGE, _SAME, _FAILURE,
                  "the provider answered 200 with an error inside",
                  "as the inner code says, by the rows above; this row if it says nothing. Retried with another key",
                  executed=True)
NOT_JSON = Row("not-json", "200 that is HTML, text, a list, not JSON, or not the shape of this API", _K.BAD_RESPONSE,
               _NEXT, _FAILURE, "the answer is not what this API answers")
CUT = Row("cut", "200 cut short, undecodable, or not HTTP", _K.BAD_RESPONSE, _NEXT, _FAILURE,
          "the answer was cut short or can't be decoded", "S if there is no other route", outcome_unknown=True)
EMPTY_EMBEDDINGS = Row("empty-embeddings", "200 with an empty embeddings list, a vector that is null, or none that "
                       "is not empty", _K.BAD_RESPONSE, _NEXT, _FAILURE, "the answer has no embeddings")
TOO_LARGE = Row("too-large", "an answer over our size cap, or of more than 1,024 choices", _K.BAD_RESPONSE, _NEXT,
                _NEUTRAL, "the answer is larger than the cap")
UNFORESEEN = Row("unforeseen", "an exception that nobody foresaw, anywhere in an attempt", _K.BAD_RESPONSE, _NEXT,
                 _NEUTRAL, "the answer could not be handled", "logged as an error, by its class and its place alone",
                 outcome_unknown=True)
NO_CHOICES = Row("no-choices", "200 with `choices` (`output`) null, empty, or without a message (and no refusal)",
                 _K.BAD_RESPONSE, _SAME, _FAILURE, "the answer holds nothing", "with another key", executed=True)

# A stream.
STREAM_ERROR = Row("stream-error", "an `error` event in a stream, `response.failed`, before commit", _K.OUTAGE, _SAME,
                   _FAILURE, "the stream broke off with an error",
                   "as the inner code says, by the rows above; this row if it says nothing. Retried with another key. "
                   "In words that nobody knows: only if no end of the answer follows it", executed=True)
STREAM_ERROR_LATE = Row("stream-error-late", "the same, after commit", _K.STREAM_BROKEN, _STOP, _FAILURE,
                        "the stream broke off with an error after its first content",
                        "0 if the inner code is one that a caller can cause")
STREAM_CUT = Row("stream-cut", "end of stream without `[DONE]` **and** without a finish reason, or with nothing in it",
                 _K.STREAM_BROKEN, _NEXT, _FAILURE, "the stream ended early",
                 "S if there is no other route; X after commit", outcome_unknown=True)
MALFORMED_EVENT = Row("malformed-event", "one malformed event (a blank `data:` line and `null` are none)",
                      _K.STREAM_BROKEN, _NEXT, _FAILURE, "the stream holds an event that can't be read",
                      "S if there is no other route; X after commit", outcome_unknown=True)
STREAM_TOO_LARGE = Row("stream-too-large", "an event over our size cap, or of more than 1,024 choices",
                       _K.STREAM_BROKEN, _NEXT, _NEUTRAL,
                       "the stream holds an event larger than the cap", "X after commit", outcome_unknown=True)
NO_CONTENT = Row("no-content", "no sign of the model within `first_token` of sending, or no headers", _K.TIMEOUT,
                 _NEXT, _FAILURE, "no content in time",
                 "only while another route could be used; comments and blank deltas don't count", outcome_unknown=True)
STALLED = Row("stalled", "no byte for `stall`, or no sign of the model for `silence`", _K.TIMEOUT, _NEXT, _FAILURE,
              "the stream stalled", "X after commit; a sign is any word of the model's, thinking under any name, a "
              "tool call, the preview of an image", outcome_unknown=True)

# An answer that is complete, and yet none.
CONTENT_FILTERED = Row("content-filtered", "`finish_reason` `content_filter`, a refusal", _K.CONTENT_POLICY, _NEXT,
                       _NEUTRAL, "the model or its filter refused",
                       "the app's to read: handed through, recorded as this; a failure only if a lane lists it")
LENGTH = Row("length", "`finish_reason` `length` while JSON was asked for, or with a call whose arguments are cut",
             _K.CONTRACT, _NEXT, _NEUTRAL, "the answer ended before its JSON did")
FINISH_ERROR = Row("finish-error", "`finish_reason` `error`, or another word of a failure (`network_error`, `abort`)",
                   _K.OUTAGE, _SAME, _FAILURE, "the model broke off", "with another key", executed=True)
CONTRACT = Row("contract", "answer breaks the contract", _K.CONTRACT, _NEXT, _NEUTRAL, "the answer breaks the contract",
               "counted apart as quality")
IN_DOUBT = Row("in-doubt", "sensitive call: text, finish reason, refusal or calls there twice, or not of their type",
               _K.BAD_RESPONSE, _NEXT, _NEUTRAL, "what decides in the answer is in doubt",
               "next *approved* route, else X: fails closed")
SUBSTITUTED = Row("substituted", "sensitive call answered by a model that was not asked for", _K.SUBSTITUTED, _NEXT,
                  _NEUTRAL, "another model answered than was asked for", "next *approved* route, else X: fails closed")

# fmt: on

TABLE: Final = tuple(value for value in tuple(globals().values()) if isinstance(value, Row))
"""Every row above, in order."""

SUCCESSES: Final = (
    Success("no-done", "complete stream that only lacks `[DONE]`", "every choice had its finish reason"),
    Success(
        "odd-json",
        "JSON that only Python reads (`NaN`, a byte order mark, lone surrogates, UTF-16); fields of "
        "another type that nobody needs; an empty `error`",
        "noted on the attempt (`lenient`)",
    ),
    Success(
        "odd-http",
        "any 2xx with an answer, headers that are no ASCII, a length said twice, an encoding that "
        "nobody knows, a body that is not what its Content-Type or Content-Encoding says",
        "noted likewise",
    ),
    Success(
        "odd-events",
        "`data: null` between chunks, `[DONE]` with more after it, `response.done`, ids and retries",
        "passed on as the SDK reads them",
    ),
    Success(
        "odd-calls",
        "arguments that are empty, null or missing for a function that needs none; calls without an index, and such "
        "without a name and arguments",
        "apps read `{}`",
    ),
    Success("null-finish", "`finish_reason` null in a complete answer with content", "Ollama, other lenient servers"),
)
"""What looks like a failure and is none."""
