"""What a routed call costs beside its peers, and what importing the package costs: ``python -m benchmarks``."""
