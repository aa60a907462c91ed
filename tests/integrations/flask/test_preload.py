"""What a worker's first request needs is there when it comes: it was brought in with the app, before servers fork."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

from lanewise.testing import FakeProvider

PROGRAM = """
    import json, sys, threading
    from flask import Flask
    from flask_lanewise import Lanewise
    from lanewise import Router

    app = Flask("first")
    ai = Lanewise(app, Router.from_mapping(json.loads(sys.argv[1])))

    @app.get("/")
    def index():
        messages = [{"role": "user", "content": "Hello?"}]
        return ai.openai.chat.completions.create(model="t", messages=messages).choices[0].message.content

    threads = threading.active_count()
    there = set(sys.modules)
    answer = app.test_client().get("/").text
    new = {name.partition(".")[0] for name in set(sys.modules) - there}
    print(json.dumps({"answer": answer, "threads": threads, "new": sorted(new)}))
"""


def test_the_first_request_imports_no_library(tmp_path: Path) -> None:
    """No SQLAlchemy, no price list, no resources of the SDK; and nothing was started for it before."""
    with FakeProvider() as provider:
        config = {
            "router": {"ledger": f"sqlite:///{tmp_path}/lanewise.db", "prometheus": True},
            "providers": {"openai": {"base_url": provider.base_url, "api_key_env": None}},
            "routes": {"first": {"provider": "openai", "model": "gpt-5.5"}},
            "tasks": {"t": {"primary": "first"}},
        }
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(PROGRAM), json.dumps(config)],
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["answer"] == "Hello from gpt-5.5"
    assert told["threads"] == 1
    assert not {"sqlalchemy", "genai_prices", "prometheus_client", "jsonschema_rs", "redis", "jiter"} & set(told["new"])
