"""The authorization server's own key, as Entra publishes one, and the access tokens it signs.

A token has the claims of Entra's version 2 for an app without a user: ``roles`` and no ``scp``,
and no ``roles`` at all for an app that was granted none. Signed by joserfc.
"""

import base64
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from local.registrations import TENANT, Api, App

LIFETIME: Final = timedelta(seconds=3599)
_CERTIFICATE_LIFETIME: Final = timedelta(days=3650)


class IssuerKey:
    """An RS256 key made anew, with a self-signed certificate, by whose thumbprint it is named."""

    def __init__(self, now: datetime) -> None:
        private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        certificate = _certificate(private_key, now)
        # SHA-1 is what x5t means (RFC 7515 section 4.1.7), a name and no proof.
        thumbprint = certificate.fingerprint(hashes.SHA1())  # nosec B303 # noqa: S303
        self.kid = base64.urlsafe_b64encode(thumbprint).rstrip(b"=").decode()
        self._key = RSAKey.import_key(private_key)
        self._der = certificate.public_bytes(serialization.Encoding.DER)

    def jwks(self) -> dict[str, Any]:
        """Return the key set, as Entra's: with x5t and x5c, and without ``alg``."""
        public = self._key.as_dict(private=False)
        names = {"kty": "RSA", "use": "sig", "kid": self.kid, "x5t": self.kid}
        chain = {"x5c": [base64.b64encode(self._der).decode()]}
        return {"keys": [{**names, "n": public["n"], "e": public["e"], **chain}]}

    def sign(self, claims: dict[str, Any]) -> str:
        """Return the claims as a JWT."""
        header = {"typ": "JWT", "alg": "RS256", "kid": self.kid}
        return jwt.encode(header, claims, self._key, algorithms=["RS256"])

    def verified(self, token: str) -> Mapping[str, Any] | None:
        """Return the claims of a token that this key signed, whatever they say; else None."""
        try:
            return jwt.decode(token, self._key, algorithms=["RS256"]).claims
        except (JoseError, ValueError):
            return None


def claims(app: App, api: Api, *, issuer: str, now: datetime, uti: str) -> dict[str, Any]:
    """Return the claims of an access token for ``api``; ``uti`` names it, and is its own."""
    issued_at = int(now.timestamp())
    # The object ID of the app's service principal: one for each app and tenant, and always it.
    principal = str(uuid5(NAMESPACE_URL, f"{issuer}/{app.client_id}"))
    roles = app.roles.get(api.app_id_uri, ())
    return {
        "aud": api.client_id,
        "iss": issuer,
        "iat": issued_at,
        "nbf": issued_at,
        "exp": issued_at + int(LIFETIME.total_seconds()),
        "azp": app.client_id,
        "azpacr": "2",  # it proved itself by a key, not by a shared secret
        "idtyp": "app",
        "oid": principal,
        "sub": principal,
        "tid": TENANT,
        "uti": uti,
        "ver": "2.0",
        **({"roles": list(roles)} if roles else {}),
    }


def _certificate(private_key: rsa.RSAPrivateKey, now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "embedded authorization server")])
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=private_key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now,
        not_valid_after=now + _CERTIFICATE_LIFETIME,
    )
    return builder.sign(private_key, hashes.SHA256())
