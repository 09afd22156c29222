"""KMS as far as signing goes, on real keys: what moto does wrongly, this does as documented.

``RAW`` messages of at most 4096 bytes, PSS with a salt of the digest's length, DER for ECDSA, and
no signature by a key that is disabled. tests/unit/test_private_keys.py holds it and moto to the
same claims.
"""

from typing import Any

from botocore.exceptions import ClientError, ConnectTimeoutError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from machine_identity.client_assertion import PrivateKey

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "256": hashes.SHA256(),
    "384": hashes.SHA384(),
    "512": hashes.SHA512(),
}


def arn(name: str) -> str:
    return f"arn:aws:kms:eu-central-1:123456789012:key/{name}"


class Kms:
    """Signs with the keys that it is given by ARN; ``refusals`` makes one fail with a code."""

    def __init__(self) -> None:
        self.keys: dict[str, PrivateKey] = {}
        self.refusals: dict[str, str] = {}
        self.calls: list[str] = []
        self.is_down = False

    def sign(
        self,
        *,
        KeyId: str,  # noqa: N803 - the API's own names
        Message: bytes,  # noqa: N803
        MessageType: str,  # noqa: N803
        SigningAlgorithm: str,  # noqa: N803
    ) -> dict[str, Any]:
        self.calls.append(KeyId)
        if self.is_down:
            raise ConnectTimeoutError(endpoint_url="https://kms")
        if KeyId not in self.keys:
            raise _error("NotFoundException")
        if KeyId in self.refusals:
            raise _error(self.refusals[KeyId])
        if MessageType != "RAW" or not 0 < len(Message) <= 4096:
            raise _error("ValidationException")
        return {"Signature": _signature(self.keys[KeyId], Message, SigningAlgorithm)}


def _signature(key: PrivateKey, message: bytes, algorithm: str) -> bytes:
    family, _, bits = algorithm.rpartition("_SHA_")
    digest = _HASHES[bits]
    if isinstance(key, ec.EllipticCurvePrivateKey) and family == "ECDSA":
        return key.sign(message, ec.ECDSA(digest))
    if isinstance(key, rsa.RSAPrivateKey) and family == "RSASSA_PKCS1_V1_5":
        return key.sign(message, padding.PKCS1v15(), digest)
    if isinstance(key, rsa.RSAPrivateKey) and family == "RSASSA_PSS":
        pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
        return key.sign(message, pss, digest)
    raise _error("InvalidKeyUsageException")


def _error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "as documented"}}, "Sign")
