"""Workers that are forks of one process which has used its router: each is one of its own in the shared store."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from _health.workers import config, until
from lanewise import Router
from real_valkey import Valkey
from router.driving import Stage

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="forks"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning"),
]


def _ask(router: Router) -> None:
    with router.scope() as scope:
        scope.openai.chat.completions.create(model="task", messages=[{"role": "user", "content": "Hi"}])


def test_forks_of_one_process_are_counted_and_heard_as_workers_of_their_own(stage: Stage, valkey: Valkey) -> None:
    """As under a server that loads the app before it forks: else all would hold one lease, and share no cap."""
    mapping = config(stage.first, stage.second, valkey.url)
    mapping["providers"]["first"]["rpm"] = 6000
    with Router.from_mapping(mapping) as router:
        _ask(router)
        children = [pid for _ in range(2) if (pid := _fork(router))]
        try:
            until(lambda: len(_workers(valkey)) == 3, 30)
            assert router._engine.ready().health.worker.encode() in _workers(valkey)
        finally:
            for pid in children:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _workers(valkey: Valkey) -> set[bytes]:
    """Those that are counted."""
    with valkey.client() as client:
        return {name for key in client.scan_iter("lanewise:workers:*") for name in client.zrange(key, 0, -1)}


def _fork(router: Router) -> int:
    """In the child: make calls until it is killed."""
    pid = os.fork()
    if pid:
        return pid
    try:
        for _ in range(300):
            _ask(router)
            time.sleep(0.1)
    finally:
        sys.stdout.flush()
        os._exit(1)
