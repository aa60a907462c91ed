"""What an app declares: providers, routes, tasks, sensitive categories and the router's own settings.

The descriptions are also those of the JSON Schema for editors. Times are float seconds here, and texts with a unit
(``"12s"``) in TOML.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lanewise.config.api_keys import ApiKeyField, KeyDropped
from lanewise.config.capabilities import Abilities, StandIns
from lanewise.config.contracts import ContractField
from lanewise.config.http_fields import (
    BaseUrl,
    EnvName,
    HeaderName,
    Headers,
    OffOrHeader,
    OwnHeader,
    ProxySetting,
    Query,
    ServiceUrl,
    is_secret,
)
from lanewise.config.lanes import Lane, LaneField
from lanewise.config.ledger_url import LedgerUrl
from lanewise.config.prices import PriceTable
from lanewise.config.rules.start_rules import StartField
from lanewise.config.values import (
    AttemptCount,
    Bool,
    Count,
    Dollars,
    FailureKey,
    HedgeDelay,
    Names,
    NonEmpty,
    NonNegative,
    Parameters,
    ParameterTable,
    PositiveSeconds,
    Renames,
    RetryCount,
    ReviewLocation,
    Seconds,
    Share,
    SlowCallField,
    Text,
    Undeclared,
    Weight,
)
from lanewise.types import Api

__all__ = [
    "HealthSettings",
    "HedgeSettings",
    "Provider",
    "Route",
    "RouterSettings",
    "SensitiveCategory",
    "StreamSettings",
    "Task",
]

DAY = 86400.0
MB = 1_000_000


class _Declared(BaseModel):
    # Inputs stay out of pydantic's own messages: they may be keys.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=False)


class Provider(_Declared):
    """An account at an OpenAI-compatible endpoint.

    The provider that is called ``openai`` needs no ``base_url`` and no ``api_key_env``: they are
    ``https://api.openai.com/v1`` and ``OPENAI_API_KEY`` (as in the OpenAI SDK).

    With ``auth_header = "Authorization"`` the key is sent as ``Bearer <key>``; any other header gets the bare key.
    Without ``api_key_env`` and ``api_key`` no key is sent. ``api_key`` is for Python only: a text, or a function
    (also an async one) that is asked before an attempt. It is in no repr, dump or pickle.

    Raises:
        pydantic.ValidationError: a value can't be used; the text says which and why, and holds no value. In a
            :class:`Config` all such mistakes are told at once.

    Example::

        Provider(base_url="https://x.openai.azure.com/openai/v1", auth_header="api-key", api_key=fetch_token)
    """

    name: Text = ""
    insecure: Bool = Field(default=False, description="Allow http beyond loopback: all goes in the clear.")
    base_url: BaseUrl = Field(
        default="", description="Where the API begins, as for the OpenAI SDK: https://api.openai.com/v1"
    )
    api_key_env: EnvName | None = Field(
        default=None, description="The variable that has the key. Left out: no key is sent."
    )
    api_key: ApiKeyField | None = Field(default=None, exclude=True, repr=False)
    auth_header: HeaderName = Field(
        default="Authorization",
        description="The key's header: `Bearer <key>` in Authorization, the bare key in any other (Azure: api-key).",
    )
    query: Query = Field(default={}, repr=False, description="Parameters added to each URL (Azure: api-version).")
    headers: Headers = Field(default={}, repr=False, description="Headers added to each request.")
    idempotency_header: OffOrHeader = Field(
        default="Idempotency-Key", description="The header for the idempotency key; false if the provider takes none."
    )
    account: Text = Field(
        default="", description="Providers of one account share their health and limits. Default: the name."
    )
    optional: Bool = Field(
        default=False, description="If the key's variable is unset, its routes are off, with a warning."
    )
    rpm: Count | None = Field(default=None, description="Requests a minute that the account allows.")
    tpm: Count | None = Field(default=None, description="Tokens a minute that the account allows.")
    max_concurrency: Count | None = Field(default=None, description="Requests at a time that the account allows.")
    max_idle_connections: Count = Field(
        default=100, description="Connections that each process keeps open while nobody uses them."
    )

    @model_validator(mode="before")
    @classmethod
    def _well_known(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        filled = dict(data)
        if not filled.get("account") and isinstance(filled.get("name"), str):
            filled["account"] = filled["name"]
        if filled.get("name") == "openai" and "base_url" not in filled:
            filled["base_url"] = "https://api.openai.com/v1"
            if filled.get("api_key_env") is None and filled.get("api_key") is None:
                filled["api_key_env"] = "OPENAI_API_KEY"
        return filled

    def named(self, name: str) -> Self:
        """The provider under this name, with what follows from the name.

        Example::

            assert Provider().named("openai").api_key_env == "OPENAI_API_KEY"
        """
        given = {key: getattr(self, key) for key in self.model_fields_set}
        if self.account == self.name:
            given.pop("account", None)  # it came from the name that is replaced
        return type(self).model_validate({**given, "name": name})

    def __getstate__(self) -> dict[object, object]:
        """The state for pickle, in which a mark stands for each key that was given in Python."""
        state = dict(super().__getstate__())
        fields = dict(state["__dict__"])
        if self.api_key is not None:
            fields["api_key"] = KeyDropped()
        for place in ("headers", "query"):
            fields[place] = {
                name: KeyDropped() if isinstance(value, str) and is_secret(name, value) else value
                for name, value in fields[place].items()
            }
        state["__dict__"] = fields
        return state


class Route(_Declared):
    """A named way to an answer: one provider, one model, and what that model can't take. Times are in seconds."""

    name: Text = ""
    provider: NonEmpty = Field(description="The name of a provider.")
    model: NonEmpty = Field(description="The model's name at the provider.")
    api: tuple[Api, ...] = Field(
        default=tuple(Api), min_length=1, description="The kinds of API that the route answers."
    )
    timeout: PositiveSeconds = Field(
        default=30.0,
        description="The longest that one attempt may take. Undeclared, it gives way to all that is left of the "
        "deadline where no other route could be used.",
    )
    first_token: PositiveSeconds | None = Field(
        default=None, description="The longest wait for a stream's first content. Default: 20s; 60s with `reasoning`."
    )
    stall: PositiveSeconds | None = Field(
        default=None,
        description="The longest silence within a stream, comments not counted. Default: before its first content "
        "as long as `first_token`, after it the task's `stream`.",
    )
    drop: Parameters = Field(default=(), description="Parameters that this route can't take.")
    rename: Renames = Field(default={}, description="Parameters that have another name here.")
    stand_in: StandIns = Field(default=StandIns(), description="How this route stands in for what it can't take.")
    cannot: Abilities = Field(
        default=(), description="What the model can't do: calls that need it pass this route over."
    )
    set: ParameterTable = Field(default={}, description="Parameters that this route always sends.")
    system_suffix: NonEmpty | None = Field(default=None, description="Text added to the system message on this route.")
    weight: Weight = Field(
        default=1.0, description='This route\'s share in its lane, for tasks with select = "weight".'
    )
    context_window: Count | None = Field(
        default=None, description="Tokens that the model can take, question and answer."
    )
    max_output: Count | None = Field(default=None, description="Tokens that the model can answer with.")
    answers_as: Names = Field(
        default=(), description="Other names under which the model answers; * stands for anything."
    )
    reasoning: Bool = Field(default=False, description="The model thinks before its first word: streams start late.")
    same_as: Names = Field(default=(), description="Routes that give the same embeddings as this one.")
    price: PriceTable | None = Field(
        default=None,
        description="The route's own prices, in US dollars a million tokens. Default: the public list's.",
    )


