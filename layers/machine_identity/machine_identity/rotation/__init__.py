"""The rotation of one identity's keys: ``Rotation`` in ``service``, its outside in ``world``."""

from machine_identity.rotation.service import Rotation, Run
from machine_identity.rotation.world import Keys, Store, World

__all__ = ["Keys", "Rotation", "Run", "Store", "World"]
