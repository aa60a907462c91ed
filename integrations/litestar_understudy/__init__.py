"""Understudy for Litestar."""
