"""A certificate authority for loopback, made anew: key sets are fetched over HTTPS in earnest.

Its certificate joins the public ones in a bundle that every party is pointed to by the standard
variables (SSL_CERT_FILE, REQUESTS_CA_BUNDLE, NODE_EXTRA_CA_CERTS), so that reading a bundle of the
usual size is part of everybody's start. No party's own code is touched for it.
"""

import ssl
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from machine_identity import clock

LOOPBACK: Final = "127.0.0.1"
_DAY: Final = timedelta(days=1)
_NAME: Final = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench")])


def make(folder: Path) -> tuple[ssl.SSLContext, Path, Path]:
    """Return a server's context for loopback, the authority's certificate, and the bundle."""
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = _certificate(root_key, root_key, x509.BasicConstraints(ca=True, path_length=0))
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address(LOOPBACK))])
    leaf = _certificate(key, root_key, address).public_bytes(Encoding.PEM)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    authority, bundle, server = (folder / name for name in ("ca.pem", "bundle.pem", "server.pem"))
    authority.write_bytes(root.public_bytes(Encoding.PEM))
    bundle.write_bytes(Path(certifi.where()).read_bytes() + authority.read_bytes())
    server.write_bytes(private + leaf)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)
    return context, authority, bundle


def _certificate(
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    extension: x509.BasicConstraints | x509.SubjectAlternativeName,
) -> x509.Certificate:
    now, is_root = clock.now(), key is signer
    by = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    itself = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    usage = x509.KeyUsage(
        digital_signature=not is_root,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_root,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    subject = _NAME if is_root else x509.Name([])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(_NAME)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - _DAY).not_valid_after(now + _DAY)
    builder = builder.add_extension(by, critical=False).add_extension(itself, critical=False)
    builder = builder.add_extension(usage, critical=True).add_extension(extension, critical=True)
    return builder.sign(signer, hashes.SHA256())
