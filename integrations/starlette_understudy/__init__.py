"""Understudy for Starlette."""
