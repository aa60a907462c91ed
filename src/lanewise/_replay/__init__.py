"""Answers that are given again to a call that was made before, kept in this process or for all workers."""
