"""What the router answers itself: the list of its tasks, where an app asks for models."""

from __future__ import annotations

from urllib.parse import unquote

import msgspec

from lanewise._runtime.messages import RoutedRequest, RoutedResponse
from lanewise.config import Config

__all__ = ["answer_locally"]


def answer_locally(config: Config, request: RoutedRequest) -> RoutedResponse | None:
    """The reply to ``GET /models`` and ``GET /models/{task}``; ``None`` for everything else, unknown tasks included."""
    if request.method != "GET":
        return None
    if request.path == "models":
        return _json({"object": "list", "data": [_model(name) for name in config.tasks]})
    name = unquote(request.path.removeprefix("models/"))
    if request.path.startswith("models/") and name in config.tasks:
        return _json(_model(name))
    return None


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "lanewise"}


def _json(content: object) -> RoutedResponse:
    return RoutedResponse(200, [(b"content-type", b"application/json")], msgspec.json.encode(content))
