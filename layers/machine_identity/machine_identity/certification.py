"""Rule 8: the certificates that the keyring orders, and what the evidence holds of them.

A key's record has the dates of its certificate, from which the serial number follows. The signer
makes it and keeps it in its evidence; rotation takes its name from there, and believes in none but
one of that very key, signed by it, with exactly those dates. Nothing is signed here.
"""

import base64
from dataclasses import replace

from machine_identity import certificate
from machine_identity.certificate import Certificate, CertificateError, Terms
from machine_identity.errors import SettingsError
from machine_identity.jwk import from_public_key
from machine_identity.keyring import Key, Keyring
from machine_identity.testimony import Certified, Testimony


def terms(key: Key, identity: str) -> Terms:
    """Return what the keyring orders a key's certificate to say."""
    first, until = key.certificate_from, key.certificate_until
    if first is None or until is None:
        raise AssertionError("the keyring orders no certificate of that key")
    serial = certificate.serial_number(key.kid, first, until)
    return Terms(identity=identity, serial=serial, not_before=first, not_after=until)


def certified(key: Key, testimony: Testimony | None) -> Certificate | None:
    """Return the certificate that was made of a key exactly as ordered, if one was."""
    made = read(key, testimony)
    ordered = (key.certificate_from, key.certificate_until)
    return made if made is not None and (made.not_before, made.not_after) == ordered else None


def observed(keyring: Keyring, testimony: Testimony | None) -> Keyring:
    """Return the keyring with the name of each certificate that was made; a name never changes."""
    for key in keyring.published:
        made = None if key.thumbprint else certified(key, testimony)
        if made is not None:
            keyring = keyring.with_key(replace(key, thumbprint=made.thumbprint))
    return keyring


def restored(key: Key, testimony: Testimony | None) -> Key:
    """Return the record of a key with the order by which its certificate was made, if it was."""
    made = None if key.certificate_from else read(key, testimony)
    if made is None:
        return key
    return replace(key, certificate_from=made.not_before, certificate_until=made.not_after)


def uncertified(keyring: Keyring, testimony: Testimony) -> tuple[Key, ...]:
    """Return the keys whose certificate is still to be made."""
    return tuple(
        key
        for key in keyring.published
        if key.certificate_from is not None and certified(key, testimony) is None
    )


def with_certificate(testimony: Testimony, key: Key, made: Certified) -> Testimony:
    """Return the testimony with a certificate that was made, in the place of a broken one.

    If another run was quicker its certificate stays, since somebody may have been shown it.
    """
    if certified(key, testimony) is not None:
        return testimony
    others = (each for each in testimony.certificates if each.kid != made.kid)
    return replace(testimony, certificates=(*others, made))


def read(key: Key, testimony: Testimony | None) -> Certificate | None:
    """Return a certificate of ours of that very key; None for none, or for another's."""
    told = () if testimony is None else testimony.certificates
    for each in (each for each in told if each.kid == key.kid):
        try:
            made = certificate.parse(base64.b64decode(each.der, validate=True))
            kid = from_public_key(made.public_key, key.jwk["alg"])["kid"]
        except (ValueError, CertificateError, SettingsError):
            return None
        return made if kid == key.kid else None
    return None
