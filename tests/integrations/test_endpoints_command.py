"""``lanewise endpoints``: one command for the apps of all frameworks."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from lanewise.cli import main

EXAMPLES = {
    "flask_support_desk": "payment",
    "starlette_chat": "account",
    "fastapi_extract": "payment",
    "litestar_clinic": "medical",
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_endpoints_of_any_app_are_listed(example: str) -> None:
    """The adapter is found by the app's type; each sensitive endpoint is shown with its category."""
    result = CliRunner().invoke(main, ["endpoints", f"example_apps.{example}.app:create_app()"])
    assert result.exit_code == 0, result.output
    assert "endpoints" in result.output
    assert EXAMPLES[example] in result.output


@pytest.mark.parametrize(
    "app",
    ["integrations.bare_apps:flask_app", "integrations.bare_apps:starlette_app", "integrations.bare_apps:litestar_app"],
)
def test_an_app_in_which_nothing_is_installed_is_told_so(app: str) -> None:
    """The message says what to install; there is no traceback."""
    result = CliRunner().invoke(main, ["endpoints", app])
    assert result.exit_code == 1
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "anewise" in result.output
