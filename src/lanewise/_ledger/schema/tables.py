"""The ledger's tables as the code reads and writes them. The migrations make them; a test holds the two together.

The names of tables and columns are a promise: people query them. A column that comes later may be NULL, and none goes:
workers of an older release go on to write into the tables of a newer one. Times that end in ``_ms`` are milliseconds;
the other times are UTC, with their zone, and sort (in SQLite as text). What is not known is NULL.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.types import TypeEngine

__all__ = ["Instant", "attempts", "calls", "interventions", "metadata", "reviews", "scores"]

metadata = MetaData()


class Instant(TypeDecorator[datetime]):
    """A moment: ``timestamptz`` in PostgreSQL; in SQLite a text of fixed width, which sorts as the moments do."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """What the column is in this database."""
        return Text() if dialect.name == "sqlite" else DateTime(timezone=True)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> object:
        """The moment, as it is stored."""
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).isoformat(" ", "microseconds")

    def process_result_value(self, value: object, dialect: Dialect) -> datetime | None:
        """The moment, in UTC."""
        if value is None:
            return None
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        assert isinstance(moment, datetime)
        return moment.astimezone(UTC)


def _partial(name: str, *columns: str, where: str) -> Index:
    """An index of the rows for which a condition holds. A query uses it only if it has the same condition literally."""
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


calls = Table(
    "calls",
    metadata,
    Column("id", Text, primary_key=True),
    Column("request_id", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("api", Text, nullable=False),
    Column("stream", Boolean, nullable=False),
    Column("sensitive", Text, nullable=False, comment="the categories, with commas between; empty if none"),
    Column("subject_hash", Text),
    Column("labels", Text, nullable=False, comment="JSON, an object"),
    Column("route", Text, comment="that answered, or would have"),
    Column("lane", Text),
    Column("outcome", Text, nullable=False),
    Column("failure", Text),
    Column("attempts", SmallInteger, nullable=False, comment="how many"),
    Column("started_at", Instant, nullable=False),
    Column("total_ms", Double),
    Column("moves", Text, nullable=False, comment="JSON, for `lanewise explain`"),
    Column("notes", Text, nullable=False, comment="JSON, for `lanewise explain`"),
    Column("replayed_from", Text, comment="the id of the call whose answer was given again"),
    Index("calls_lately", "started_at", "task", "lane", "outcome", "total_ms"),
    Index("calls_request_id", "request_id"),
    Index("calls_task", "task", "started_at"),
    Index("calls_route", "route", "started_at"),
    _partial("calls_by_fallback", "lane", "started_at", where="lane <> 'primary'"),
    _partial("calls_not_answered", "outcome", "started_at", where="outcome <> 'answered'"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("call_id", Text, primary_key=True),
    Column("attempt_number", SmallInteger, primary_key=True, autoincrement=False),
    Column("request_id", Text, nullable=False),
    Column("subject_hash", Text),
    Column("task", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("model_asked", Text, nullable=False),
    Column("model_answered", Text),
    Column("provider_host", Text, nullable=False),
    Column("http_status", SmallInteger),
    Column("timed_out", Boolean, nullable=False),
    Column("provider_error_code", Text),
    Column("failure", Text),
    Column("detail", Text, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("dropped", Text, nullable=False, comment="the parameters, with commas between; empty if none"),
    Column(
        "adapted",
        Text,
        nullable=False,
        comment="how the route stood in for what it can not take, with semicolons between",
    ),
    Column("lenient", Text, comment="what was odd in its answer and was let pass, with commas between"),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("cache_write_tokens", BigInteger),
    Column("cache_write_lifetimes", Text, comment="JSON, an object: tokens by the lifetime that was told"),
    Column("reasoning_tokens", BigInteger),
    Column("input_audio_tokens", BigInteger),
    Column("output_audio_tokens", BigInteger),
    Column("input_image_tokens", BigInteger),
    Column("output_image_tokens", BigInteger),
    Column("tokens_estimated", Boolean, nullable=False),
    Column("tool_calls", Text, comment="JSON, an object: billed calls of the provider's own tools, by tool"),
    Column("service_tier", Text),
    Column("reported_cost_usd", Double, comment="the provider's own word"),
    Column("upstream_cost_usd", Double, comment="what the provider behind it bills to the app's own key, beside that"),
    Column("cost_usd", Double),
    Column("cost_status", Text, nullable=False),
    Column("cost_upper_usd", Double),
    Column("first_byte_ms", Double),
    Column("first_content_ms", Double),
    Column("total_ms", Double),
    Column("started_at", Instant, nullable=False),
    Column("answered", Boolean, nullable=False, comment="its answer is the call's"),
    Column("absorbed", Boolean, nullable=False, comment="it failed, and the call was answered all the same"),
    Column("first_on_route", Boolean, nullable=False, comment="the call's first attempt on this route"),
    Column("first_in_lane", Boolean, nullable=False, comment="the call's first attempt in this lane"),
    Index("attempts_lately", "started_at", "task", "cost_usd"),
    _partial("attempts_failed", "started_at", "call_id", where="failure IS NOT NULL"),
    _partial("attempts_failure", "failure", "started_at", "call_id", where="failure IS NOT NULL"),
)

scores = Table(
    "scores",
    metadata,
    Column("call_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("at", Instant, primary_key=True),
    Column("value", Double, nullable=False),
    Index("scores_at", "at"),
)

reviews = Table(
    "reviews",
    metadata,
    Column("id", Text, primary_key=True),
    Column("request_id", Text, nullable=False),
    Column("call_id", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("api", Text, nullable=False),
    Column("sensitive", Text, nullable=False, comment="the categories, with commas between"),
    Column("why", Text, nullable=False, comment="nobody answered"),
    Column("status", Text, nullable=False, comment="pending, approved, rejected or expired"),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("texts_until", Instant, nullable=False, comment="then what is sealed is deleted; the row stays"),
    Column("keep_seconds", Double, nullable=False, comment="from the decision to that"),
    Column("decided_by", Text),
    Column("decided_at", Instant),
    Column("draft_route", Text, comment="that wrote the draft, if there is one"),
    Column("sealed_data", LargeBinary, comment="what the app passed; encrypted, as all that follow"),
    Column("sealed_question", LargeBinary),
    Column("sealed_draft", LargeBinary),
    Column("sealed_answer", LargeBinary),
    Column("row_seal", LargeBinary, comment="of what the row says; it stays when the texts go"),
    Index("reviews_created_at", "created_at"),
    Index("reviews_texts_until", "texts_until"),
    Index("reviews_request_id", "request_id"),
)

interventions = Table(
    "interventions",
    metadata,
    Column("at", Instant, primary_key=True),
    Column("route", Text, primary_key=True),
    Column("action", Text, nullable=False, comment="open or close"),
    Column("decided_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
)
