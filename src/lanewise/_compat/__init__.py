"""Every reach into what a library does not promise, one file a library: looked for before anything rests on it."""

from __future__ import annotations

from lanewise._compat.aiohttp_client import AIOHTTP
from lanewise._compat.fastapi import FASTAPI
from lanewise._compat.flask import FLASK
from lanewise._compat.genai_prices import GENAI_PRICES
from lanewise._compat.httpx2_client import HTTPX2
from lanewise._compat.jsonschema_rs import JSONSCHEMA_RS
from lanewise._compat.litestar import LITESTAR
from lanewise._compat.openai_sdk import OPENAI
from lanewise._compat.parts import Library, Part
from lanewise._compat.redis_client import REDIS
from lanewise._compat.starlette import STARLETTE
from lanewise._compat.uvicorn_http import UVICORN

__all__ = ["CORE", "GENAI_PRICES", "LIBRARIES", "REDIS", "UVICORN", "Library", "Part"]

CORE = (OPENAI, HTTPX2, AIOHTTP, JSONSCHEMA_RS)
"""What every router rests on."""
LIBRARIES = {
    library.distribution: library for library in (*CORE, GENAI_PRICES, REDIS, FLASK, STARLETTE, FASTAPI, LITESTAR)
}
"""All that may keep a router from opening, by the name of their distribution."""
