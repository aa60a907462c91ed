"""``lanewise check --live``: asks each route one tiny question, and reports what it answered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lanewise._routing.model_match import is_substitute
from lanewise.config import Config, ConfigError, Provider, Route, Task
from lanewise.config.tables.lanes import Lane, LaneEntry
from lanewise.types import Api, Attempt, Call, FailureKind, LaneName

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["Found", "announcement", "ask_routes"]

AT_ONCE: Final = 8
"""Routes that are asked at a time."""
MOST_TOKENS: Final = 64
"""Tokens that an answer may cost. A model that reasons may use them up and say nothing, which is an answer too."""

_TASK: Final = "check"
_QUESTION: Final = "Reply with the word OK."
_TRIED: Final[Mapping[Api, Mapping[str, object]]] = {
    Api.CHAT: {"max_tokens": MOST_TOKENS, "temperature": 0, "seed": 1},
    Api.RESPONSES: {"max_output_tokens": MOST_TOKENS, "temperature": 0},
    Api.EMBEDDINGS: {},
}
"""Parameters that are sent with the question, to see whether the route takes them."""
_TO_DO: Final = {
    FailureKind.UNREACHABLE: "look at `base_url`, the network and the proxy",
    FailureKind.CONFIG: "look at `base_url`: its certificate, its path, or a redirect",
    FailureKind.MODEL_MISSING: "look at `model` and at the path of `base_url`: this key sees no such model there",
    FailureKind.QUOTA: "the account has no credit left",
    FailureKind.RATE_LIMIT: "the provider limits the rate: try again later",
    FailureKind.TIMEOUT: "no answer within the route's `timeout`",
    FailureKind.BAD_RESPONSE: "look at `base_url`: what answers there does not speak OpenAI's language",
    FailureKind.OUTAGE: "the provider fails: try again later",
}


@dataclass(frozen=True, slots=True)
class Found:
    """The result of asking one route, as a ``text`` that follows the route's name.

    ``well``: it answers, or it is off, as the config allows.
    """

    route: str
    well: bool
    text: str


def announcement(config: Config, off: Mapping[str, str]) -> str:
    """What will be sent, for the question whether to send it. ``off`` are the routes that have no key, and why."""
    count = len(config.routes.keys() - off.keys())
    routes = (
        "1 route gets one tiny question: 1 request"
        if count == 1
        else (f"{count} routes get one tiny question each: {count} requests")
    )
    return f"{routes}, and one more for each parameter that a route refuses."


async def ask_routes(config: Config, off: Mapping[str, str]) -> list[Found]:
    """Ask every route of a config that is not ``off``, by the keys that are set here. The router records
    nothing, and no result has a key in it."""
    log = logging.getLogger("lanewise")
    quiet = logging.NullHandler()  # the results have what the router would warn of
    log.addHandler(quiet)
    room = asyncio.Semaphore(AT_ONCE)

    async def ask(route: Route) -> Found:
        if route.name in off:
            return Found(route.name, True, f"off, and not asked: {off[route.name]}")
        async with room:
            return await _ask(config, route)

    try:
        return list(await asyncio.gather(*(ask(route) for route in config.routes.values())))
    finally:
        log.removeHandler(quiet)


async def _ask(config: Config, route: Route) -> Found:
    """Ask one route, through a router of its own: no other route's failure may keep it from being asked."""
    from openai import OpenAIError  # only this command needs them

    from lanewise.router import Router

    api = route.api[0]
    parameters = {name: value for name, value in _TRIED[api].items() if name not in route.drop}
    refused: list[str] = []
    provider = config.providers[route.provider]
    try:
        async with Router(_alone(config, route, provider)) as router:
            with router.scope() as scope:
                while True:
                    try:
                        dimensions = await _QUESTIONS[api](scope.async_openai, parameters)
                    except OpenAIError as error:
                        parameter = getattr(error, "param", None)
                        if parameter in parameters and _last(scope.calls).failure is FailureKind.UNSUPPORTED_PARAMETER:
                            del parameters[parameter]
                            refused.append(parameter)
                            continue
                        return Found(route.name, False, _failed(provider, scope.calls[-1]))
                    last = _last(scope.calls)
                    refused += [name for name in last.dropped if name in parameters]
                    return Found(route.name, True, _answered(route, api, last, refused, dimensions))
    except ConfigError as error:
        return Found(route.name, False, f"not asked: {error.mistakes[0].problem}. {error.mistakes[0].fix}".rstrip())


