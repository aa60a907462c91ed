"""Drives calls: the engine, its event loops, the bridge from other loops, and what works beside the calls."""
