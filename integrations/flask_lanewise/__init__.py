"""Lanewise for Flask: a routed OpenAI client in each request, and endpoints that fail closed.

Example::

    from flask_lanewise import Lanewise, sensitive

    ai = Lanewise(app, "lanewise.toml")

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
    raise ImportError("flask_lanewise needs Flask; install it with: pip install 'lanewise[flask]'") from error

from flask_lanewise.audit import assert_endpoints_declared, endpoints_of
from flask_lanewise.blueprints import dashboard_blueprint, openai_blueprint
from flask_lanewise.extension import Lanewise
from flask_lanewise.listing import endpoints
from flask_lanewise.marks import sensitive
from lanewise.web import RequestIdFilter, standard

__all__ = [
    "Lanewise",
    "RequestIdFilter",
    "assert_endpoints_declared",
    "dashboard_blueprint",
    "endpoints",
    "endpoints_of",
    "openai_blueprint",
    "sensitive",
    "standard",
]
