"""``lanewise endpoints``: every endpoint of an app, with its sensitivity and where that comes from."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Final, cast

import click

from lanewise.cli.access.config_file import look_here_for_modules
from lanewise.cli.framework_commands import show_endpoints
from lanewise.config import Config, ConfigError
from lanewise.web import Endpoint

__all__ = ["endpoints", "load_app"]

EndpointsOf = Callable[[object], tuple[Config, list[Endpoint]]]

_ADAPTERS: Final = {
    "flask": "flask_lanewise",
    "litestar": "litestar_lanewise",
    "starlette": "starlette_lanewise",
    "fastapi": "starlette_lanewise",
    "starlette_lanewise": "starlette_lanewise",
}
"""The adapter of an app, by the package that the app's class, or one of its bases, is from."""


@click.command()
@click.argument("app")
def endpoints(app: str) -> None:
    """Show every endpoint of APP with its sensitivity, and where that comes from.

    APP is a module and a name in it, "shop.web:app", or a function that makes the app: "shop.web:make_app()". The
    exit code is 1 if the app would not start because of a mark.
    """
    try:
        loaded = load_app(app)
        config, found = _endpoints_of(loaded)(loaded)
    except LookupError as error:
        raise click.ClickException(str(error.args[0])) from None
    except ConfigError as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from None
    show_endpoints(config, found)


def load_app(import_string: str) -> object:
    """The app that an import string names. Raises ClickException, which says what is wrong with it."""
    module_name, colon, name = import_string.partition(":")
    if not (module_name and colon and name):
        raise click.ClickException(
            f'{import_string!r} names no app: give a module and a name in it, such as "shop.web:app"'
        )
    look_here_for_modules()
    try:
        found: object = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the app's own mistake, which its traceback shows best
        raise click.ClickException(f"there is no module {error.name!r} here") from None
    for part in name.removesuffix("()").split("."):
        if not hasattr(found, part):
            raise click.ClickException(f"{module_name!r} has no {name!r}")
        found = getattr(found, part)
    return cast("Callable[[], object]", found)() if name.endswith("()") else found


def _endpoints_of(app: object) -> EndpointsOf:
    layer: object = app
    while layer is not None:
        for cls in type(layer).__mro__:
            adapter = _ADAPTERS.get(cls.__module__.partition(".")[0])
            if adapter is not None:
                return cast("EndpointsOf", import_module(adapter).endpoints_of)
        layer = getattr(layer, "app", None)  # a middleware of another library
    if callable(app) and not isinstance(app, type) and hasattr(app, "__name__"):
        raise click.ClickException(f'{app.__name__!r} is a function: if it makes the app, write "{app.__name__}()"')
    raise click.ClickException(f"a {type(app).__name__} is no app of Flask, Starlette, FastAPI or Litestar")
