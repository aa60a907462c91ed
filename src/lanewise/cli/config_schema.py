"""``lanewise config-schema``: the JSON Schema of the config, for editors."""

from __future__ import annotations

import json

import click

from lanewise.config.schema import toml_schema

__all__ = ["config_schema"]


@click.command("config-schema")
def config_schema() -> None:
    """Print the JSON Schema of the config.

    \b
    For editors that read it through taplo:
      lanewise config-schema > lanewise.schema.json
      then begin the config with:  #:schema ./lanewise.schema.json
    """
    click.echo(json.dumps(toml_schema(), indent=2))
