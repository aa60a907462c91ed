"""One app a framework with all the endpoints of the contract, its two providers, and how to ask it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from integrations.contract import deeds, ways
from integrations.contract.asking import Reply, get
from integrations.contract.fastapi import FastApiDriver
from integrations.contract.flask import FlaskDriver
from integrations.contract.harness import AppPlan, Deed, Driver, Placing, Spot
from integrations.contract.litestar import LitestarDriver
from integrations.contract.starlette import StarletteDriver
from lanewise import Router
from lanewise.testing import FakeProvider

__all__ = ["DRIVERS", "HOUSE", "NO_MEMORY", "House", "Stage", "config", "kept_house", "started"]

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
class House:
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
            "first": {"provider": "approved-provider", "model": "model-one", "timeout": "5s", "stall": "5s"},
            "second": {"provider": "other-provider", "model": "model-two", "timeout": "5s"},
            "backup": {"provider": "approved-provider", "model": "model-three", "timeout": "5s"},
            "rationed": {"provider": "approved-provider", "model": "model-rationed", "timeout": "5s"},
            "hasty": {"provider": "approved-provider", "model": "model-hasty", "timeout": "1s"},
        },
        "tasks": {
            "both": {"primary": "first", "equivalent": "second"},
            "saved": {"primary": "first", "equivalent": "second", "degraded": "backup"},
            "alone": {"primary": "first"},
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


def _plain() -> Iterator[Spot]:
    for name in ("whole", "whole_sync", "streamed_sync", "streamed_late_sync", "later", "later_sync",
                 "quiet", "quiet_sync", "types", "twice", "raised_between", "raised_before",
                 "marked_inside", "marked_inside_sync",
                 "own_mistake", "boom", "survives"):  # fmt: skip
        yield Spot(f"/{name}", getattr(deeds, name))
        yield Spot(f"/sensitive/{name}", getattr(deeds, name), category="payment")


def _special() -> Iterator[Spot]:
    for deed in (ways.any_way, ways.by_context):
        yield Spot(f"/{deed.__name__}", deed)
        yield Spot(f"/sensitive/{deed.__name__}", deed, category="payment")
    yield Spot("/guarded", deeds.quiet)
    yield Spot("/guarded/refunds", deeds.whole_sync)
    yield Spot("/guarded/minors", deeds.quiet, category="minors")
    yield Spot("/standard", deeds.quiet, standard=True)


HOUSE: tuple[Spot, ...] = (*_plain(), *_special())


def spots_for(driver: Driver) -> tuple[Spot, ...]:
    """The endpoints of the house; the asynchronous streams where the framework has such."""
    streams: dict[str, Deed] = {"streamed": deeds.streamed, "streamed_late": deeds.streamed_late}
    if not driver.async_streams:
        streams = {"streamed": deeds.streamed_sync, "streamed_late": deeds.streamed_from_async_view}
    found = [Spot(f"/{name}", deed) for name, deed in streams.items()]
    marked = [Spot(f"/sensitive/{name}", deed, category="payment") for name, deed in streams.items()]
    marked_group: dict[str, Any] = {"placing": Placing.GROUP, "category": "medical"}
    groups = [
        Spot(path, deeds.quiet, group=group, standard=path == "/standard", **marked_group)
        for group in driver.groups
        for path in ("/quiet", "/standard")
    ]
    return (*HOUSE, *found, *marked, *groups)


@contextmanager
def started(driver: Driver, plan: AppPlan, stage: Stage) -> Iterator[House]:
    """An app by a plan, served; its router is closed at the end."""
    app = driver.app(plan)
    life = nullcontext() if driver.opens_router else plan.router
    with life, driver.serving(app) as address:
        yield House(driver, stage, address, app, plan.router)


@contextmanager
def kept_house(driver: Driver, stage: Stage) -> Iterator[House]:
    """The house that most tests of a framework share."""
    router = Router.from_mapping(config(stage))
    with started(driver, AppPlan(router, spots_for(driver), with_subject=True), stage) as house:
        yield house
