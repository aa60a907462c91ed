"""Fixtures to import: a throw-away certificate authority, a client that trusts it, a server that it vouches for."""

from __future__ import annotations

import ssl

import pytest
import trustme

__all__ = ["authority", "served", "trusting"]


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Nobody trusts it unless told to."""
    return trustme.CA()


@pytest.fixture(scope="session")
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """A client's context that trusts the throw-away authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture(scope="session")
def served(authority: trustme.CA) -> ssl.SSLContext:
    """A server's context, with a certificate for loopback and for a host that only a proxy finds."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1", "provider.example").configure_cert(context)
    return context
