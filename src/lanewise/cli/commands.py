"""The list of the subcommands, each of which is imported when it is called, so that ``--help`` is quick.

A new subcommand is a click command in a module of its own, and a line in ``COMMANDS``. One that reads the config has a
name in ``framework_commands.py`` too, so that in an app's own command line it reads that app's config.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

import click

__all__ = ["COMMANDS", "LazyGroup"]

COMMANDS: Mapping[str, tuple[str, str, str]] = {
    "demo": ("lanewise.cli.demo", "demo", "Show a failing provider, and an app that keeps answering."),
    "init": ("lanewise.cli.init", "init", "Write a commented config to start from."),
    "check": ("lanewise.cli.check", "check", "Tell all that is wrong with a config."),
    "routes": ("lanewise.cli.routes", "routes", "Show the tasks, their lanes, and what moves where."),
    "endpoints": ("lanewise.cli.endpoints", "endpoints", "Show an app's endpoints, and which are sensitive."),
    "serve": ("lanewise.cli.serve", "serve", "Serve the tasks as an OpenAI-compatible endpoint of its own."),
    "keys": ("lanewise.cli.keys", "keys", "Make keys for the callers of the app's own endpoint."),
    "health": ("lanewise.cli.health", "health", "Show which routes are open, for all workers; open one by hand."),
    "budgets": ("lanewise.cli.budgets", "budgets", "Show what is spent of the budgets; give one back."),
    "estimate": ("lanewise.cli.estimate", "estimate", "Tell what a task's calls cost on each route, unsent."),
    "report": ("lanewise.cli.report", "report", "Report on the calls of some days: answers, failures, times, costs."),
    "explain": ("lanewise.cli.explain", "explain", "Explain why a request was answered as it was."),
    "ledger": ("lanewise.cli.ledger", "ledger", "Look after the ledger: the database with the record of calls."),
    "reviews": ("lanewise.cli.reviews", "reviews", "Show and decide the cases that wait for a person."),
    "config-schema": ("lanewise.cli.config_schema", "config_schema", "Print the config's JSON Schema, for editors."),
}
"""Each subcommand: its module, its name there, and its line in the help."""


class LazyGroup(click.Group):
    """A group that knows the names and help lines of its commands, and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help's list of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])
