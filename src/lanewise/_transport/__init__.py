"""Bytes: one HTTP attempt out and its answer back, over aiohttp or an httpx2 client that the app hands in."""

from __future__ import annotations

from lanewise._transport.exchange import Exchange, Headers, Target, Transport

__all__ = ["Exchange", "Headers", "Target", "Transport"]
