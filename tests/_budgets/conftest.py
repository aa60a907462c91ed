"""The shared store of these tests, two providers, and their keys."""

from shared_store import keys, patient, stage, valkey, valkey_server

__all__ = ["keys", "patient", "stage", "valkey", "valkey_server"]