class StreamSettings(_Declared):
    """How a task's streams behave once they have begun to answer. Times are in seconds."""

    hold: Literal["none", "all"] = Field(default="none", description='"all" holds a stream back until it is complete.')
    on_break: Literal["error", "restart"] = Field(
        default="error",
        description="What becomes of a stream that breaks after its first content. `restart` lets those calls start "
        "over that ask for it (`x-lanewise-on-break: restart`); for all others it is an error.",
    )
    stall: PositiveSeconds = Field(
        default=300.0,
        description="The longest time without a byte. Undeclared, 60s where a stream may start over on another route.",
    )
    silence: PositiveSeconds = Field(
        default=600.0,
        description="The longest time of comments and keep-alives without content. Undeclared, 2m where a stream may "
        "start over on another route.",
    )
    max: PositiveSeconds = Field(default=1800.0, description="The longest that a stream may take.")


class HedgeSettings(_Declared):
    """A second request to the next route, when the first has not begun to answer. Times are in seconds."""

    after: HedgeDelay = Field(
        default="p95",
        description='When: "p95" of what the first route took lately, to the answer or a stream\'s first content, or a '
        "duration.",
    )
    share: Share = Field(default=0.05, description="The most of the task's calls that may be hedged.")


class Task(_Declared):
    """A class of work: its lanes, deadline and rules. The ``model`` argument of an SDK call names a task."""

    name: Text = ""
    deadline: PositiveSeconds = Field(
        default=60.0,
        description="The longest that a call may take, all attempts and waits, to its answer or commit. Undeclared, "
        "10m where no other route could be used.",
    )
    patience: Seconds = Field(default=2.0, description="The longest wait for a preferred route that is rate limited.")
    primary: LaneField = Field(description="The routes that should answer.")
    equivalent: LaneField | None = Field(default=None, description="Routes that are as good.")
    degraded: LaneField | None = Field(default=None, description="Routes that are acceptable, and worse.")
    retries: dict[FailureKey, RetryCount] = Field(
        default={}, description="How often a failure is tried again on the same route, where not as by default."
    )
    max_attempts: AttemptCount = Field(
        default=8, description="A call makes as many attempts as it has usable routes: 4 at least, this many at most."
    )
    sensitive: NonEmpty | None = Field(default=None, description="The sensitive category of this task's calls.")
    contract: ContractField | None = Field(default=None, description="What an answer must look like to count as one.")
    stream: StreamSettings = Field(default=StreamSettings(), description="How streams behave.")
    select: Literal["order", "weight", "cheapest", "fastest"] = Field(
        default="order", description="Which route of a lane goes first."
    )
    sticky: Literal["subject", "conversation"] | None = Field(
        default=None,
        description='"subject" keeps all calls of a subject on one route of a lane, shared out by weight; '
        '"conversation" those of a conversation, where its prompt is cached, with every `select`.',
    )
    start: StartField | None = Field(
        default=None, description="The lane that calls start in, or rules that pick it. Default: the primary lane."
    )
    hedge: HedgeSettings | None = Field(
        default=None,
        description="A second request to the next route when the first is slow. Not with tools, for sensitive or bound "
        "calls, or several answers. Default: off.",
    )
    alert_cost_per_day: Dollars | None = Field(
        default=None, description='A warning is logged when the calls of a day (UTC) cost more, a process: "20 USD".'
    )

    @model_validator(mode="before")
    @classmethod
    def _sticks_by_weight(cls, data: object) -> object:
        if isinstance(data, Mapping) and data.get("sticky") is not None and "select" not in data:
            return {**data, "select": "weight"}
        return data

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """The task's lanes, best first."""
        return tuple(lane for lane in (self.primary, self.equivalent, self.degraded) if lane is not None)

    @property
    def routes(self) -> tuple[str, ...]:
        """The names of the task's routes, in the order of its lanes."""
        return tuple(route for lane in self.lanes for route in lane.routes)


