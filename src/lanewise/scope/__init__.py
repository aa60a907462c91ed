"""The inbound request: its id, its subject, the calls made in it, and a sensitivity that only rises."""

from lanewise.scope.raising import raise_sensitivity, sensitivity
from lanewise.scope.ratchet import required_sensitivity
from lanewise.scope.scope import Clients, Scope, current_scope

__all__ = ["Clients", "Scope", "current_scope", "raise_sensitivity", "required_sensitivity", "sensitivity"]
