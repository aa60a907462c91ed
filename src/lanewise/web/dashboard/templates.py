"""The page's templates: Jinja's, every value escaped, nothing undefined passed over."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from lanewise.web.dashboard import figures

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["Html", "environment", "render"]

TEMPLATES: Final = Path(__file__).parent / "templates"
FILTERS: Final = (
    figures.milliseconds,
    figures.span,
    figures.ago,
    figures.dollars,
    figures.share,
    figures.count,
    figures.clock,
    figures.day_and_time,
    figures.iso,
)


class Html(Protocol):
    """A text that is HTML: templates take it as it is (it is a ``markupsafe.Markup``)."""

    def __html__(self) -> str:
        """The text."""
        ...


@cache
def environment() -> Environment:
    """The templates, each read once. Raises ImportError: what to install.

    Example::

        page = environment().get_template("now.html").render(...)
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise ImportError("the page needs Jinja; install it with: pip install 'lanewise[dashboard]'") from error
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update({function.__name__: function for function in FILTERS})
    for name in made.list_templates():
        made.get_template(name)  # compiles it: not while somebody waits for a page
    return made


def render(name: str, **values: Any) -> Html:
    """A template as HTML that other templates take as it is."""
    environment()
    from markupsafe import Markup

    return Markup(environment().get_template(name).render(**values))  # noqa: S704 - what a template has escaped
