"""Circuit breakers and rate limits of routes and accounts, in one worker and shared by all."""
