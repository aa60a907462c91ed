"""Marks of endpoints: put on, found in the code, checked at the start, and looked up for each request."""
