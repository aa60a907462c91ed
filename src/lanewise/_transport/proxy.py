"""Which proxy a provider's requests go through: asked once a provider, never once a request."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

__all__ = ["resolve_proxy"]


def resolve_proxy(base_url: str, setting: str | None, environ: Mapping[str, str]) -> str | None:
    """The URL of the proxy for requests to ``base_url``, or ``None`` to connect directly.

    ``setting`` is ``"env"``, which reads ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` (lower case
    wins, as in :mod:`urllib.request`); a proxy's URL, which holds for all hosts; or ``None`` or ``"none"``.
    By the environment, loopback never goes through a proxy.

    Raises ValueError, without the URL in it, for a proxy that is not an http or https one (SOCKS, say).

    Example::

        resolve_proxy("https://api.openai.com/v1", "env", os.environ)
    """
    if setting is None or setting == "none":
        return None
    if setting != "env":
        return _http_proxy(setting, "the proxy setting")
    target = urlsplit(base_url)
    host = target.hostname or ""
    if _is_loopback(host):
        return None
    proxies = _proxies(environ)
    if _is_exempt(host, target.port, proxies.get("no", "")):
        return None
    for name in (target.scheme, "all"):
        if name in proxies:
            return _http_proxy(proxies[name], f"{name.upper()}_PROXY")
    return None


def _proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """As :func:`urllib.request.getproxies_environment`, of any environment: lower case wins, and may be emptied."""
    proxies: dict[str, str] = {}
    for variable, value in environ.items():
        name = variable.lower()
        if name.endswith("_proxy") and value:
            proxies[name[:-6]] = value
    if "REQUEST_METHOD" in environ:
        proxies.pop("http", None)  # under CGI, HTTP_PROXY is a request's "Proxy:" header (CVE-2016-1000110)
    for variable, value in environ.items():
        if variable.endswith("_proxy"):
            name = variable[:-6].lower()
            if value:
                proxies[name] = value
            else:
                proxies.pop(name, None)
    return proxies


def _is_exempt(host: str, port: int | None, no_proxy: str) -> bool:
    """As :func:`urllib.request.proxy_bypass`: a name holds for what ends in it, and may have a port."""
    if no_proxy.strip() == "*":
        return True
    places = (host, f"{host}:{port}")
    names = [name.strip().lstrip(".").lower() for name in no_proxy.split(",")]
    return any(place == name or place.endswith(f".{name}") for name in names if name for place in places)


def _http_proxy(url: str, place: str) -> str:
    if "://" not in url:
        url = f"http://{url}"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"{place} is not the URL of an http or https proxy")
    return url


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
