"""``python -m benchmarks``: the table of ratios, measured against a fake provider in another process."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.cases import CASES, Case
from benchmarks.imports import HOLD_MB, HOLD_MS, ImportCost, import_cost
from benchmarks.litellm_peer import VERSION, environment
from benchmarks.measure import Cores, Result, Side, choose_cores, compare, machine
from benchmarks.meter import pin
from benchmarks.outages import Suffered, suffered
from lanewise.testing import Answer, FakeProviderProcess, StreamOf

_ANSWER = "The customer was charged twice for October and asks for the second payment back. " * 4
_CHUNKS = [f"word {number} " for number in range(100)]
_SCRIPTS = {
    "whole": Answer(_ANSWER),
    "stream": StreamOf(chunks=_CHUNKS, interval=0.002),
    "burst": StreamOf(chunks=_CHUNKS),
}
_QUICK = 4
"""A quick run makes a quarter of the calls, in three runs."""


def main() -> int:
    """Print the table; 1 if a figure does not hold."""
    arguments = _arguments()
    cores = choose_cores()
    chosen = [case for case in CASES if _wanted(case.name, arguments)]
    print(f"machine: {machine()}", file=sys.stderr if arguments.json else sys.stdout)
    results = _measured(chosen, cores, arguments) if chosen else []
    cost = import_cost(3 if arguments.quick else 5) if _wanted("import", arguments) else None
    outages = _suffered() if _wanted("outages", arguments) else []
    if arguments.json:
        print(json.dumps(_as_data(results, cost, outages), indent=2))
    else:
        _print_table(results, cost)
        for each in outages:
            print(f"{each.outage.what}: {each.side}: {each.text()}")
    imports_hold = cost is None or (cost.cpu_ms <= HOLD_MS and cost.megabytes <= HOLD_MB)
    return 0 if imports_hold and all(result.holds for result in results) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [*(case.name for case in CASES), "import", "outages"]
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=f"one of {', '.join(names)}")
    parser.add_argument("--litellm", action="store_true", help=f"LiteLLM {VERSION} too, its outages included")
    parser.add_argument("--runs", type=int, default=None, help="runs of each pair, 5 if not given")
    parser.add_argument("--quick", action="store_true", help="fewer calls and runs: a glance, no figure to quote")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    return parser.parse_args()


def _wanted(name: str, arguments: argparse.Namespace) -> bool:
    if arguments.only:
        return name in arguments.only
    return name not in ("litellm", "outages") or bool(arguments.litellm)


def _measured(cases: list[Case], cores: Cores, arguments: argparse.Namespace) -> list[Result]:
    runs = arguments.runs or (3 if arguments.quick else 5)
    results = []
    pin(cores.provider)  # the provider inherits it; the sides choose for themselves
    with FakeProviderProcess() as provider:
        for case in cases:
            provider.script("gpt-4o", _SCRIPTS[case.answer])
            ours, theirs = (_side(name, case, provider.base_url, cores) for name in (case.ours, case.theirs))
            if ours is None or theirs is None:
                continue
            calls = case.calls // _QUICK if arguments.quick else case.calls
            with ours, theirs:
                results.append(compare(case, ours, theirs, runs=runs, calls=calls))
            print(f"  {case.name}: {results[-1].ratio:.2f}", file=sys.stderr)
    return results


def _suffered() -> list[Suffered]:
    """The outages, on both sides; none where LiteLLM can't be had."""
    try:
        python = environment()
    except RuntimeError as error:
        print(f"LiteLLM is skipped: {error}", file=sys.stderr)
        return []
    return list(suffered({"lanewise": Path(sys.executable), "litellm": python}))


def _side(name: str, case: Case, url: str, cores: Cores) -> Side | None:
    rest = [url, str(case.at_once), "" if cores.side is None else str(cores.side)]
    if name != "litellm":
        return Side([sys.executable, "-m", "benchmarks.sides", name, *rest])
    try:
        python = environment()
    except RuntimeError as error:
        print(f"LiteLLM is skipped: {error}", file=sys.stderr)
        return None
    return Side([str(python), "-m", "benchmarks.litellm_peer", *rest])


def _print_table(results: list[Result], cost: ImportCost | None) -> None:
    rows = [("name", "what", "against", "us", "us", "ratio", "lowest-highest", "to hold", "")]
    rows += [
        (
            result.case.name,
            result.case.what,
            result.case.against,
            f"{result.ours_us:.0f}",
            f"{result.theirs_us:.0f}",
            f"{result.ratio:.3f}",
            f"{result.lowest:.2f}-{result.highest:.2f}",
            f"<= {result.case.hold:.2f}",
            _held(result.holds),
        )
        for result in results
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    if results:
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        print("CPU time a call, ours and theirs; the ratio is the median of the runs' ratios.")
    if cost is not None:
        print(
            f"import lanewise beyond import openai: {cost.cpu_ms:.0f} ms CPU ({cost.wall_ms:.0f} ms in all), "
            f"to hold <= {HOLD_MS:.0f} ms {_held(cost.cpu_ms <= HOLD_MS)}; {cost.megabytes:.1f} MB, "
            f"to hold <= {HOLD_MB:.0f} MB {_held(cost.megabytes <= HOLD_MB)}; {cost.modules} modules"
        )


def _held(holds: bool) -> str:
    return "holds" if holds else "FALLS SHORT"


def _as_data(results: list[Result], cost: ImportCost | None, outages: list[Suffered]) -> dict[str, object]:
    return {
        "machine": machine(),
        "ratios": [
            {
                "name": result.case.name,
                "ours_us": result.ours_us,
                "theirs_us": result.theirs_us,
                "ratio": result.ratio,
                "lowest": result.lowest,
                "highest": result.highest,
                "hold": result.case.hold,
                "holds": result.holds,
            }
            for result in results
        ],
        "import": None if cost is None else asdict(cost),
        "outages": [
            {
                "name": each.outage.name,
                "side": each.side,
                "calls": each.outage.calls,
                "answered": each.answered,
                "sends": each.sends,
                "seconds": each.seconds,
            }
            for each in outages
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
