"""The rotation of one identity's keys: ``Rotation`` in ``service``, its outside in ``world``."""

from machine_identity.rotation.aftermath import Revocation
from machine_identity.rotation.compromised import UnknownKeyError
from machine_identity.rotation.runner import Run
from machine_identity.rotation.service import RefusedError, Rotation
from machine_identity.rotation.world import Keys, Store, World

__all__ = [
    "Keys",
    "RefusedError",
    "Revocation",
    "Rotation",
    "Run",
    "Store",
    "UnknownKeyError",
    "World",
]
