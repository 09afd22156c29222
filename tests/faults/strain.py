"""The keys of a KMS that makes the same ones in every life, and a KMS at its strictest."""

from datetime import timedelta
from functools import cache
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from tests.outside import KeyService

OF_STRAIN: Final = frozenset({"ThrottlingException", "AccessDeniedException", "NotFoundException"})
"""What a KMS at its strictest answers without anything going wrong."""


def strain(kms: KeyService) -> None:
    """Let everything take as long as KMS may take, and throttle each call in seven."""
    kms.index_lag = timedelta(minutes=10)
    kms.tags_count_after = timedelta(minutes=5)
    kms.known_after = timedelta(seconds=20)
    kms.disable_lag = timedelta(seconds=45)
    kms.throttles_each = 7


@cache
def private_key(curve: ec.EllipticCurve, number: int) -> ec.EllipticCurvePrivateKey:
    """Return the same nth key in every life."""
    return ec.derive_private_key(int.from_bytes(sha256(number.to_bytes(4)).digest()), curve)
