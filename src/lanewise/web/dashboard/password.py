"""A password before an ASGI app, by HTTP's basic authentication: browsers ask for it, and keep it to that site."""

from __future__ import annotations

import hmac
from base64 import b64decode
from collections.abc import Awaitable, Callable, MutableMapping
from hashlib import sha256
from typing import Any, Final

__all__ = ["LEAST_PASSWORD", "PasswordProtected"]

Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

LEAST_PASSWORD: Final = 16
"""Characters of a password: nothing here counts who guesses."""
_REFUSAL: Final = b"This page asks for its password.\n"
_HEADERS: Final = (
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"www-authenticate", b'Basic realm="lanewise", charset="UTF-8"'),
    (b"content-length", b"%d" % len(_REFUSAL)),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)


class PasswordProtected:
    """An app that is served to those who know a password, under any name. Raises ValueError: the password is short.

    Example::

        app = PasswordProtected(Dashboard(router, allow=lambda request: True), os.environ["PAGE_PASSWORD"])
    """

    def __init__(self, app: App, password: str) -> None:
        if len(password) < LEAST_PASSWORD:
            raise ValueError(f"a password has {LEAST_PASSWORD} characters at least")
        self._app = app
        self._digest = sha256(password.encode("utf-8", "surrogateescape")).digest()

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        """Serve a request, or ask for the password."""
        if scope["type"] == "http" and not self._knows(scope["headers"]):
            await send({"type": "http.response.start", "status": 401, "headers": list(_HEADERS)})
            await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else _REFUSAL})
            return
        await self._app(scope, receive, send)

    def _knows(self, headers: list[tuple[bytes, bytes]]) -> bool:
        values = [value for name, value in headers if name.lower() == b"authorization"]
        if len(values) != 1 or values[0][:6].lower() != b"basic ":
            return False
        try:
            _, colon, password = b64decode(values[0][6:].strip(), validate=True).partition(b":")
        except ValueError:
            return False
        return bool(colon) and hmac.compare_digest(sha256(password).digest(), self._digest)
