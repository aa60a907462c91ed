"""Rate limits: our own caps for providers and clients, and the limits that providers declare in headers."""
