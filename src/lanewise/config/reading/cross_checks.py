"""What the names in a config refer to, and what can't work together: the checks that look at more than one table."""

from __future__ import annotations

from lanewise.config.environment.store_address import MEMORY, wrong_with_store_url
from lanewise.config.mistakes import MistakeCollector, Place, quoted
from lanewise.config.reading.budget_checks import check_budget
from lanewise.config.reading.client_checks import check_client, check_client_keys
from lanewise.config.reading.sections import PLACEHOLDER_PROVIDER, Sections
from lanewise.config.reading.sensitive_checks import check_category
from lanewise.config.tables.providers import Provider
from lanewise.config.tables.router import RouterSettings
from lanewise.config.tables.tasks import Task
from lanewise.config.values.durations import duration_text
from lanewise.types import LaneName

__all__ = ["check_references"]

SHORTEST_LANE = 1.0
"""Seconds: a deadline needs at least this for each lane, or a later lane never gets its turn."""


def check_references(sections: Sections, findings: MistakeCollector) -> None:
    """Note in ``findings`` each name that refers to nothing, and each rule that can't be kept."""
    _check_anything_there(sections, findings)
    for name, provider in sections.providers.items():
        _check_provider(("providers", name), provider, findings)
    for name, route in sections.routes.items():
        if route.provider != PLACEHOLDER_PROVIDER:
            findings.expect_declared(
                ("routes", name, "provider"), "provider", route.provider, sections.declared["providers"]
            )
        for other in route.same_as:
            findings.expect_declared(("routes", name, "same_as"), "route", other, sections.declared["routes"])
    for name, category in sections.sensitive.items():
        check_category(name, category, sections, findings)
    for name, task in sections.tasks.items():
        _check_task(("tasks", name), task, sections, findings)
    for pattern, wanted in sections.endpoints.items():
        findings.expect_declared(("endpoints", pattern), "sensitive category", wanted, sections.declared["sensitive"])
    for name, client in sections.clients.items():
        check_client(("clients", name), client, sections, findings)
    check_client_keys(sections, findings)
    for name, budget in sections.budgets.items():
        check_budget(("budgets", name), budget, sections, findings)
    _check_state(sections.router.state, findings)
    _check_replay(sections.router, findings)
    _, colon, wanted = sections.router.undeclared.partition(":")
    if colon:
        findings.expect_declared(("router", "undeclared"), "sensitive category", wanted, sections.declared["sensitive"])


def _check_state(state: str, findings: MistakeCollector) -> None:
    if state == MEMORY or state.startswith("env:"):
        return
    if (problem := wrong_with_store_url(state)) is not None:
        findings.add(("router", "state"), problem, 'It is "memory", "redis://...", "rediss://..." or "env:STORE_URL".')


def _check_replay(router: RouterSettings, findings: MistakeCollector) -> None:
    if router.replay is not None and router.storage_key_env is None and not findings.has(("router", "storage_key_env")):
        findings.add(
            ("router", "replay"),
            "the answers are stored encrypted, and no key is named",
            'Name the variable that has it: storage_key_env = "STORAGE_KEY".',
        )


def _check_anything_there(sections: Sections, findings: MistakeCollector) -> None:
    for section, example in (
        ("providers", "[providers.openai]"),
        ("routes", '[routes.main] with provider = "openai" and model = "..."'),
        ("tasks", '[tasks.chat] with primary = "main"'),
    ):
        if not sections.declared[section] and not findings.has((section,)):
            findings.add((section,), "none is declared", f"Write at least one: {example}.")


def _check_provider(place: Place, provider: Provider, findings: MistakeCollector) -> None:
    if not provider.base_url and not findings.has((*place, "base_url")):
        findings.add((*place, "base_url"), "`base_url` is missing", 'It looks like "https://api.openai.com/v1".')
    if provider.api_key is not None and provider.api_key_env is not None:
        findings.add((*place, "api_key"), "the key is given twice", "Give `api_key` or `api_key_env`, not both.")
    for header in provider.headers:
        if header.lower() == provider.auth_header.lower():
            findings.add((*place, "headers"), f"the header {quoted(header)} is the key's", "Leave it out here.")


def _check_task(place: Place, task: Task, sections: Sections, findings: MistakeCollector) -> None:
    seen: set[str] = set()
    for lane in task.lanes:
        for route in lane.routes:
            findings.expect_declared((*place, lane.name.value), "route", route, sections.declared["routes"])
            if route in seen:
                problem = f"the route {quoted(route)} is in the task twice"
                findings.add((*place, lane.name.value), problem, "Name it once.")
            seen.add(route)
    _check_deadline(place, task, findings)
    _check_sensitive(place, task, sections, findings)
    _check_start(place, task, findings)
    if task.sticky == "subject" and task.select != "weight":
        problem = f"calls that stick to a route can't select the {task.select} one"
        if task.select == "order":
            problem = "calls that stick to a route are shared out by weight, not by order"
        findings.add((*place, "sticky"), problem, 'Set select = "weight", or leave `sticky` out.')


def _check_start(place: Place, task: Task, findings: MistakeCollector) -> None:
    if task.start is None:
        return
    wanted = (task.start,) if isinstance(task.start, LaneName) else tuple(rule.lane for rule in task.start)
    for lane in dict.fromkeys(wanted):
        if lane not in {lane.name for lane in task.lanes}:
            findings.add((*place, "start"), f"the task has no {lane.value} lane", "Start in a lane that it has.")


def _check_deadline(place: Place, task: Task, findings: MistakeCollector) -> None:
    needed = SHORTEST_LANE * len(task.lanes)
    if task.deadline < needed:
        findings.add(
            (*place, "deadline"),
            f"{duration_text(task.deadline)} can never fit {len(task.lanes)} "
            + ("lane" if len(task.lanes) == 1 else "lanes"),
            f"Give it at least {duration_text(needed)}, a second for each lane.",
        )


def _check_sensitive(place: Place, task: Task, sections: Sections, findings: MistakeCollector) -> None:
    if task.sensitive is None:
        return
    findings.expect_declared(
        (*place, "sensitive"), "sensitive category", task.sensitive, sections.declared["sensitive"]
    )
    category = sections.sensitive.get(task.sensitive)
    if category is None or not category.routes or not task.routes:
        return
    if not set(task.routes) & set(category.routes):
        findings.add(
            (*place, "sensitive"),
            f"no route of the task is approved for {quoted(task.sensitive)}",
            f"Give the task one of: {', '.join(category.routes)}.",
        )
