"""Streams of events: cutting them, judging each event, and gathering what they hold."""
