"""``lanewise serve``: the router as an OpenAI-compatible endpoint of its own, without an app around it."""

from __future__ import annotations

import os
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import click

from lanewise.cli.access.config_file import config_argument, look_here_for_modules, read_config
from lanewise.config import Config, ConfigError
from lanewise.config.environment.store_address import MEMORY

__all__ = ["serve"]

DRAIN: Final = 30
"""Seconds that streams have to come to their end, after SIGTERM."""
KEEP_ALIVE: Final = 75
"""Seconds that an idle connection stays open: longer than the usual load balancer keeps it (60)."""


@click.command()
@config_argument
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any free port.")
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="How many processes serve.")
@click.option("--open", "is_open", is_flag=True, help="Ask for no key: for this machine alone.")
@click.option("--dashboard", is_flag=True, help="Show the page under /_lanewise, behind a password.")
def serve(file: Path, host: str, port: int, workers: int, is_open: bool, dashboard: bool) -> None:
    """Serve the tasks of the config in FILE (lanewise.toml) as an OpenAI-compatible endpoint.

    The API is under /v1, for the [clients] of the config. /healthz says that the process is alive, /readyz that it
    takes calls. With --dashboard, /_lanewise shows how the tasks stand and past calls to whoever knows the password in
    LANEWISE_DASHBOARD_PASSWORD, under any name. SIGTERM lets streams come to their end, for 30 seconds.

    Exit code 1 if the config can't be used, and 2 if nobody could call: no client is declared, or --open is asked for
    beyond this machine.
    """
    config = read_config(file)
    _require_extra()
    _check_callers(config, host, is_open=is_open)
    if dashboard:
        _check_dashboard()
    if workers > 1 and config.router.state == MEMORY:
        click.echo(
            f'warning: {workers} workers, and state = "memory": each counts the failures, the limits and the answers '
            'that it keeps by itself. Share them: [router] state = "redis://HOST:6379/0"',
            err=True,
        )
    look_here_for_modules()
    _check_keys(config)

    import uvicorn

    from lanewise.web.openai_endpoint.standalone import CONFIG, DASHBOARD, OPEN, http_protocol

    os.environ[CONFIG] = str(file.absolute())
    os.environ[OPEN] = "1" if is_open else ""
    os.environ[DASHBOARD] = "1" if dashboard else ""
    uvicorn.run(
        "lanewise.web.openai_endpoint.standalone:make_app",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        http=http_protocol(),
        lifespan="on",
        ws="none",
        proxy_headers=False,  # nothing here depends on the client's address
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=DRAIN,
        timeout_worker_healthcheck=60,  # uvicorn takes a worker for dead that is busy importing for 5 s
    )


def _require_extra() -> None:
    if find_spec("uvicorn") is None:
        click.echo("lanewise serve: uvicorn is not installed:\n\n    pip install 'lanewise[serve]'", err=True)
        raise click.exceptions.Exit(1)


def _check_dashboard() -> None:
    from lanewise.web.dashboard.password import LEAST_PASSWORD
    from lanewise.web.openai_endpoint.standalone import PASSWORD

    if find_spec("jinja2") is None:
        click.echo("--dashboard: jinja2 is not installed:\n\n    pip install 'lanewise[dashboard]'", err=True)
        raise click.exceptions.Exit(1)
    if len(os.environ.get(PASSWORD, "")) < LEAST_PASSWORD:
        raise click.UsageError(
            f"--dashboard shows its page to whoever knows the password in {PASSWORD}: set it, to {LEAST_PASSWORD} "
            "characters at least (`openssl rand -base64 24` prints one)"
        )


def _check_callers(config: Config, host: str, *, is_open: bool) -> None:
    if is_open:
        if not _is_loopback(host):
            raise click.UsageError(f"--open serves on this machine alone, and {host} is not: leave --host out")
        return
    if not any(client.key for client in config.clients.values()):
        raise click.UsageError(
            "no client could call: declare one under [clients] (`lanewise keys create NAME` prints its key, and the "
            "lines that belong there), or serve this machine alone, without keys: --open"
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _check_keys(config: Config) -> None:
    """The providers' keys, before any worker starts."""
    from lanewise.router import Router, scopes_of

    try:
        scopes_of(Router(config)).check_keys()
    except ConfigError as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from None
