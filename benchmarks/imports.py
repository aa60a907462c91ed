"""What ``import lanewise`` costs beyond ``import openai``: time and resident memory, each in a fresh process."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass

__all__ = ["HOLD_MB", "HOLD_MS", "ImportCost", "import_cost"]

HOLD_MS = 150.0
HOLD_MB = 15.0

_PROBE = """
import json, sys, time
def resident():
    try:
        with open("/proc/self/statm") as file:
            import resource
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
import openai
resident()
modules, memory, wall, cpu = len(sys.modules), resident(), time.perf_counter(), time.process_time()
import lanewise
lanewise.Router
print(json.dumps({
    "cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall,
    "memory": resident() - memory, "modules": len(sys.modules) - modules,
}))
"""


@dataclass(frozen=True)
class ImportCost:
    """Medians of the runs. The package's names are lazy, so its Router is touched as well."""

    cpu_ms: float
    wall_ms: float
    megabytes: float
    modules: int


def import_cost(runs: int) -> ImportCost:
    """Measure it; the first run, which may have to compile, is not counted."""
    found = [_probe() for _ in range(runs + 1)][1:]
    return ImportCost(
        cpu_ms=statistics.median(one["cpu"] for one in found) * 1000,
        wall_ms=statistics.median(one["wall"] for one in found) * 1000,
        megabytes=statistics.median(one["memory"] for one in found) / 1e6,
        modules=int(found[0]["modules"]),
    )


def _probe() -> dict[str, float]:
    # As an app is started: with its bytecode, whatever the machine's environment says of writing it.
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([sys.executable, "-c", _PROBE], check=True, capture_output=True, text=True, env=environ)
    found: dict[str, float] = json.loads(done.stdout)
    return found
