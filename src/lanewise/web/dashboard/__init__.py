"""The page: how the tasks stand, past calls, one of them, the cases that wait, and routes opened by hand."""
