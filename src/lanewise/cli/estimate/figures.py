"""The figures of an estimate: tokens, cost and fit of the samples on each route of a task."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from lanewise._openai.tokens import TokenCount, count_body
from lanewise._openai.usage.usage import Usage
from lanewise._prices.price import ComputedCost, Price
from lanewise._prices.price_book import asked_tier, context_window, price_of
from lanewise._transform.request_transform import RequestTransform
from lanewise.cli.estimate.samples import RecordedSample
from lanewise.config import Config, Route, Task
from lanewise.types import Api, LaneName

__all__ = ["DAYS_A_MONTH", "EstimatedLoad", "RouteFigures", "figures"]

DAYS_A_MONTH: Final = 30


class EstimatedLoad(msgspec.Struct, frozen=True):
    """The load to estimate for. ``output_tokens`` is the length of an answer, ``None`` if it was not given."""

    api: Api
    samples: Sequence[RecordedSample]
    requests_per_day: float
    output_tokens: int | None

    @property
    def answers_known(self) -> bool:
        return self.output_tokens is not None or self.api is Api.EMBEDDINGS

    def output(self, sample: RecordedSample) -> int:
        """The tokens of the answers to one sample, as far as they are known."""
        return 0 if self.api is Api.EMBEDDINGS else (self.output_tokens or 0) * sample.answers


class RouteFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one route over the samples. Tokens are those of the input; costs are in US dollars.

    ``not_used`` says why the task never goes there; then there are no figures. ``incapable`` says why some samples are
    left out, and how many. ``covered`` is whether the price is that of the service tier that is asked for.
    """

    lane: LaneName
    route: str
    model: str
    not_used: str | None = None
    incapable: tuple[tuple[str, int], ...] = ()
    mean: TokenCount | None = None
    p95: TokenCount | None = None
    most: TokenCount | None = None
    usd_per_1000_calls: float | None = None
    usd_per_month: float | None = None
    covered: bool = True
    context_window: int | None = None
    too_long: int | None = None


def figures(config: Config, task: Task, load: EstimatedLoad) -> Iterator[RouteFigures]:
    """The figures of each route, in the order of the lanes."""
    for lane in task.lanes:
        for name in lane.routes:
            yield _figures(config, task, lane.name, name, load)


def _figures(config: Config, task: Task, lane: LaneName, name: str, load: EstimatedLoad) -> RouteFigures:
    route = config.routes[name]
    provider = config.providers[route.provider]
    window = context_window(route, provider)
    bare = RouteFigures(lane=lane, route=name, model=route.model, context_window=window)
    if task.sensitive is not None and name not in config.sensitive[task.sensitive].routes:
        return msgspec.structs.replace(bare, not_used=f"not approved for {task.sensitive}")
    recipe = RequestTransform(route)
    refused: dict[str, int] = {}
    taken: list[tuple[RecordedSample, TokenCount]] = []
    for sample in load.samples:
        reason = recipe.incapable(sample.body, load.api)
        if reason is None:
            taken.append((sample, _input_tokens(recipe, sample, load.api, (route.model, *route.answers_as))))
        else:
            refused[reason] = refused.get(reason, 0) + 1
    if not taken:
        return msgspec.structs.replace(bare, not_used="; ".join(refused))
    counts = sorted(count.tokens for _, count in taken)
    exact = all(count.exact for _, count in taken)
    cost = _mean_cost(route, price_of(route, provider), taken, load)
    return msgspec.structs.replace(
        bare,
        incapable=tuple(refused.items()),
        mean=TokenCount(round(sum(counts) / len(counts)), exact),
        p95=TokenCount(counts[math.ceil(0.95 * len(counts)) - 1], exact),
        most=TokenCount(counts[-1], exact),
        usd_per_1000_calls=None if cost is None else cost.usd * 1000,
        usd_per_month=None if cost is None else cost.usd * load.requests_per_day * DAYS_A_MONTH,
        covered=cost is None or cost.covered,
        too_long=None if window is None else sum(_needs(sample, count, load) > window for sample, count in taken),
    )


def _input_tokens(recipe: RequestTransform, sample: RecordedSample, api: Api, names: Sequence[str]) -> TokenCount:
    """Counted as the route would get it. The encoding follows from the model's name, or from ``answers_as``."""
    body = msgspec.json.decode(recipe.render(sample.body, api).raw, type=dict[str, object])
    counts = [count_body(body, api, name) for name in names]
    return min(counts, key=lambda count: not count.exact)


def _mean_cost(
    route: Route, price: Price | None, taken: Sequence[tuple[RecordedSample, TokenCount]], load: EstimatedLoad
) -> ComputedCost | None:
    """The cost of a call. By the sample: prices have tiers, and a mean prompt pays none of the dear ones."""
    if price is None:
        return None
    now = datetime.now(UTC)
    costs = []
    for sample, count in taken:
        tier = asked_tier(route, sample.body)
        usage = Usage(input_tokens=count.tokens, output_tokens=load.output(sample), service_tier=tier)
        cost = price.reckon(usage, now)
        if cost is None:
            return None
        costs.append(cost)
    return ComputedCost(sum(cost.usd for cost in costs) / len(costs), all(cost.covered for cost in costs))


def _needs(sample: RecordedSample, count: TokenCount, load: EstimatedLoad) -> int:
    """The tokens of a window that a sample takes: question and answer."""
    return count.tokens + max(load.output_tokens or 0, sample.cap or 0)
