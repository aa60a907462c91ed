"""A config of two routes: the first goes to the provider that is put to the test, the second to one that is well."""

from __future__ import annotations

from lanewise.testing import FakeProvider

__all__ = ["FIRST", "KEY", "SECOND", "pair"]

FIRST, SECOND = "model-one", "model-two"
KEY = "canary-key"


def pair(
    base_url: str, second: FakeProvider, *, timeout: str = "5s", deadline: str = "20s", proxy: str = "env"
) -> dict[str, object]:
    """Its tasks are ``both`` (the first route, then the second) and ``alone`` (the first route only)."""
    return {
        "router": {"proxy": proxy},
        "providers": {
            "first": {"base_url": base_url, "api_key_env": "PROVIDER_KEY"},
            "second": {"base_url": second.base_url},
        },
        "routes": {
            "first": {"provider": "first", "model": FIRST, "timeout": timeout},
            "second": {"provider": "second", "model": SECOND},
        },
        "tasks": {
            "both": {"deadline": deadline, "primary": "first", "equivalent": "second"},
            "alone": {"deadline": deadline, "primary": "first"},
        },
    }
