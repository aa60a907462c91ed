"""Where a call may go, pure: which routes are candidates, in what order, where it starts, and what has room for it."""
