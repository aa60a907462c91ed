"""What subjects, tasks and clients may cost in a window of time: reserved before each attempt, settled after it."""
