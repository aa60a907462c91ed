"""The warnings of ``lanewise check``: what a config may have and probably does not mean."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from functools import cache
from typing import Final

from lanewise.config import Config, Provider, Route, Task, duration_text
from lanewise.config.deadline_budget import deadline_alone, reserve
from lanewise.config.environment.store_address import MEMORY
from lanewise.config.tables.budgets import Unit
from lanewise.types import Api

__all__ = ["warnings_of"]

_ENDPOINTS: Final = ("/chat/completions", "/completions", "/responses", "/embeddings", "/models")
"""Paths that the SDK itself appends to a base URL."""
_OF_OTHERS: Final = frozenset({
    "top_k", "top_a", "min_p", "typical_p", "repetition_penalty", "min_tokens", "num_ctx", "think", "thinking",
    "enable_thinking", "reasoning", "reasoning_format", "chat_template_kwargs", "safe_prompt", "random_seed",
    "guided_json", "guided_regex", "guided_choice", "guided_grammar", "transforms", "models", "provider", "plugins",
    "include_reasoning", "cache_prompt", "grammar", "keep_alive", "options", "search_parameters", "extra_body",
})  # fmt: skip
"""Parameters of other providers than OpenAI."""
_ALIKE: Final = 0.8


def warnings_of(config: Config) -> Iterator[str]:
    """The warnings, each with its place in the config."""
    for name, task in config.tasks.items():
        yield from _short_deadline(name, task, config)
        yield from _contradicted(name, task, config)
        yield from _unknown_prices(name, task, config)
        yield from _out_of_reach(name, task)
        yield from _never_hedged(name, task)
    for provider in config.providers.values():
        yield from _wrong_base_url(provider)
    for route in config.routes.values():
        yield from _odd_parameters(route)
    yield from _unfilled_budgets(config)
    yield from _unpriced_routes(config)
    yield from _small_budgets(config)
    if "keep" in config.router.model_fields_set and config.router.ledger is None:
        yield 'router.keep: there is no ledger, so nothing is kept: ledger = "sqlite:///lanewise.db"'
    yield from _literal_patterns(config)
    yield from (f"{place}: declared, but this version does not carry it out yet" for place in config.not_yet())
    yield from _unused(config)


def _literal_patterns(config: Config) -> Iterator[str]:
    for pattern in config.endpoints:
        if any(sign in pattern for sign in "[]?"):
            yield f'endpoints."{pattern}": only * has a meaning of its own there: all else stands for itself'


def _contradicted(name: str, task: Task, config: Config) -> Iterator[str]:
    """System suffixes that don't mention the JSON that the task's contract wants."""
    if task.contract is None or task.contract.source is None:
        return
    for route in (config.routes[route] for route in task.routes):
        if route.system_suffix is not None and "json" not in route.system_suffix.lower():
            yield (
                f"routes.{route.name}.system_suffix: it says nothing of the JSON that the contract of tasks.{name} "
                "wants: an answer that follows the text may break the contract"
            )


def _short_deadline(name: str, task: Task, config: Config) -> Iterator[str]:
    first = config.routes[task.primary.routes[0]]
    alone = len(task.routes) == 1
    if alone and "timeout" not in first.model_fields_set:
        return  # it gives way to the deadline
    deadline = deadline_alone(task) if alone else task.deadline
    reserved = reserve(deadline, len(task.lanes) - 1)
    if deadline < first.timeout + reserved:
        yield (
            f"tasks.{name}.deadline: {duration_text(deadline)} is shorter than the timeout of {first.name} "
            f"({duration_text(first.timeout)}) and what is kept for later lanes ({duration_text(reserved)}), "
            f"so {first.name} gets {duration_text(deadline - reserved)}"
        )


def _unknown_prices(name: str, task: Task, config: Config) -> Iterator[str]:
    if task.select != "cheapest":
        return
    from lanewise._prices.price_book import price_of

    for route in (config.routes[route] for route in task.routes):
        if price_of(route, config.providers[route.provider]) is None:
            yield f"tasks.{name}.select: the price of {route.name} is not known, so it goes last: give it a `price`"


def _unfilled_budgets(config: Config) -> Iterator[str]:
    """Budgets that can be spent twice: after a restart, or by workers that can't reach the store."""
    router = config.router
    for name, budget in config.budgets.items():
        if router.state != MEMORY:
            continue
        if router.ledger is None:
            yield (
                f"budgets.{name}: there is no ledger to tell after a restart what was spent before, so each begins it "
                'anew, and each worker has its own: [router] ledger = "sqlite:///lanewise.db", or a `state` to share'
            )
        elif budget.per == "subject" and router.secret_env is None:
            yield (
                f"budgets.{name}: the ledger does not tell subjects apart without `secret_env`, so each begins anew "
                "after a restart"
            )
        elif budget.per == "client":
            yield (
                f"budgets.{name}: the ledger does not tell clients apart, so each begins anew after a restart: a "
                "`state` to share keeps them"
            )
        elif budget.window > router.keep:
            yield f"budgets.{name}.window: the ledger keeps records for {duration_text(router.keep)} only"
    if config.budgets and router.state != MEMORY and router.expected_workers is None:
        yield (
            "router.expected_workers: not declared, so each worker that can't hear the store may spend a whole budget: "
            "say how many there are"
        )


