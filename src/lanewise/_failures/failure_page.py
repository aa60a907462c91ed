"""The documentation's page of the failure table, as Markdown: ``docs/failures.md``."""

from __future__ import annotations

from typing import Final

from lanewise._failures.failure_table import SUCCESSES, TABLE

__all__ = ["document"]

_LEGEND: Final = """\
# Failures: from signal to action

This page is printed from the table in `lanewise/_failures/failure_table.py`.

Retry: **S** the same route once, then the next · **W** wait (Retry-After, else jitter) if patience allows, then the
same, else the next · **N** the next lane or route · **X** stop, tell the app.
Breaker: **F** counts · **P** counts until the route answers a call without pictures, sound or files · **0** neutral,
but releases a probe · **A** opens the account at once · **T** opens the route at once. What one caller can cause is 0
or P.
Outcome: **unknown**: the request may still run, and be billed · **failed**: the provider did the work and failed, so a
retry goes with another idempotency key.

"""

_EPILOGUE: Final = """
`x-should-retry: false` from the provider turns S and W into N; `true` turns W and N into S, but for failures that the
same route would only repeat (those that open it, and what it can't take). Neither lifts X, the deadline or a cap.

Retry-After: `retry-after-ms`, then `retry-after` as (fractional) seconds, then as an HTTP date, as what other providers
write there (`1m30s`, RFC 3339, seconds or milliseconds since 1970), then Gemini's `RetryInfo` in the body. What is not
finite, negative or past is ignored; over 300 s is read as 300 s.
"""


def document() -> str:
    """The documentation's page of this table, as Markdown.

    Example::

        python -m lanewise._failures.failure_page > docs/failures.md
    """
    lines = ["| signal | failure | retry | breaker | outcome | note |", "|---|---|---|---|---|---|"]
    for row in TABLE:
        outcome = "unknown" if row.outcome_unknown else "failed" if row.executed else ""
        lines.append(f"| {row.signal} | `{row.kind}` | {row.retry} | {row.breaker} | {outcome} | {row.note} |")
    lines += [f"| {fine.signal} | success | | | | {fine.note} |" for fine in SUCCESSES]
    return _LEGEND + "\n".join(lines) + "\n" + _EPILOGUE


if __name__ == "__main__":
    import sys

    sys.stdout.write(document())
