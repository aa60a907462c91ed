"""Which proxy a provider gets from the environment."""

from __future__ import annotations

import pytest

from lanewise._transport.proxy import resolve_proxy

HTTPS = "https://api.example.com/v1"


@pytest.mark.parametrize(
    ("base_url", "environ", "proxy"),
    [
        (HTTPS, {}, None),
        (HTTPS, {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        (HTTPS, {"HTTPS_PROXY": "http://p:1", "https_proxy": "http://q:2"}, "http://q:2"),
        (HTTPS, {"HTTPS_PROXY": "http://p:1", "https_proxy": ""}, None),
        (HTTPS, {"HTTP_PROXY": "http://p:1"}, None),
        (HTTPS, {"ALL_PROXY": "p:1"}, "http://p:1"),
        (HTTPS, {"ALL_PROXY": "http://p:1", "NO_PROXY": "other.com, .example.com"}, None),
        (HTTPS, {"ALL_PROXY": "http://p:1", "NO_PROXY": "example.com:443"}, "http://p:1"),
        ("https://api.example.com:443/v1", {"ALL_PROXY": "http://p:1", "NO_PROXY": "example.com:443"}, None),
        (HTTPS, {"ALL_PROXY": "http://p:1", "NO_PROXY": "ample.com"}, "http://p:1"),
        (HTTPS, {"ALL_PROXY": "http://p:1", "no_proxy": "*"}, None),
        ("http://api.example.com", {"HTTP_PROXY": "http://p:1"}, "http://p:1"),
        ("http://api.example.com", {"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, None),
        ("http://localhost:8000", {"ALL_PROXY": "http://p:1"}, None),
        ("http://127.0.0.1:8000", {"ALL_PROXY": "http://p:1"}, None),
        ("http://[::1]:8000", {"ALL_PROXY": "http://p:1"}, None),
    ],
)
def test_the_environment_is_read_as_urllib_reads_it(base_url: str, environ: dict[str, str], proxy: str | None) -> None:
    """Scheme, then ALL_PROXY; lower case wins; NO_PROXY and loopback go directly."""
    assert resolve_proxy(base_url, "env", environ) == proxy


def test_a_setting_rules_over_the_environment() -> None:
    """A proxy that is set holds for loopback too, and none is none."""
    environ = {"ALL_PROXY": "http://p:1"}
    assert resolve_proxy("http://localhost", "http://q:2", environ) == "http://q:2"
    assert resolve_proxy(HTTPS, None, environ) is None
    assert resolve_proxy(HTTPS, "none", environ) is None


@pytest.mark.parametrize("url", ["socks5://user:canary@p:1", "http://", "http://p:canary"])
def test_a_proxy_that_cannot_be_used_is_an_error(url: str) -> None:
    """It names the place, and not the URL, which may hold a password."""
    with pytest.raises(ValueError, match="ALL_PROXY") as caught:
        resolve_proxy(HTTPS, "env", {"ALL_PROXY": url})
    assert "canary" not in str(caught.value)
