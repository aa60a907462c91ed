"""Logs, traces, metrics and scores of calls, each written by a thread of its own."""
