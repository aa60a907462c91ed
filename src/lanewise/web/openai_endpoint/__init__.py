"""The OpenAI-compatible endpoint: the router for callers over HTTP, mounted in an app or standing alone."""
