"""The state of a scope: its sensitivity, where it is entered, the ids of its replies, and the caller of a call."""
