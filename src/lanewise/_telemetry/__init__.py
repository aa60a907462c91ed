"""Logs, traces, metrics, prices and scores of calls, each written by a thread of its own."""
