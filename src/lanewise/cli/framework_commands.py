"""``lanewise`` in a framework's own command line: the core's commands, with an ``endpoints`` that knows the app."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click

from lanewise.cli.commands import LazyGroup

if TYPE_CHECKING:
    from lanewise.config import Config
    from lanewise.web import Endpoint

__all__ = ["app_commands", "show_endpoints"]

_READING: Final = ("check", "routes", "report", "explain")
"""The commands whose FILE is the app's own config unless another one is named."""
_WITH_OPTION: Final = ("estimate", "reviews", "health", "budgets")
"""The commands that take the config by --config."""
_NESTED: Final = {"health": ("open", "close"), "budgets": ("reset",), "ledger": ("status", "upgrade")}
"""The subcommands that read the config."""


def app_commands(config: Config, endpoints: click.Command) -> click.Group:
    """The group ``lanewise`` for an app's command line. ``endpoints`` takes the place of the core's own.

    Example::

        app.cli.add_command(app_commands(router.config, endpoints))
    """
    defaults = {} if config.source is None else _defaults(str(config.source))
    group = _AppGroup(
        "lanewise",
        help="Keep this app's AI calls answering through rate limits, timeouts and outages.",
        context_settings={"default_map": defaults},
    )
    group.add_command(endpoints)
    return group


def _defaults(source: str) -> dict[str, dict[str, object]]:
    defaults: dict[str, dict[str, object]] = {name: {"file": source} for name in _READING}
    defaults |= {name: {"config_file": source} for name in _WITH_OPTION}
    for group, names in _NESTED.items():
        nested = {name: {"file": source, "config_file": source} for name in names}
        defaults[group] = {**defaults.get(group, {}), **nested}
    return defaults


class _AppGroup(LazyGroup):
    """The core's commands; one of the app's own takes the place of one with the same name."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name: the app's, or the core's."""
        return self.commands.get(cmd_name) or super().get_command(ctx, cmd_name)


def show_endpoints(config: Config, found: Sequence[Endpoint]) -> None:
    """Print the endpoints with their sensitivity. Ends with exit code 1 if marks can't hold, and says why."""
    from lanewise.cli.terminal import print_line, print_table
    from lanewise.config import ConfigError  # only this command needs them
    from lanewise.web import check_endpoints
    from lanewise.web.marks.endpoint_report import endpoints_listed, rules_that_match_none

    print_table(endpoints_listed(found, config), whole_in_pipes=True)
    for line in rules_that_match_none(found, config):
        print_line(line)
    try:
        check_endpoints(found, config)
    except ConfigError as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from None
