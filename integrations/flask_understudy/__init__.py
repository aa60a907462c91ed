"""Understudy for Flask: a routed OpenAI client in each request, and endpoints that fail closed.

Example::

    from flask_understudy import Understudy, sensitive

    ai = Understudy(app, "understudy.toml")

    @app.post("/tickets/<int:ticket>/summary")
    def summarize(ticket):
        reply = ai.openai.chat.completions.create(model="ticket-summary", messages=messages)
        return {"summary": reply.choices[0].message.content}

    @app.post("/refunds")
    @sensitive("payment")
    def refund(): ...
"""

from __future__ import annotations

try:
    import flask as _flask  # noqa: F401
except ImportError as error:
    raise ImportError("flask_understudy needs Flask; install it with: pip install 'understudy[flask]'") from error

from flask_understudy.audit import assert_endpoints_declared, endpoints, endpoints_of
from flask_understudy.extension import Understudy
from flask_understudy.marks import sensitive
from understudy.web import RequestIdFilter, standard

__all__ = [
    "RequestIdFilter",
    "Understudy",
    "assert_endpoints_declared",
    "endpoints",
    "endpoints_of",
    "sensitive",
    "standard",
]
