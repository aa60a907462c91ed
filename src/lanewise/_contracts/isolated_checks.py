"""Checks that may take too long, each in a process of its own that is ended when its time is over.

No thread would do: a thread that is in the middle of a check can't be stopped, and holds the interpreter while it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Final

from lanewise._contracts.json_schema import BadSchema, Question

__all__ = ["CheckUnavailable", "IsolatedChecks"]

PROCESSES: Final = 4
"""How many checks run at a time; more wait, within their time."""
_PROGRAM: Final = Path(__file__).with_name("check_process.py")
_PASSED_ON: Final = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "SYSTEMROOT", "LANG", "LC_ALL")
"""All of the environment that a check gets to see: there are keys in the rest."""
_FRAME: Final = struct.Struct("!II")
_SIZE: Final = struct.Struct("!I")


class CheckUnavailable(Exception):
    """A check could not be made: it took too long, or no process could be started. The text says which."""


class IsolatedChecks:
    """Runs checks in processes that it keeps for the next ones. They start at the first use in this process.

    Example::

        checks = IsolatedChecks()
        problem = await checks.breach(question, seconds=5.0)
        checks.close()
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self._idle: list[_Process] = []
        self._running: set[_RunningCheck] = set()

    async def breach(self, question: Question, seconds: float) -> str | None:
        """What is wrong with a text, or ``None``. In any loop of asyncio.

        Raises CheckUnavailable, and BadSchema where the schema is none.
        """
        frame = _framed(question, seconds)
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(PROCESSES, thread_name_prefix="lanewise-checks")
            check = _RunningCheck(frame)
            self._running.add(check)
            answer = self._threads.submit(self._ask, check)
        try:
            async with asyncio.timeout(seconds):
                verdict = await asyncio.wrap_future(answer)
        except TimeoutError:
            raise CheckUnavailable("it can't be judged in time") from None
        finally:
            check.end()
            with self._lock:
                self._running.discard(check)
        if verdict is None:
            raise CheckUnavailable("the process that judges it could not be started, or ended")
        unusable = verdict.get("unusable")
        if unusable is not None:
            raise BadSchema(unusable)
        return verdict.get("breach")

    def close(self) -> None:
        """End all processes, and the checks that run in them. Usable again afterwards."""
        with self._lock:
            threads, self._threads = self._threads, None
            idle, self._idle = self._idle, []
            running = list(self._running)
        for check in running:
            check.end()
        for process in idle:
            process.end()
        if threads is not None:
            threads.shutdown(cancel_futures=True)

    def after_fork(self) -> None:
        """In the child of a fork: threads and processes are the parent's."""
        for process in self._idle:
            process.forget()
        self._begin()

    # -- in a thread ---------------------------------------------------------------------------------------------------

    def _ask(self, check: _RunningCheck) -> dict[str, str | None] | None:
        """The verdict on a job; ``None`` if there is none. A process that had ended by itself is replaced once."""
        for is_last in (False, True):
            process = self._take(fresh=is_last)
            if process is None or not check.begin(process):
                if process is not None:
                    self._keep(process)
                return None
            reply = process.ask(check.frame)
            if check.finish() and reply is not None:
                self._keep(process)
                verdict: dict[str, str | None] = json.loads(reply)
                return verdict
            process.end()
            if check.ended:
                return None
        return None

    def _take(self, *, fresh: bool) -> _Process | None:
        with self._lock:
            if self._idle and not fresh:
                return self._idle.pop()
        try:
            return _Process()
        except (OSError, ValueError):
            return None

    def _keep(self, process: _Process) -> None:
        with self._lock:
            if self._threads is not None:
                self._idle.append(process)
                return
        process.end()


class _RunningCheck:
    """One question on its way, which may be called off at any time: its process is killed then."""

    def __init__(self, frame: bytes) -> None:
        self.frame = frame
        self.ended = False
        self._lock = threading.Lock()
        self._process: _Process | None = None

    def begin(self, process: _Process) -> bool:
        """Have a process work on it. Whether it may still."""
        with self._lock:
            self._process = None if self.ended else process
            return not self.ended

    def finish(self) -> bool:
        """The process has answered, or died. Whether nobody has killed it."""
        with self._lock:
            self._process = None
            return not self.ended

    def end(self) -> None:
        """From any thread; idempotent."""
        with self._lock:
            self.ended = True
            if self._process is not None:
                self._process.kill()


class _Process:
    """A process that checks, one question at a time."""

    def __init__(self) -> None:
        """Raises OSError: it can't be started."""
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [_python(), "-I", "-S", str(_PROGRAM), *_paths()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: value for name in _PASSED_ON if (value := os.environ.get(name)) is not None},
            start_new_session=True,  # Ctrl-C in a terminal is for the app
        )

    def ask(self, frame: bytes) -> bytes | None:
        """What it answers, or ``None`` if it has ended. Waits for as long as it takes."""
        stdin, stdout = self._pipes()
        try:
            stdin.write(frame)
            stdin.flush()
            size = stdout.read(_SIZE.size)
            reply = stdout.read(_SIZE.unpack(size)[0]) if len(size) == _SIZE.size else None
        except (OSError, ValueError):
            return None
        return reply

    def kill(self) -> None:
        """Have it end now, whatever it is doing. From any thread."""
        with contextlib.suppress(OSError):
            self._process.kill()

    def end(self) -> None:
        """Kill it, and wait until it has gone."""
        self.kill()
        self._process.wait()
        self._close()

    def forget(self) -> None:
        """It is a child of this process's parent."""
        self._process.returncode = 0  # nothing here may wait for it
        self._close()

    def _close(self) -> None:
        for pipe in self._pipes():
            with contextlib.suppress(OSError):
                pipe.close()

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        return stdin, stdout


def _framed(question: Question, seconds: float) -> bytes:
    question_bytes = json.dumps({question.kind: question.source, "text": question.text}).encode()
    return _FRAME.pack(len(question_bytes), max(1, round(seconds))) + question_bytes


def _python() -> str:
    """The interpreter: an app that is embedded in a server names it by ``multiprocessing.set_executable``."""
    import multiprocessing.spawn  # 2 ms, and few apps need this process

    return os.fsdecode(multiprocessing.spawn.get_executable() or sys.executable)


def _paths() -> list[str]:
    """Where the process finds the library that it checks with."""
    spec = find_spec("jsonschema_rs")
    return [] if spec is None or spec.origin is None else [str(Path(spec.origin).parents[1])]
