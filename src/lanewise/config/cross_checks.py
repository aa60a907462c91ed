"""What the names in a config refer to, and what can't work together: the checks that look at more than one table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final

from lanewise.config.budgets import Budget, Unit, nano_usd
from lanewise.config.clients import Client
from lanewise.config.durations import duration_text
from lanewise.config.mistakes import MistakeCollector, Place, nearest, quoted
from lanewise.config.models import Provider, Route, RouterSettings, SensitiveCategory, Task, approved_routes
from lanewise.config.parsing import PLACEHOLDER_PROVIDER, Sections
from lanewise.config.prices import least_cost
from lanewise.config.store import MEMORY, wrong_with_store_url
from lanewise.config.weak_keys import guessable
from lanewise.types import LaneName

__all__ = ["check_references"]

SHORTEST_LANE = 1.0
"""Seconds: a deadline needs at least this for each lane, or a later lane never gets its turn."""

_FAMILIES: Final = (
    ("gpt-5.5-mini", "gpt-4o", "openai/gpt-5.5"),
    ("o4-mini",),
    ("claude-sonnet-4-6", "anthropic/claude-opus-4.1"),
    ("gemini-3-pro", "google/gemini-2.5-flash"),
    ("llama3.2", "meta-llama/Llama-3.3-70B-Instruct"),
    ("mistral-large-2512", "ministral-8b", "codestral"),
    ("qwen3-235b-a22b", "Qwen/Qwen3-32B"),
    ("deepseek-v3.2", "deepseek-ai/DeepSeek-R1"),
    ("grok-4",),
    ("command-r-plus",),
    ("phi-4",),
    ("x",),
)
"""Of unrelated models. Nobody names more than two of these for one route by intention."""
_WILDCARD: Final = re.compile(r"\[.[^\]]*\]|[*?]")
"""In a glob: a set of characters, or a star or question mark."""
_LEAST_TOKENS: Final = 2
"""A call takes one token in and one out, at the least."""


def check_references(sections: Sections, findings: MistakeCollector) -> None:
    """Note in ``findings`` each name that refers to nothing, and each rule that can't be kept."""
    _check_anything_there(sections, findings)
    for name, provider in sections.providers.items():
        _check_provider(("providers", name), provider, findings)
    for name, route in sections.routes.items():
        if route.provider != PLACEHOLDER_PROVIDER:
            _known(("routes", name, "provider"), "provider", route.provider, sections.declared["providers"], findings)
        for other in route.same_as:
            _known(("routes", name, "same_as"), "route", other, sections.declared["routes"], findings)
    for name, category in sections.sensitive.items():
        _check_category(("sensitive", name), category, sections, findings)
        _check_names(name, category, sections, findings)
    for name, task in sections.tasks.items():
        _check_task(("tasks", name), task, sections, findings)
    for pattern, wanted in sections.endpoints.items():
        _known(("endpoints", pattern), "sensitive category", wanted, sections.declared["sensitive"], findings)
    for name, client in sections.clients.items():
        _check_client(("clients", name), client, sections, findings)
    _check_client_keys(sections, findings)
    for name, budget in sections.budgets.items():
        _check_budget(("budgets", name), budget, sections, findings)
    _check_state(sections.router.state, findings)
    _check_replay(sections.router, findings)
    _, colon, wanted = sections.router.undeclared.partition(":")
    if colon:
        _known(("router", "undeclared"), "sensitive category", wanted, sections.declared["sensitive"], findings)


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


def _known(place: Place, what: str, name: str, declared: frozenset[str], findings: MistakeCollector) -> None:
    if name not in declared:
        findings.add(place, f"no {what} is called {quoted(name)}", nearest(name, declared) or f"No {what} is declared.")


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


def _check_category(place: Place, category: SensitiveCategory, sections: Sections, findings: MistakeCollector) -> None:
    for key, routes in (("routes", category.routes), ("review_routes", category.review_routes)):
        for route in routes:
            _known((*place, key), "route", route, sections.declared["routes"], findings)
    if not category.routes and category.on_failure == "fail" and not findings.has((*place, "routes")):
        findings.add((*place, "routes"), "no route may answer", "Name the approved routes.")
    if category.on_failure == "review":
        _check_review((*place, "on_failure"), sections, findings)
    elif category.review_routes:
        findings.add((*place, "review_routes"), "nothing is reviewed", 'Set on_failure = "review", or leave it out.')


def _check_names(name: str, category: SensitiveCategory, sections: Sections, findings: MistakeCollector) -> None:
    """A sensitive call counts only the model that was asked for: a route that takes any name says nothing of it."""
    for route in (*category.routes, *category.review_routes):
        patterns = sections.routes[route].answers_as if route in sections.routes else ()
        place = ("routes", route, "answers_as")
        if _take_anything(patterns) and not findings.has(place):
            listed = ", ".join(quoted(each) for each in patterns)
            findings.add(
                place,
                f"{listed} takes almost any model for the right one, and {quoted(name)} relies on the route",
                "Name the models that it may answer as.",
            )


def _take_anything(patterns: Sequence[str]) -> bool:
    """Whether globs name no models: one has next to no text of its own, or together they match unrelated ones."""
    if any(max(map(len, _WILDCARD.split(each))) < 2 for each in patterns if _WILDCARD.search(each)):
        return True
    families = [
        family for family in _FAMILIES if any(fnmatchcase(model, each) for model in family for each in patterns)
    ]
    return len(families) > 2


