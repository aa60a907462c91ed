"""Understudy for Flask."""
