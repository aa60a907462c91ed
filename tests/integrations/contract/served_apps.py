"""One app a framework with all the endpoints of the contract, its two providers, and how to ask it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from integrations.contract import actions, handovers
from integrations.contract.asking import Reply, get
from integrations.contract.fastapi import FastApiDriver
from integrations.contract.flask import FlaskDriver
from integrations.contract.harness import Action, AppPlan, Driver, EndpointSpec, Placement
from integrations.contract.litestar import LitestarDriver
from integrations.contract.starlette import StarletteDriver
from lanewise import Router
from lanewise.testing import FakeProvider

__all__ = ["DRIVERS", "ENDPOINTS", "NO_MEMORY", "ServedApp", "Stage", "config", "kept_app", "started"]

NO_MEMORY: Mapping[str, object] = {"breakers": False, "retry_tokens": 1e6}
"""What one test does to a provider's health is nothing to the next one in the same app."""

DRIVERS: Mapping[str, Driver] = {
    driver.name: driver for driver in (FlaskDriver(), StarletteDriver(), FastApiDriver(), LitestarDriver())
}


@dataclass(frozen=True)
class Stage:
    """Two providers: ``approved`` for sensitive calls, and ``other``."""

    approved: FakeProvider
    other: FakeProvider

    def reset(self) -> None:
        """Forget what was scripted and asked."""
        self.approved.reset()
        self.other.reset()


@dataclass(frozen=True)
class ServedApp:
    """An app that is being served."""

    driver: Driver
    stage: Stage
    address: str
    app: Any
    router: Router

    def get(self, path: str, headers: Mapping[str, str] | Sequence[tuple[str, str]] = (), **more: Any) -> Reply:
        """One request."""
        pairs = list(headers.items()) if isinstance(headers, Mapping) else headers
        return get(self.address, path, pairs, **more)


def config(stage: Stage, **more: Any) -> dict[str, Any]:
    """Tasks: ``both`` (the approved route, then the other), ``saved`` (an approved one as the last), ``alone``..."""
    settings: dict[str, Any] = {
        "router": {"health": NO_MEMORY},
        "providers": {
            "approved-provider": {"base_url": stage.approved.base_url, "api_key_env": "APPROVED_KEY"},
            "other-provider": {"base_url": stage.other.base_url, "api_key_env": "OTHER_KEY"},
        },
        "routes": {
            "first": {"provider": "approved-provider", "model": "model-one", "timeout": "120s", "stall": "120s"},
            "second": {"provider": "other-provider", "model": "model-two", "timeout": "120s"},
            "backup": {"provider": "approved-provider", "model": "model-three", "timeout": "120s"},
            "rationed": {"provider": "approved-provider", "model": "model-rationed", "timeout": "5s"},
            "hasty": {"provider": "approved-provider", "model": "model-hasty", "timeout": "1s"},
        },
        "tasks": {
            "both": {"primary": "first", "equivalent": "second", "deadline": "120s"},
            "saved": {"primary": "first", "equivalent": "second", "degraded": "backup", "deadline": "120s"},
            "alone": {"primary": "first", "deadline": "120s"},
            "rationed": {"primary": "rationed", "deadline": "3s"},
            "hasty": {"primary": "hasty", "deadline": "1s"},
        },
        "sensitive": {
            "payment": {"routes": ["first", "backup", "rationed"]},
            "medical": {"routes": ["backup", "first"]},
            "minors": {"routes": ["backup"]},
        },
        "endpoints": {"/guarded/*": "payment"},
    }
    for key, value in more.items():
        settings[key] = {**settings.get(key, {}), **value}
    return settings


def _plain() -> Iterator[EndpointSpec]:
    for name in ("whole", "whole_sync", "streamed_sync", "streamed_late_sync", "later", "later_sync",
                 "quiet", "quiet_sync", "types", "twice", "raised_between", "raised_before",
                 "marked_inside", "marked_inside_sync",
                 "own_mistake", "boom", "survives"):  # fmt: skip
        yield EndpointSpec(f"/{name}", getattr(actions, name))
        yield EndpointSpec(f"/sensitive/{name}", getattr(actions, name), category="payment")


def _special() -> Iterator[EndpointSpec]:
    for action in (handovers.handed_over, handovers.by_context):
        yield EndpointSpec(f"/{action.__name__}", action)
        yield EndpointSpec(f"/sensitive/{action.__name__}", action, category="payment")
    yield EndpointSpec("/guarded", actions.quiet)
    yield EndpointSpec("/guarded/refunds", actions.whole_sync)
    yield EndpointSpec("/guarded/minors", actions.quiet, category="minors")
    yield EndpointSpec("/standard", actions.quiet, standard=True)


ENDPOINTS: tuple[EndpointSpec, ...] = (*_plain(), *_special())


def endpoints_for(driver: Driver) -> tuple[EndpointSpec, ...]:
    """The endpoints of the app; the asynchronous streams where the framework has such."""
    streams: dict[str, Action] = {"streamed": actions.streamed, "streamed_late": actions.streamed_late}
    if not driver.async_streams:
        streams = {"streamed": actions.streamed_sync, "streamed_late": actions.streamed_from_async_view}
    found = [EndpointSpec(f"/{name}", action) for name, action in streams.items()]
    marked = [EndpointSpec(f"/sensitive/{name}", action, category="payment") for name, action in streams.items()]
    marked_group: dict[str, Any] = {"placement": Placement.GROUP, "category": "medical"}
    groups = [
        EndpointSpec(path, actions.quiet, group=group, standard=path == "/standard", **marked_group)
        for group in driver.groups
        for path in ("/quiet", "/standard")
    ]
    return (*ENDPOINTS, *found, *marked, *groups)


@contextmanager
def started(driver: Driver, plan: AppPlan, stage: Stage) -> Iterator[ServedApp]:
    """An app by a plan, served; its router is closed at the end."""
    app = driver.app(plan)
    life = nullcontext() if driver.opens_router else plan.router
    with life, driver.serving(app) as address:
        yield ServedApp(driver, stage, address, app, plan.router)


@contextmanager
def kept_app(driver: Driver, stage: Stage) -> Iterator[ServedApp]:
    """The app that most tests of a framework share."""
    router = Router.from_mapping(config(stage))
    with started(driver, AppPlan(router, endpoints_for(driver), with_subject=True), stage) as served:
        yield served
