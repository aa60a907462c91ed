"""The page of servers: ``PYTHONPATH=tests python -m servers.table > docs/servers.md`` prints it.

What it says of each server is what ``test_servers.py`` finds, also where it says no.
"""

from __future__ import annotations

import click

from servers.around import AROUND
from servers.behaviours import BEHAVIOURS
from servers.running import SERVERS

__all__ = ["KNOWN", "page"]

_NOTES = {
    1: "While a call runs, nothing of a WSGI app under this server, or of one that a bridge (`a2wsgi`, Starlette's and "
    "asgiref's adapters, hypercorn's and uvicorn's own) runs without `LanewiseMiddleware` around it, is told that its "
    "caller has gone: the call runs to its end, and is billed. So it is under mod_wsgi.",
    2: "On trio a caller who left is noticed when the app itself reads or sends: streams end, plain calls run to their "
    "end.",
    3: "It ends at once, with the calls that run.",
}
KNOWN: dict[tuple[str, str], int] = {
    ("granian, WSGI", "calls"): 1,
    ("granian, WSGI", "own scopes"): 1,
    ("granian, WSGI", "streams"): 1,
    ("a2wsgi alone", "calls"): 1,
    ("a2wsgi alone", "own scopes"): 1,
    ("a2wsgi alone", "streams"): 1,
    ("hypercorn on trio", "calls"): 2,
    ("hypercorn on trio", "own scopes"): 2,
    ("waitress", "SIGTERM"): 3,
    ("werkzeug", "SIGTERM"): 3,
    ("uWSGI", "SIGTERM"): 3,
}
"""What a server can't do, by its name and the check's: a note of the page."""
_ADAPTERS = {"starlette": "Starlette", "fastapi": "FastAPI", "litestar": "Litestar", "flask": "Flask"}
_HEAD = """\
# Servers: what holds under each

This page is printed from `tests/servers`, where each cell is a test over HTTP against the server, in a process of its
own (`make test-slow`; some of it is part of `make test`).

**ids**: the inbound id is echoed once and begins the idempotency keys · **switches**: the fallback answers · **fails
closed**: a sensitive call is a 503 problem, and nobody else is asked · **problems**: a call without an answer is one, a
stream that fails before its first piece too · **broken streams** never look whole · **streams flow** as they come · a
hang-up ends **calls**, calls in **own scopes** (`with router.scope():` in an endpoint) and **streams** upstream, and
logs no error · **SIGTERM**: a call that runs is answered, and nothing is left open.
"""
_AFTER = """\
The same holds with these around the app: {around},
outside of `LanewiseMiddleware`, and the first two inside of it too. In a Starlette app the first of them would end
broken answers as whole ones; `lifespan(router)` is what keeps it from that. What is wrapped around an app by hand
(`BaseHTTPMiddleware(Litestar(...))`) is out of its reach: give such middleware to the framework.

gevent's and eventlet's workers are refused when the app starts: take `gthread`.
"""


def page() -> str:
    """The whole page."""
    rows = [["server", "apps", *(check.heading for check in BEHAVIOURS.values())]]
    rows.append(["---"] * len(rows[0]))
    for name, kind in SERVERS.items():
        apps = ", ".join(dict.fromkeys(_ADAPTERS[adapter.partition("-")[0]] for adapter in kind.adapters))
        cells = (KNOWN.get((name, check)) for check in BEHAVIOURS)
        rows.append([name, apps, *("yes" if note is None else f"no ({note})" for note in cells)])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    notes = "\n".join(f"{number}. {text}" for number, text in _NOTES.items())
    around = ", ".join(dict.fromkeys(layer.name for layer in AROUND.values()))
    return f"{_HEAD}\n{table}\n\n{notes}\n\n{_AFTER.format(around=around)}"


if __name__ == "__main__":
    click.echo(page(), nl=False)
