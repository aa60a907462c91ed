"""``lanewise keys``: keys for the callers of the app's own OpenAI endpoint."""

from __future__ import annotations

import json
import re
import secrets
from hashlib import sha256
from typing import Final

import click

from lanewise.config.values.scalars import NAME

__all__ = ["keys"]

BYTES: Final = 32
"""256 random bits."""
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


@click.group()
def keys() -> None:
    """Make keys for those who call the app's own OpenAI endpoint."""


@keys.command()
@click.argument("name")
def create(name: str) -> None:
    """Make a key for the client NAME: print it, once, and the lines for the config, which have its digest alone.

    Several keys of one client may be listed, so that one can be exchanged: key = ["sha256:...", "sha256:..."].
    """
    if not NAME.fullmatch(name):
        raise click.BadParameter("up to 64 letters, digits and any of . _ : / - make a name", param_hint="NAME")
    key = f"lw_{secrets.token_hex(BYTES)}"
    click.echo(key)
    click.echo("\nThe key is shown this once: give it to the client. The config has its digest:\n", err=True)
    click.echo(f"[clients.{name if _BARE.fullmatch(name) else json.dumps(name)}]")
    click.echo(f'key = "sha256:{sha256(key.encode()).hexdigest()}"')
