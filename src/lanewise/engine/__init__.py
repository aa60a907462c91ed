"""Drives calls: homes, attempts, streams, and what they share."""
