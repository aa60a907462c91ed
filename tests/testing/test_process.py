"""A fake provider in a process of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from urllib.parse import urlsplit

import openai
import pytest

from busy_machine import LONG_ENOUGH
from lanewise.testing import Answer, Cycle, FakeProviderProcess, Status


def test_it_is_scripted_from_outside_and_comes_back_on_its_port() -> None:
    """Script, counts, reset; stopped, it is gone; started again, it has the same address and no scripts."""
    with FakeProviderProcess() as provider:
        url = provider.base_url
        with openai.OpenAI(base_url=url, api_key="k", max_retries=0) as client:
            provider.script("m", Cycle((Answer("good"), Status(429))))
            assert client.chat.completions.create(model="m", messages=[]).choices[0].message.content == "good"
            with pytest.raises(openai.RateLimitError):
                client.chat.completions.create(model="m", messages=[])
            assert provider.counts().by_model == {"m": 2}
            provider.script_all(Status(500))
            with pytest.raises(openai.InternalServerError):
                client.chat.completions.create(model="n", messages=[])
            provider.reset()
            assert provider.counts().requests == 0
            with pytest.raises(ValueError, match="at least one"):
                provider.script("m")
            provider.stop()
            with pytest.raises(openai.APIConnectionError):
                client.chat.completions.create(model="m", messages=[])
            provider.start()
            assert provider.base_url == url
            assert client.chat.completions.create(model="m", messages=[]).choices


def test_whole_seconds_of_a_retry_after_are_written_as_such() -> None:
    """As without a process between: many readers take digits alone."""
    with (
        FakeProviderProcess() as provider,
        openai.OpenAI(base_url=provider.base_url, api_key="k", max_retries=0) as sdk,
    ):
        for seconds, written in ((30, "30"), (1.5, "1.5")):
            provider.script("m", Status(429, retry_after=seconds))
            with pytest.raises(openai.RateLimitError) as raised:
                sdk.chat.completions.create(model="m", messages=[])
            assert raised.value.response.headers["retry-after"] == written


def test_a_process_that_cannot_listen_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    """The reason is on stderr."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="did not start"):
        FakeProviderProcess(taken.getsockname()[1]).start()
    said = capfd.readouterr().err
    assert "in use" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_ends_cleanly_on_a_signal(number: signal.Signals) -> None:
    """Also while it waits for its stdin to close; the first line is the base URL."""
    command = [sys.executable, "-W", "error", "-m", "lanewise.testing", "--until-stdin-closes"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert urlsplit(process.stdout.readline().strip()).path == "/v1"
        process.send_signal(number)
        assert process.wait(LONG_ENOUGH) == 0
        assert process.stderr.read() == ""