def _alone(config: Config, route: Route, provider: Provider) -> Config:
    """A config of this route alone, without repeats, and without anything that keeps a record."""
    lane = Lane(name=LaneName.PRIMARY, entries=(LaneEntry(route=route.name),))
    never = dict.fromkeys(FailureKind, 0)
    return Config(
        providers={provider.name: provider.model_copy(update={"optional": False, "rpm": None, "tpm": None})},
        routes={route.name: route.model_copy(update={"same_as": ()})},
        tasks={_TASK: Task(name=_TASK, primary=lane, deadline=max(60.0, route.timeout * 2), retries=never)},
        router={"proxy": config.router.proxy},
    )


async def _ask_chat(client: AsyncOpenAI, parameters: Mapping[str, object]) -> int | None:
    messages = [{"role": "user", "content": _QUESTION}]
    await client.chat.completions.create(model=_TASK, messages=messages, **parameters)  # type: ignore[call-overload]
    return None


async def _ask_responses(client: AsyncOpenAI, parameters: Mapping[str, object]) -> int | None:
    await client.responses.create(model=_TASK, input=_QUESTION, **parameters)  # type: ignore[call-overload]
    return None


async def _ask_embeddings(client: AsyncOpenAI, parameters: Mapping[str, object]) -> int | None:
    reply = await client.embeddings.create(model=_TASK, input=_QUESTION)
    return len(reply.data[0].embedding)


_QUESTIONS: Final[Mapping[Api, Callable[[AsyncOpenAI, Mapping[str, object]], Awaitable[int | None]]]] = {
    Api.CHAT: _ask_chat,
    Api.RESPONSES: _ask_responses,
    Api.EMBEDDINGS: _ask_embeddings,
}


def _last(calls: Sequence[Call]) -> Attempt:
    return calls[-1].attempts[-1]


def _answered(route: Route, api: Api, last: Attempt, refused: Sequence[str], dimensions: int | None) -> str:
    parts = [f"answers {api} in {(last.total_ms or 0) / 1000:.2f} s"]
    if dimensions is not None:
        parts[0] += f" with {dimensions} dimensions"
    answered = last.model_answered
    if not is_substitute(route.model, answered, route.answers_as):
        parts.append(f"as {answered}")
    elif answered is None:
        parts.append("and does not say as which model: a sensitive call would take that for a swapped one")
    else:
        parts.append(
            f"as {answered}, not as {route.model}: a sensitive call would take that for a swapped model "
            f'(if it is none: answers_as = ["{answered}"])'
        )
    return "; ".join([" ".join(parts), *(_refusal(name) for name in refused)])


def _refusal(name: str) -> str:
    if name == "max_output_tokens":
        return f"refuses {name}: calls that set it skip this route"
    if name == "max_tokens":
        return f'refuses {name}: a route that takes another name says rename = {{ {name} = "max_completion_tokens" }}'
    return f'refuses {name}: drop = ["{name}"] saves the refusal'


def _failed(provider: Provider, call: Call) -> str:
    if not call.attempts:
        return f"can't answer: {call.failure}"
    last = call.attempts[-1]
    parts = [str(last.failure)]
    if last.http_status is not None:
        parts.append(f"HTTP {last.http_status}")
    if last.provider_error_code:
        parts.append(last.provider_error_code)
    if last.detail:
        parts.append(last.detail)
    to_do = _TO_DO.get(last.failure) if last.failure is not None else None
    if last.failure is FailureKind.AUTH:
        to_do = f"look at the key{f' in {provider.api_key_env}' if provider.api_key_env else ''}"
    return f"can't answer: {', '.join(parts)}" + (f". To do: {to_do}" if to_do else "")
