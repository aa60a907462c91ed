"""Prices of routes, and what an answer cost."""
