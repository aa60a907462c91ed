"""The dashboard and the alert rules ask for metrics and labels that the code exports."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from docs.pages import DOCS
from lanewise._telemetry.prometheus import PrometheusSink

yaml: Any = pytest.importorskip("yaml", reason="of what builds the site")
DASHBOARD = json.loads((DOCS / "grafana/lanewise.json").read_text())
ALERTS = yaml.safe_load((DOCS / "prometheus/lanewise-alerts.yml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
WORDS = {"by", "sum", "max", "min", "count", "rate", "increase", "and", "or", "on", "offset", "vector", "without"}
WORDS |= {"histogram_quantile", "le", "unless", "avg", "ignoring", "clamp_max", "label_values"}


def exported() -> dict[str, set[str]]:
    """Each series that is exported, with its labels."""
    found = {}
    for metric in vars(PrometheusSink(CollectorRegistry())._of).values():
        (family,) = metric.describe()
        for suffix in SUFFIXES[family.type]:
            labels = set(metric._labelnames) | ({"le"} if suffix == "_bucket" else set())
            found[family.name + suffix] = labels
    return found


SERIES = exported()


def panels() -> Iterator[dict[str, Any]]:
    """All panels that show something."""
    yield from (panel for panel in DASHBOARD["panels"] if panel["type"] != "row")


def expressions() -> Iterator[tuple[str, str]]:
    """Each expression of both files, with where it stands."""
    for panel in panels():
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for note in DASHBOARD["annotations"]["list"]:
        yield note["name"], note["expr"]
    for rule in RULES:
        yield rule["alert"], rule["expr"]


def selectors(expression: str) -> list[tuple[str, set[str]]]:
    """The series that an expression asks for, each with the labels that it is picked by."""
    found = []
    for name, matchers in re.findall(r"\b(lanewise_\w+)\s*(?:\{([^}]*)\})?", expression):
        found.append((name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))))
    return found


def grouped_by(expression: str) -> set[str]:
    """The labels that its result is told apart by, of any of its parts."""
    return {label for labels in re.findall(r"\bby\s*\(([^)]*)\)", expression) for label in re.findall(r"\w+", labels)}


ALL = list(expressions())


@pytest.mark.parametrize(("where", "expression"), ALL, ids=[where for where, _ in ALL])
def test_each_expression_asks_for_what_is_there(where: str, expression: str) -> None:
    """By the names of the series, and by labels that they have."""
    picked = selectors(expression)
    assert picked
    labels: set[str] = set()
    for name, matched in picked:
        assert name in SERIES, f"{where} asks for {name}"
        assert matched <= SERIES[name], f"{where} picks {name} by {matched - SERIES[name]}"
        labels |= SERIES[name]
    assert grouped_by(expression) <= labels, where
    plain = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\$\w+|\b\d+[smhdw]\b', " ", expression)
    words = set(re.findall(r"[a-zA-Z_]\w*", plain))
    assert words <= WORDS | SERIES.keys() | labels, f"{where}: {words - WORDS - SERIES.keys() - labels}"
    assert expression.count("(") == expression.count(")")


def test_each_metric_is_shown() -> None:
    """One that the dashboard forgets is one that nobody looks at."""
    shown = {name for _, expression in ALL for name, _ in selectors(expression)}
    families = {re.sub(r"_(bucket|sum|count|total)$", "", name) for name in shown}
    assert {re.sub(r"_(bucket|sum|count|total)$", "", name) for name in SERIES} == families


def test_legends_name_labels_that_their_expressions_leave() -> None:
    """Else a legend is blank; so with the texts of alerts."""
    for panel in panels():
        for target in panel["targets"]:
            named = set(re.findall(r"\{\{\s*(\w+)\s*\}\}", target["legendFormat"]))
            assert named <= grouped_by(target["expr"]), panel["title"]
    for rule in RULES:
        texts = " ".join(rule["annotations"].values())
        assert set(re.findall(r"\$labels\.(\w+)", texts)) <= grouped_by(rule["expr"]), rule["alert"]


def test_the_dashboard_can_be_imported_anywhere() -> None:
    """It names no data source of its own; its variables are declared; no two panels share an id or a place."""
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    text = json.dumps(DASHBOARD)
    used = set(re.findall(r"\$\{?(\w+)", text)) - {"__rate_interval", "__all"}
    assert used == variables == {"datasource", "task"}
    assert set(re.findall(r'"uid": "([^"]*)"', text)) == {"${datasource}", "lanewise"}
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    for variable in DASHBOARD["templating"]["list"]:
        for name, label in re.findall(r"label_values\((\w+), (\w+)\)", variable.get("definition", "")):
            assert label in SERIES[name]


def test_each_alert_says_what_to_do_and_stands_in_the_guide() -> None:
    """With a summary, a description and a severity."""
    page = (DOCS / "guides/monitoring.md").read_text()
    for rule in RULES:
        assert f"`{rule['alert']}`" in page
        assert {"summary", "description"} <= rule["annotations"].keys()
        assert rule["labels"]["severity"] in ("warning", "critical")
    assert len({rule["alert"] for rule in RULES}) == len(RULES)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool here")
def test_prometheus_itself_takes_the_rules() -> None:
    """By its own tool, where that is installed."""
    done = subprocess.run(
        ["promtool", "check", "rules", str(DOCS / "prometheus/lanewise-alerts.yml")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
