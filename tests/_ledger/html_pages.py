"""A page as its elements and texts, for tests that look into one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

__all__ = ["Page", "page_of"]

_VOID = {"meta", "link", "br", "hr", "img", "input", "col"}


@dataclass
class Page:
    """``skeleton`` is each tag with the names of its attributes, ``text`` all that is read, ``values`` the values of
    attributes by their names."""

    skeleton: list[str] = field(default_factory=list)
    text: str = ""
    values: list[tuple[str, str, str]] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self.open: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.skeleton.append(f"{tag} {' '.join(name for name, _ in attrs)}")
        self.page.values += [(tag, name, value or "") for name, value in attrs]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.page.skeleton.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.page.skeleton.append("comment")


def page_of(html: str) -> Page:
    """Read a page. Every element in it must be closed in its turn.

    Example::

        assert "12 calls" in page_of(file.read_text()).text
    """
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    reader.page.text = re.sub(r"\s+", " ", " ".join(reader.texts))
    return reader.page
