"""Circuit breakers: the state of a circuit and what changes it, as one worker and one route see it."""
