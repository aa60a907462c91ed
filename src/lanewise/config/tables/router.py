"""``[router]``: the shared store, the ledger, records, headers, caps and what an endpoint without a mark is."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, Field, Strict, WithJsonSchema

from lanewise.config.environment.ledger_url import LedgerUrl
from lanewise.config.mistakes import quoted
from lanewise.config.tables.health import HealthSettings
from lanewise.config.tables.model_config import DECLARED
from lanewise.config.values.durations import PositiveSeconds
from lanewise.config.values.http_fields import EnvName, OwnHeader, ProxySetting, ServiceUrl
from lanewise.config.values.scalars import Bool, Count, wrong

__all__ = ["RouterSettings"]

_DAY: Final = 86400.0
_MB: Final = 1_000_000
_REVIEW_LOCATION = re.compile(
    r"^(https://[A-Za-z0-9.:-]+)?/[!$&'()*+,/:;=?@A-Za-z0-9._~-]*\{id\}[!$&'()*+,/:;=?@A-Za-z0-9._~-]*$"
)


def _undeclared(value: str) -> str:
    if value in ("standard", "refuse") or (value.startswith("sensitive:") and len(value) > len("sensitive:")):
        return value
    raise wrong(f"{quoted(value)} is not known here", 'Write "standard", "refuse" or "sensitive:<category>".')


def _review_location(value: str) -> str:
    if _REVIEW_LOCATION.fullmatch(value):
        return value
    raise wrong(
        f"{quoted(value)} is no place for a case", 'Write a path or a https:// URL with {id} in it: "/reviews/{id}".'
    )


ReviewLocation = Annotated[
    str,
    Strict(),
    AfterValidator(_review_location),
    WithJsonSchema({"type": "string", "pattern": _REVIEW_LOCATION.pattern}),
]
Undeclared = Annotated[
    str,
    Strict(),
    AfterValidator(_undeclared),
    WithJsonSchema({"type": "string", "pattern": "^(standard|refuse|sensitive:.+)$"}),
]


class RouterSettings(BaseModel):
    """The router's own settings. ``keep`` and ``replay`` are in seconds, the caps in bytes of a decoded body."""

    model_config = DECLARED

    state: ServiceUrl = Field(default="memory", repr=False, description='"memory", or redis://... for several workers.')
    ledger: LedgerUrl | None = Field(
        default=None,
        repr=False,
        description="A database for the record of calls: sqlite:///file, postgresql+psycopg://..., or env:NAME.",
    )
    keep: PositiveSeconds = Field(default=90 * _DAY, description="How long the ledger keeps a record.")
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
    max_answer_bytes: Count = Field(default=64 * _MB, description="The largest answer, in bytes.")
    max_embeddings_bytes: Count = Field(
        default=64 * _MB, description="The largest answer to an embeddings call, in bytes."
    )
    max_replay_bytes: Count = Field(
        default=_MB, description="The largest answer that is kept to be given again, in bytes."
    )
    max_event_bytes: Count = Field(default=64 * _MB, description="The largest event of a stream, in bytes.")
