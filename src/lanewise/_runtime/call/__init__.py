"""One call, driven from its request to its one outcome: attempts, streams, records, cost, cancellation."""
