"""What is asked of a request before anything is shown or done: its Host, and that a form came from a page of ours.

A page of another site can send a form, with the cookies of the app, and by DNS rebinding read what an address of this
machine answers. Against the first there are the browser's own word (Origin, Sec-Fetch-Site) and a token that only a
page of ours knows; against the second, that its Host is a name of another site.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Collection, Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from lanewise.web.dashboard.page_request import PageRequest, Refused

__all__ = ["FIELD", "check_form", "check_host", "csrf_cookie", "csrf_token", "host_names"]

FIELD: Final = "csrf"
"""The field of every form that holds the token."""
COOKIE: Final = "lanewise-csrf"
ANY: Final = "*"
"""Among the hosts: whatever name it is. For a page that asks for a password, which a browser keeps to its own site."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::(\d{1,5}))?")


def host_names(hosts: Collection[str] | None) -> frozenset[str] | None:
    """The names that the app is reached by, for :func:`check_host`; ``None``: any, but over the loopback.

    Raises TypeError: a text in place of a collection. ValueError: one of them is no host's name.
    """
    if hosts is None:
        return None
    if isinstance(hosts, str):
        raise TypeError('hosts is a collection of names: hosts=["shop.example"]')
    for host in hosts:
        if host != ANY and not _HOST.fullmatch(host):
            raise ValueError(f'{host!r} is no name of a host: write it as in "shop.example", without http://')
    return frozenset(host.lower() for host in hosts)


def check_host(request: PageRequest, hosts: frozenset[str] | None) -> None:
    """Raise Refused unless the request names a host that may be this one.

    Without ``hosts`` any does, except that what came over the loopback names this machine: a page of another site has
    a name of its own there.
    """
    host = request.header("host")
    if host is None:
        if hosts is not None:
            raise Refused(403, "The request names no host.")
        return
    matched = _HOST.fullmatch(host)
    if matched is None:
        raise Refused(403, "The request names no host that there could be.")
    name = matched[1].lower().rstrip(".")
    if hosts is not None:
        if ANY not in hosts and name not in hosts and host.lower() not in hosts:
            raise Refused(403, "This page is not reached by that name: its app lists the names in hosts=[...].")
    elif request.local and not _is_of_this_machine(name):
        raise Refused(
            403,
            "This page is reached over the machine's own loopback, by a name that any site could have. "
            "If it is the app's, and a proxy is in between, say so where the page is mounted: hosts=[...].",
        )


def _is_of_this_machine(name: str) -> bool:
    if "." not in name.removesuffix(".localhost") and not name.startswith("["):
        return True  # no name of the internet: localhost, a container's, a test's
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def csrf_token(request: PageRequest) -> str:
    """The token for a page's forms: the one that the browser has, or a fresh one."""
    known = _known_tokens(request)
    return known[0] if known else secrets.token_urlsafe(32)


def csrf_cookie(request: PageRequest, token: str) -> str:
    """The cookie that goes with a page's forms. No script reads it, and no other site's request has it."""
    secure = "; Secure" if request.scheme == "https" else ""
    return f"{COOKIE}={token}; HttpOnly; SameSite=Strict{secure}"


def check_form(request: PageRequest, form: Mapping[str, str]) -> None:
    """Raise Refused unless a form came from a page of ours."""
    site = request.header("sec-fetch-site")
    if site not in (None, "same-origin", "none"):
        raise Refused(403, "The form was sent by another site.")
    origin = request.header("origin")
    if origin is not None and not _is_own(origin, request.header("host")):
        raise Refused(403, "The form was sent by another site.")
    given = form.get(FIELD, "")
    known = _known_tokens(request)
    if not _TOKEN.fullmatch(given) or not any(hmac.compare_digest(given, token) for token in known):
        raise Refused(403, "The form is not one of this page, or its cookie is gone. Load the page anew.")


def _is_own(origin: str, host: str | None) -> bool:
    """Whether an origin is the host that is asked. Its scheme may differ: a proxy before the app ends TLS."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or host is None or parts.hostname is None:
        return False
    matched = _HOST.fullmatch(host)
    if matched is None:
        return False
    default = 443 if parts.scheme == "https" else 80
    same_name = matched[1].strip("[]").lower() == parts.hostname.lower()
    return same_name and int(matched[2] or default) == (port or default)


def _known_tokens(request: PageRequest) -> list[str]:
    """The tokens in the request's cookies: one for each place of the page that set one."""
    pairs = (pair.partition("=") for line in request.headers.get("cookie", ()) for pair in line.split(";"))
    found = [value.strip() for name, _, value in pairs if name.strip() == COOKIE]
    return [token for token in found if _TOKEN.fullmatch(token)]
