"""What all tests share: the event loop they run on, the flag for slow proofs, and no hurry for random examples."""

from __future__ import annotations

import logging
import signal

import anyio
import pytest
from hypothesis import settings

from busy_machine import LAG, wait_longer

settings.register_profile("lanewise", deadline=None)  # how long an example takes depends on the machine
settings.load_profile("lanewise")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what is put into the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what tests start gets it from here, and some end by it

logging.getLogger("lanewise").addFilter(LAG)
wait_longer()

anyio.run(anyio.sleep, 0)  # imports its backend here: pytest rewrites it then, and Python 3.11 can't do that in threads


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--slow``: without it the slow proofs are skipped."""
    parser.addoption("--slow", action="store_true", help="run the slow proofs as well")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what is marked slow, unless it was asked for."""
    if not config.getoption("--slow"):
        for item in items:
            if item.get_closest_marker("slow") is not None:
                item.add_marker(pytest.mark.skip(reason="a slow proof: run with --slow"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Begin each test with Python's own level of the log: a framework sets it for all tests that come after its own."""
    logging.getLogger().setLevel(logging.WARNING)


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio; those that claim more say so themselves."""
    return "asyncio"