class SensitiveCategory(_Declared):
    """A kind of call that only approved routes may answer. ``expires`` and ``keep`` are in seconds."""

    routes: Names = Field(description="The only routes that may answer.")
    on_failure: Literal["fail", "review"] = Field(default="fail", description="Fail, or leave the case to a person.")
    review_routes: Names = Field(default=(), description="Routes that may write a draft into a person's case.")
    expires: PositiveSeconds = Field(default=7 * DAY, description="How long a case waits for a person.")
    keep: PositiveSeconds = Field(default=30 * DAY, description="How long a decided case's texts are kept.")


def approved_routes(categories: Iterable[SensitiveCategory]) -> frozenset[str]:
    """The routes that may answer a call under all of these categories, of which there is one at least."""
    return frozenset.intersection(*(frozenset(category.routes) for category in categories))


def goes_to_review(categories: Collection[SensitiveCategory]) -> bool:
    """Whether a call under all of these categories is left to a person where it fails: one that fails beats others."""
    return bool(categories) and all(category.on_failure == "review" for category in categories)


class HealthSettings(_Declared):
    """The numbers of circuit breakers and of retry budgets. Durations are in seconds.

    Words and meanings are Polly's (failure ratio, minimum throughput, sampling and break duration), Envoy's
    (consecutive failures) and gRPC's (retry tokens).
    """

    breakers: Bool = Field(default=True, description="Whether routes that fail are left alone for a while at all.")
    consecutive_failures: Count = Field(default=5, description="Failures in a row, of all workers, that open a route.")
    failure_ratio: Share = Field(default=0.5, description="The share of failures, as one worker sees it, that opens.")
    minimum_throughput: Count = Field(default=10, description="Outcomes from which that share counts.")
    sampling_duration: PositiveSeconds = Field(default=60.0, description="The time over which that share is counted.")
    break_duration: PositiveSeconds = Field(
        default=10.0, description="How long a route is open at first; doubled at each opening in a row, +-20 %."
    )
    max_break_duration: PositiveSeconds = Field(default=30.0, description="The longest that a route is open.")
    throttle_duration: PositiveSeconds = Field(
        default=1.0, description="How long a 429 without Retry-After keeps new calls away; doubled for each in a row."
    )
    max_throttle_duration: PositiveSeconds = Field(default=10.0, description="The longest of that.")
    throttle: Bool = Field(
        default=True,
        description="Whether the last usable route of a call is throttled when it answers nothing, instead of refused "
        "once it is open.",
    )
    slow_call: SlowCallField | None = Field(
        default=None,
        description='From when on an answer counts as a failure in that share: "20s", or "3x" the route\'s own running '
        "median; of a stream its beginning. It is delivered all the same. Default: off.",
    )
    retry_tokens: Weight = Field(
        default=10.0, description="A provider's retry budget, while another route is left: each retry takes one."
    )
    retry_tokens_kept: NonNegative = Field(default=5.0, description="With so many tokens or fewer nothing is retried.")
    retry_tokens_per_success: NonNegative = Field(default=0.1, description="What a success gives back.")
    retry_tokens_per_second: NonNegative = Field(default=0.1, description="What a second gives back.")


