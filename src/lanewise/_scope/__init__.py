"""What stands behind a scope: its sensitivity, where it is entered, the ids of its replies, and who makes a call."""
