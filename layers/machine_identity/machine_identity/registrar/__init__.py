"""Dynamic client registration as a service.

``service`` sends, ``entry`` is what the store has of one client, and ``outcome`` what is told.
"""

from machine_identity.registrar.entry import Store
from machine_identity.registrar.outcome import Outcome
from machine_identity.registrar.service import Registrar

__all__ = ["Outcome", "Registrar", "Store"]
