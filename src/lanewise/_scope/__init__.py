"""What stands behind a scope: its sensitivity, the ids of its replies, a client that is used in another scope."""
