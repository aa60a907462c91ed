"""A ledger that looks like a year's use: by the database itself for millions of rows, as records for thousands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Engine, text

from lanewise._ledger.database import writing
from lanewise.types import Api, Attempt, Call, CostStatus, FailureKind, LaneName, Outcome, Send, Switch

__all__ = ["FIRST_DAY", "fill", "made_up_calls"]

FIRST_DAY: Final = datetime(2026, 1, 1, tzinfo=UTC)
DAYS: Final = 300
"""Over which the rows are spread, so that 30 days are a tenth of them."""

_SERIES: Final = {
    "sqlite": """WITH RECURSIVE series(i) AS (SELECT :begin + 1 UNION ALL SELECT i + 1 FROM series WHERE i < :end),
        made AS MATERIALIZED (SELECT i, abs(random()) % 1000 AS a, abs(random()) % 1000 AS b,
            exp(((abs(random()) % 1000) + (abs(random()) % 1000)) / 500.0 - 2.0) AS spread,
            strftime('%Y-%m-%d %H:%M:%f', :first + (i * 1.0 / :end) * :span, 'unixepoch')
                || '000+00:00' AS moment FROM series)""",
    "postgresql": """WITH made AS MATERIALIZED (SELECT i, floor(random() * 1000)::int AS a,
            floor(random() * 1000)::int AS b, exp(2 * (random() + random()) - 2.0) AS spread,
            to_timestamp(CAST(:first AS float8) + (i * 1.0 / :end) * CAST(:span AS float8)) AS moment
            FROM generate_series(CAST(:begin AS int) + 1, CAST(:end AS int)) AS series(i))""",
}
_MOVES: Final = '[[0.031,{"type":"send","route":"flagship","lane":"primary","attempt_number":1,"timeout":20.0}]]'
_CALLS: Final = """INSERT INTO calls (id, request_id, task, api, stream, sensitive, labels, route, lane, outcome,
    failure, attempts, started_at, total_ms, moves, notes)
  {series}
  SELECT '01a203e9-aa42-7b3a-bc28-' || i, 'req-2026-' || i, 'task-' || (a % 6), 'chat', false, '', '{{}}',
    CASE WHEN b < 890 THEN 'flagship' WHEN b < 970 THEN 'sonnet' WHEN b < 995 THEN 'mini' END,
    CASE WHEN b < 890 THEN 'primary' WHEN b < 970 THEN 'equivalent' WHEN b < 995 THEN 'degraded' END,
    CASE WHEN b < 995 THEN 'answered' ELSE 'failed' END, CASE WHEN b >= 995 THEN 'outage' END,
    CASE WHEN b < 890 THEN 1 ELSE 2 END, moment, 700 * spread,
    :moves, '[]'
  FROM made"""
_ATTEMPTS: Final = """INSERT INTO attempts (call_id, attempt_number, request_id, task, route, lane, model_asked,
    model_answered, provider_host, http_status, timed_out, failure, detail, idempotency_key, dropped, adapted,
    input_tokens, output_tokens, tokens_estimated, cost_usd, cost_status, first_byte_ms, first_content_ms, total_ms,
    started_at, answered, absorbed, first_on_route, first_in_lane)
  SELECT id, {number}, request_id, task, {route}, {lane}, 'gpt-5.5', 'gpt-5.5-2026-04-01', 'api.openai.com', 200, false,
    {failure}, '', request_id || '-0123456789abcdef', {dropped}, '', CAST(500 + total_ms / 9 AS INTEGER),
    CAST(100 + total_ms / 20 AS INTEGER), false,
    {cost}, 'known', total_ms * 0.8, total_ms * 0.82, total_ms, started_at, {answered}, {absorbed}, true, true
  FROM calls WHERE attempts >= {number}"""


def fill(engine: Engine, wanted: int, first_day: datetime = FIRST_DAY, days: int = DAYS) -> None:
    """Replace all calls by some that have so many attempts. Nine calls of ten have one, the others two."""
    first_attempts = {
        "number": 1, "route": "'flagship'", "lane": "'primary'", "dropped": "''",
        "failure": "CASE WHEN attempts = 2 THEN 'rate_limit' END",
        "cost": "CASE WHEN attempts = 1 THEN 0.002 + total_ms / 1000000 END",
        "answered": "attempts = 1", "absorbed": "attempts = 2 AND outcome = 'answered'",
    }  # fmt: skip
    second_attempts = {
        "number": 2, "route": "coalesce(route, 'mini')", "lane": "coalesce(lane, 'degraded')",
        "dropped": "'temperature,seed'", "failure": "failure",
        "cost": "0.001", "answered": "outcome = 'answered'", "absorbed": "false",
    }  # fmt: skip
    with writing(engine) as connection:
        connection.execute(text("DELETE FROM attempts"))
        connection.execute(text("DELETE FROM calls"))
        filled = text(_CALLS.format(series=_SERIES[engine.dialect.name]))
        connection.execute(
            filled,
            {
                "begin": 0,
                "end": int(wanted / 1.11),
                "first": first_day.timestamp(),
                "span": days * 86400,
                "moves": _MOVES,
            },
        )
        for which in (first_attempts, second_attempts):
            connection.execute(text(_ATTEMPTS.format(**which)))


def made_up_calls(how_many: int, begin: datetime) -> list[Call]:
    """Calls as the router records them: one of ten was answered by its second attempt."""
    return [_call(number, begin + timedelta(milliseconds=number / 5)) for number in range(how_many)]


def _call(number: int, at: datetime) -> Call:
    call_id = f"01a203e9-aa42-7b3a-bc28-{number:012}"
    fell_back = number % 10 == 0
    attempts = [_attempt(call_id, 1, at, "flagship", LaneName.PRIMARY, failed=fell_back)]
    moves = [(0.0314159, Send(route="flagship", lane=LaneName.PRIMARY, attempt_number=1, timeout=20.0))]
    if fell_back:
        attempts.append(_attempt(call_id, 2, at, "sonnet", LaneName.EQUIVALENT, failed=False))
        moves.append((251.0, Switch(route="sonnet", lane=LaneName.EQUIVALENT, attempt_number=2, timeout=25.0)))
    return Call(
        id=call_id,
        request_id=f"req-2026-{number:06}",
        task="ticket-summary",
        api=Api.CHAT,
        started_at=at,
        subject_hash="0123456789abcdef",
        route=attempts[-1].route,
        lane=attempts[-1].lane,
        outcome=Outcome.ANSWERED,
        attempts=tuple(attempts),
        moves=tuple(moves),
        total_ms=250.0,
    )


def _attempt(call_id: str, number: int, at: datetime, route: str, lane: LaneName, *, failed: bool) -> Attempt:
    return Attempt(
        call_id=call_id,
        attempt_number=number,
        route=route,
        lane=lane,
        model_asked="gpt-5.5",
        model_answered=None if failed else "gpt-5.5-2026-04-01",
        provider_host="api.openai.com",
        idempotency_key="req-2026-000042-0123456789abcdef",
        started_at=at,
        http_status=429 if failed else 200,
        failure=FailureKind.RATE_LIMIT if failed else None,
        input_tokens=None if failed else 1200,
        output_tokens=None if failed else 180,
        cost_usd=None if failed else 0.0031,
        cost_status=CostStatus.NOT_BILLED if failed else CostStatus.KNOWN,
        first_byte_ms=180.0,
        total_ms=250.0,
    )
