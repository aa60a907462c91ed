"""The store that workers share: its address from the config, and a connection to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lanewise.config import Config, ConfigError
from lanewise.config.environment.store_address import StoreAddress, find_store
from lanewise.config.mistakes import MistakeCollector

if TYPE_CHECKING:
    import redis

__all__ = ["connected", "store_of"]


def store_of(config: Config, config_file: Path) -> StoreAddress | None:
    """The address of the store, or ``None`` if workers share nothing. One that can't be used ends the command."""
    findings = MistakeCollector()
    address = find_store(config.router.state, os.environ, findings)
    if findings.found:
        raise click.ClickException(str(ConfigError(findings.found, str(config_file))))
    return address


@contextmanager
def connected(address: StoreAddress, *, meanwhile: str) -> Iterator[redis.Redis]:
    """The store. One that does not answer ends the command with what the workers do ``meanwhile``."""
    import redis

    from lanewise._store import client

    try:
        with client(address) as store:
            yield store
    except redis.RedisError as error:
        raise click.ClickException(
            f"the store at {address} does not answer ({type(error).__name__}). {meanwhile}; is it running, and may "
            "this machine reach it?"
        ) from None