def _check_review(place: Place, sections: Sections, findings: MistakeCollector) -> None:
    """A case is kept in the ledger's database, and its texts only encrypted: both must be there."""
    if sections.router.ledger is None and not findings.has(("router", "ledger")):
        fix = 'Under [router] write ledger = "sqlite:///lanewise.db", or a PostgreSQL for more than one machine.'
        findings.add(place, "a case for a person needs a database, and there is no ledger", fix)
    if sections.router.storage_key_env is None and not findings.has(("router", "storage_key_env")):
        fix = 'Under [router] write storage_key_env = "STORAGE_KEY", and set that variable where the app runs.'
        findings.add(place, "a case for a person is stored encrypted, and there is no key for that", fix)


def _check_task(place: Place, task: Task, sections: Sections, findings: MistakeCollector) -> None:
    seen: set[str] = set()
    for lane in task.lanes:
        for route in lane.routes:
            _known((*place, lane.name.value), "route", route, sections.declared["routes"], findings)
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
    _known((*place, "sensitive"), "sensitive category", task.sensitive, sections.declared["sensitive"], findings)
    category = sections.sensitive.get(task.sensitive)
    if category is None or not category.routes or not task.routes:
        return
    if not set(task.routes) & set(category.routes):
        findings.add(
            (*place, "sensitive"),
            f"no route of the task is approved for {quoted(task.sensitive)}",
            f"Give the task one of: {', '.join(category.routes)}.",
        )


def _check_client(place: Place, client: Client, sections: Sections, findings: MistakeCollector) -> None:
    for name in client.tasks or ():
        _known((*place, "tasks"), "task", name, sections.declared["tasks"], findings)
    if client.sensitive is None:
        return
    _known((*place, "sensitive"), "sensitive category", client.sensitive, sections.declared["sensitive"], findings)
    for name in client.tasks or ():
        if (task := sections.tasks.get(name)) is not None and not _may_be_answered(client.sensitive, task, sections):
            problem = f"no route of the task {quoted(name)} is approved for {quoted(client.sensitive)}"
            findings.add((*place, "tasks"), problem, "Leave the task out, or give it an approved route.")


def _may_be_answered(mark: str, task: Task, sections: Sections) -> bool:
    """Whether some route of a task is approved for all that its calls would fall under."""
    marks = {mark} if task.sensitive is None else {mark, task.sensitive}
    categories = [sections.sensitive[each] for each in marks if each in sections.sensitive]
    if any(category.on_failure == "review" for category in categories) or len(categories) < len(marks):
        return True  # it is left to a person, or is a mistake that is told already
    return not approved_routes(categories).isdisjoint(task.routes)


def _check_client_keys(sections: Sections, findings: MistakeCollector) -> None:
    """One key is one client's, and nobody must be able to guess it from a list of words."""
    owners: dict[str, str] = {}
    for name, client in sections.clients.items():
        for digest in client.key:
            if owners.setdefault(digest, name) != name:
                findings.add(("clients", name, "key"), f"{quoted(owners[digest])} has the same key", "Give each one.")
    if not owners:
        return
    digests = {digest.removeprefix("sha256:"): name for digest, name in owners.items()}
    for digest in guessable(frozenset(digests), (*sections.clients, *sections.tasks, *sections.sensitive)):
        findings.add(
            ("clients", digests[digest], "key"),
            "this is the digest of a text that anybody would guess",
            "`lanewise keys create NAME` makes a key of 256 random bits, and prints the line that belongs here.",
        )


def _check_budget(place: Place, budget: Budget, sections: Sections, findings: MistakeCollector) -> None:
    """Note what a budget names that is not there, and what of it can't be kept."""
    declared = sections.declared["tasks"]
    for task in budget.tasks or ():
        if task not in declared:
            fix = nearest(task, declared) or "No task is declared."
            findings.add((*place, "tasks"), f"no task is called {quoted(task)}", fix)
    covered = {name: task for name, task in sections.tasks.items() if budget.covers(name)}
    _check_lane(place, budget, covered, findings)
    if budget.limit.unit is Unit.TOKENS and budget.limit.amount < _LEAST_TOKENS:
        findings.add((*place, "limit"), "no call takes as little: one token in, one out", "Give it more.")
    if budget.limit.unit is Unit.USD:
        _check_prices(place, budget, covered, sections, findings)


def _check_lane(place: Place, budget: Budget, covered: dict[str, Task], findings: MistakeCollector) -> None:
    if budget.lane is None:
        return
    without = [name for name, task in covered.items() if budget.lane not in {lane.name for lane in task.lanes}]
    if without and (budget.tasks is not None or len(without) == len(covered)):
        findings.add(
            (*place, "over"),
            f"no call can go on there: of {', '.join(map(quoted, without))} there is no {budget.lane.value} lane",
            'Write over = "refuse", or declare that lane.',
        )


def _check_prices(
    place: Place, budget: Budget, covered: dict[str, Task], sections: Sections, findings: MistakeCollector
) -> None:
    names = dict.fromkeys(route for task in covered.values() for route in task.routes)
    routes = [sections.routes[name] for name in names if name in sections.routes]
    if not routes or any(route.provider not in sections.providers for route in routes):
        return  # there is a mistake about that already
    costs = [cost for route in routes if (cost := _least_cost(route, sections)) is not None]
    if not costs:
        findings.add(
            (*place, "limit"),
            f"a limit in USD, and the price of none of {', '.join(names)} is known",
            "Give one of these routes its `price = { input = ..., output = ... }`, or count tokens or calls.",
        )
    elif nano_usd(min(costs)) > budget.limit.amount:
        findings.add(
            (*place, "limit"), f"no route can keep to {budget.limit}: the smallest call costs more", "Give it more."
        )


def _least_cost(route: Route, sections: Sections) -> float | None:
    return least_cost(route.price, route.model, sections.providers[route.provider].base_url)
