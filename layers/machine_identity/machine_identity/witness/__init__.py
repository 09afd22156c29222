"""The signer as a witness, for rules 2, 8 and 9: ``Witness``, and its outside in ``world``."""

from machine_identity.witness.service import Sight, Witness
from machine_identity.witness.world import Keys, Signer, Store, World

__all__ = ["Keys", "Sight", "Signer", "Store", "Witness", "World"]
