"""A certificate that we are given with a key of ours, whoever made it: assertions name it.

It may be PEM, which may have a chain behind it, or the private key beside it, or DER. Of all that
it says one thing is looked at, whose key is in it: a name in an assertion that is not of the key
that signs would be refused far away, by a server that does not say why. Who signed it, and for how
long it is valid, is for the server to judge.
"""

from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from machine_identity import certificate
from machine_identity.errors import SettingsError
from machine_identity.jwk import PublicKey

_PEM: Final = b"-----BEGIN "


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenCertificate:
    """A file with a certificate, as it was read."""

    name: str
    """What errors call it."""
    octets: bytes = field(repr=False)

    def thumbprint(self, key: PublicKey) -> str:
        """Return the ``x5t#S256`` of the certificate of that very key.

        Raises SettingsError if there is none in it.
        """
        try:
            found = self._read()
            ours = [each for each in found if each.public_key() == key]
        except (ValueError, UnsupportedAlgorithm):
            raise SettingsError(f"{self.name} is not a readable certificate, PEM or DER") from None
        if not ours:
            raise SettingsError(f"the certificate in {self.name} is not of the key that signs")
        return certificate.thumbprint(ours[0].public_bytes(Encoding.DER))

    def _read(self) -> list[x509.Certificate]:
        if _PEM in self.octets:
            return x509.load_pem_x509_certificates(self.octets)
        return [x509.load_der_x509_certificate(self.octets)]
