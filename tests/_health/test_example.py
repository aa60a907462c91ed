"""The example with four workers, run by its one command and tried by the commands of its README."""

from __future__ import annotations

import time

import pytest

from busy_machine import LONG_ENOUGH
from integrations.readmes import Curled, Example, curl

EXAMPLE = Example("four_workers", "http://127.0.0.1:8014/ask")
ASK = "curl http://127.0.0.1:8014/ask"


def asked(times: int) -> list[Curled]:
    """So many requests, each over a connection of its own, so that the processes take turns."""
    return [curl(ASK) for _ in range(times)]


@pytest.mark.timeout(400)
def test_the_readme_is_true() -> None:
    """Its commands in order: four processes, an opening that all of them know, and one that a person ends."""
    with EXAMPLE.running():
        first = asked(12)
        # A process that answers for the first time knows nothing of the others yet.
        until = time.monotonic() + LONG_ENOUGH
        while len({answer.json["process"] for answer in first}) < 4 and time.monotonic() < until:
            first += asked(4)
        assert {answer.json["route"] for answer in first} == {"flagship"}

        broken, *_ = EXAMPLE.commands("Break the primary")
        assert curl(broken).status == 200
        until = time.monotonic() + LONG_ENOUGH  # each process hears of it in its own time
        after = asked(12)
        while {(answer.json["route"], answer.json["attempts"]) for answer in after} != {("sonnet", 1)}:
            assert time.monotonic() < until
            after = asked(12)
        assert len({answer.json["process"] for answer in first + after}) > 1
        shown = EXAMPLE.printed(EXAMPLE.commands("Break the primary")[-1])
        assert "flagship chat" in shown
        assert "outage, HTTP 500, server_error" in shown

        mended, closed, again, opened = EXAMPLE.commands("Mend it")
        assert curl(mended).status == 200
        EXAMPLE.printed(closed)
        assert again == ASK
        until = time.monotonic() + LONG_ENOUGH
        while {answer.json["route"] for answer in asked(8)} != {"flagship"}:
            assert time.monotonic() < until
        assert "no worker sends to it" in EXAMPLE.printed(opened)
