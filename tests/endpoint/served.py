"""The apps that real servers serve in the tests: ``app`` of Starlette, ``flask_app`` of Flask."""

from __future__ import annotations

import os

from endpoint.stage import TASKS, starlette_app
from endpoint.stage import flask_app as make_flask_app
from lanewise import Router

router = Router.from_mapping(
    {
        "router": {"health": {"breakers": False, "retry_tokens": 1e6}},
        "providers": {"one": {"base_url": os.environ["PROVIDER_URL"]}},
        "routes": {name: {"provider": "one", "model": f"model-{name}"} for name in TASKS},
        "tasks": {name: {"primary": name, "deadline": "120s"} for name in TASKS},
        "clients": {"node": {"key": os.environ["CLIENT_DIGEST"]}},
    }
)
app = starlette_app(router)
flask_app = make_flask_app(router)
