"""The inbound request: its id, its subject, the calls made in it, and a sensitivity that only rises."""

from understudy.scope.raising import raise_sensitivity, sensitivity
from understudy.scope.ratchet import required_sensitivity
from understudy.scope.scope import Clients, Scope, current_scope

__all__ = ["Clients", "Scope", "current_scope", "raise_sensitivity", "required_sensitivity", "sensitivity"]
