"""Rate limits: our own caps for providers and clients, and what providers say of theirs."""