def _unpriced_routes(config: Config) -> Iterator[str]:
    for name, budget in config.budgets.items():
        if budget.limit.unit is not Unit.USD:
            continue
        from lanewise._prices.price_book import price_of

        routes = {route: None for task in config.tasks if budget.covers(task) for route in config.tasks[task].routes}
        for route in (config.routes[route] for route in routes):
            if price_of(route, config.providers[route.provider]) is None:
                yield f"budgets.{name}: the price of {route.name} is not known, so it counts as the dearest that is"


def _small_budgets(config: Config) -> Iterator[str]:
    """Budgets smaller than what one call reserves, and budgets whose lane some of their tasks don't have."""
    from lanewise._budgets.budget_prices import ASSUMED_OUTPUT, BudgetPrices
    from lanewise._prices.price_book import PriceBook

    prices = BudgetPrices(config, PriceBook(config))
    for name, budget in config.budgets.items():
        tasks = [task for task in config.tasks.values() if budget.covers(task.name)]
        without = [task.name for task in tasks if budget.lane not in {None, *(lane.name for lane in task.lanes)}]
        if without:
            those = ", ".join(without)
            yield f"budgets.{name}.over: of {those} there is no {budget.lane} lane: calls beyond the limit are refused"
        for route in (config.routes[route] for route in dict.fromkeys(each for task in tasks for each in task.routes)):
            output = min(ASSUMED_OUTPUT, route.max_output or ASSUMED_OUTPUT)
            amount = {
                Unit.CALLS: 1,
                Unit.TOKENS: 0 if set(route.api) == {Api.EMBEDDINGS} else output,
                Unit.USD: prices.cost(budget, route.name, 0, output),
            }[budget.limit.unit]
            if amount > budget.limit.amount:
                yield (
                    f"budgets.{name}.limit: a call without `max_tokens` reserves {output} tokens out while nothing is "
                    f"known of its task, {budget.limit.shown(amount)} of {budget.limit} on {route.name}, and is not "
                    f"sent: raise the limit, or give {route.name} a `max_output`"
                )


def _never_hedged(name: str, task: Task) -> Iterator[str]:
    if task.hedge is None:
        return
    if task.sensitive is not None:
        yield f"tasks.{name}.hedge: sensitive calls are never hedged"
    elif len(task.routes) == 1:
        yield f"tasks.{name}.hedge: there is no other route for a second request, so nothing is hedged"


def _unused(config: Config) -> Iterator[str]:
    routes = {route for task in config.tasks.values() for route in task.routes}
    routes |= {route for category in config.sensitive.values() for route in category.review_routes}
    providers = {route.provider for route in config.routes.values()}
    categories = {task.sensitive for task in config.tasks.values()} | set(config.endpoints.values())
    categories.add(config.router.undeclared.removeprefix("sensitive:"))
    yield from (f"routes.{name}: no task uses it" for name in config.routes if name not in routes)
    yield from (f"providers.{name}: no route uses it" for name in config.providers if name not in providers)
    for name in config.sensitive:
        if name not in categories:
            yield f"sensitive.{name}: no task or endpoint in the file uses it (marks in the code may)"


def _wrong_base_url(provider: Provider) -> Iterator[str]:
    path = provider.base_url.rstrip("/")
    added = next((endpoint for endpoint in _ENDPOINTS if path.endswith(endpoint)), None)
    if added is not None:
        right = path.removesuffix(added)
        yield (
            f"providers.{provider.name}.base_url: it ends in {added}, which is added to it: a request would go to "
            f"{path}{added}. Write {right}"
        )


def _odd_parameters(route: Route) -> Iterator[str]:
    """Names in ``drop``, ``rename`` and ``set`` that are probably misspelt parameters."""
    for key, names in (("drop", route.drop), ("rename", tuple(route.rename)), ("set", tuple(route.set))):
        for name in names:
            if name in _known_parameters():
                continue
            alike = difflib.get_close_matches(name, _known_parameters(), n=1, cutoff=_ALIKE)
            if alike:
                yield f"routes.{route.name}.{key}: no parameter is called {name!r}. Did you mean {alike[0]!r}?"
    for name, other in route.rename.items():
        if name == other:
            yield f"routes.{route.name}.rename: {name} is renamed to itself, which changes nothing"


@cache
def _known_parameters() -> frozenset[str]:
    """The parameters of the SDK's methods, and some of other providers."""
    from openai.types.chat.completion_create_params import CompletionCreateParamsBase
    from openai.types.embedding_create_params import EmbeddingCreateParams
    from openai.types.responses.response_create_params import ResponseCreateParamsBase

    kinds = (CompletionCreateParamsBase, ResponseCreateParamsBase, EmbeddingCreateParams)
    return _OF_OTHERS.union(*(kind.__annotations__ for kind in kinds))


def _out_of_reach(name: str, task: Task) -> Iterator[str]:
    if task.patience > task.deadline:
        yield (
            f"tasks.{name}.patience: {duration_text(task.patience)} is longer than the deadline of "
            f"{duration_text(task.deadline)}, which ends the wait"
        )
    if len(task.routes) > task.max_attempts:
        late = ", ".join(task.routes[task.max_attempts :])
        yield (
            f"tasks.{name}: it has {len(task.routes)} routes, and a call makes {task.max_attempts} attempts at the "
            f"most (max_attempts): where all before fail, {late} is never asked"
        )