class RouterSettings(_Declared):
    """The router's own settings. ``keep`` and ``replay`` are in seconds, the caps in bytes of a decoded body."""

    state: ServiceUrl = Field(default="memory", repr=False, description='"memory", or redis://... for several workers.')
    ledger: LedgerUrl | None = Field(
        default=None,
        repr=False,
        description="A database for the record of calls: sqlite:///file, postgresql+psycopg://..., or env:NAME.",
    )
    keep: PositiveSeconds = Field(default=90 * DAY, description="How long the ledger keeps a record.")
    replay: PositiveSeconds | None = Field(
        default=None, description="How long an answer is kept, to be given again. Default: off."
    )
    expected_workers: Count | None = Field(
        default=None,
        description="How many processes share the budgets: each keeps to its part while it can't hear the store. "
        "Default: 1.",
    )
    request_id_header: OwnHeader = Field(default="X-Request-ID", description="The header that carries the request id.")
    tell_callers: Bool = Field(
        default=False,
        description="Tell the app's own callers, by the header x-lanewise-lane, the worst lane that answered.",
    )
    undeclared: Undeclared = Field(
        default="standard",
        description='What an endpoint without a mark is: "standard", "sensitive:<category>" or "refuse".',
    )
    secret_env: EnvName | None = Field(default=None, description="The variable with the secret for subject hashes.")
    storage_key_env: EnvName | None = Field(default=None, description="The variable with the key for stored texts.")
    proxy: ProxySetting = Field(
        default="env",
        repr=False,
        description='"env" (HTTPS_PROXY and its kin, read once), "none", or the URL of a proxy.',
    )
    drill_header: OwnHeader | None = Field(
        default=None, description="A request header that may start a drill. Default: off."
    )
    health: HealthSettings = Field(
        default=HealthSettings(), description="The numbers of circuit breakers and of retry budgets."
    )
    opentelemetry: Bool = Field(default=False, description="Make spans and metrics of calls, by OpenTelemetry's API.")
    prometheus: Bool = Field(default=False, description="Count calls in the default registry of prometheus_client.")
    review_location: ReviewLocation = Field(
        default="/reviews/{id}", description="Where the app shows what became of a case: the Location of a 202."
    )
    max_answer_bytes: Count = Field(default=64 * MB, description="The largest answer, in bytes.")
    max_embeddings_bytes: Count = Field(
        default=64 * MB, description="The largest answer to an embeddings call, in bytes."
    )
    max_replay_bytes: Count = Field(
        default=MB, description="The largest answer that is kept to be given again, in bytes."
    )
    max_event_bytes: Count = Field(default=64 * MB, description="The largest event of a stream, in bytes.")
