"""The process that checks what may take too long: it is asked over its standard input, and may be killed at any time.

It is started by its path, so that nothing of an app, and none of its keys, is loaded here; what it needs stands beside
it. A question is the size of a JSON object (four bytes), the seconds that it may take (four), and the object: the JSON
``schema`` or the ``pattern`` to check by, as text, and the ``text`` to check, without which it is only compiled. The
answer is a size and an object: ``breach`` says what is wrong with the text, or null; ``unusable`` what is wrong with
the schema.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import struct
import sys
from functools import lru_cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

IDLE = 60
"""Seconds without a question after which the process ends by itself; also when whoever asked is no more."""
LEAST_GRACE = 2
"""Seconds beyond its own that a question may take before the process ends itself: whoever asked has died."""
_FRAME = struct.Struct("!II")
_SIZE = struct.Struct("!I")


def main() -> None:
    """Answer until the input ends."""
    sys.path[:0] = sys.argv[1:]
    with contextlib.suppress(OSError, AttributeError):
        os.nice(10)  # what takes long here should not take the time of those who serve
    schemas = _beside("compiled_schema")

    @lru_cache(64)
    def compiled(source: str) -> Any:
        return schemas.CompiledSchema(json.loads(source), patient=True, lenient=True)

    def answer(question: dict[str, str]) -> dict[str, str | None]:
        text = question.get("text")
        if "pattern" in question:
            found = text is None or re.search(question["pattern"], text) is not None
            return {"breach": None if found else "must_match: the pattern is not in it"}
        try:
            schema = compiled(question["schema"])
        except schemas.BadSchema as error:
            return {"unusable": str(error)}
        return {"breach": None if text is None else schema.breach(json.loads(text))}

    reader, writer = sys.stdin.buffer, sys.stdout.buffer
    while (frame := _read(reader, _FRAME.size)) is not None:
        size, seconds = _FRAME.unpack(frame)
        question = _read(reader, size)
        if question is None:
            return
        _end_in(seconds + LEAST_GRACE)
        reply = json.dumps(answer(json.loads(question))).encode()
        writer.write(_SIZE.pack(len(reply)) + reply)
        writer.flush()
        _end_in(IDLE)


def _beside(name: str) -> ModuleType:
    """A module of this folder, without the package that it belongs to."""
    spec = spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _read(reader: BinaryIO, size: int) -> bytes | None:
    data = reader.read(size)
    return data if len(data) == size else None


def _end_in(seconds: int) -> None:
    """Have the system end this process then, whatever it is doing: no code of Python's needs to run for that."""
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)


if __name__ == "__main__":
    main()
