"""Public keys as JWKs, held to the RFCs' own examples and to two libraries' reading."""

import base64
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, RSAKey

from machine_identity import jwk
from machine_identity.errors import SettingsError
from machine_identity.jwk import PublicJwk, PublicKey

RFC_7517_EC: PublicJwk = {
    "kty": "EC",
    "crv": "P-256",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
}
"""RFC 7517 appendix A.1, the first key."""
RFC_7517_RSA: PublicJwk = {
    "kty": "RSA",
    "n": (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJ"
        "ECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW"
        "2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQ"
        "Fh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    ),
    "e": "AQAB",
}
"""RFC 7517 appendix A.1, the second key, which is also the example of RFC 7638 section 3.1."""
RFC_9449_EC: PublicJwk = {
    "kty": "EC",
    "crv": "P-256",
    "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
    "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
}
"""RFC 9449 section 4.1; its thumbprint stands in section 6.1."""

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
KEYS: dict[str, PublicKey] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256"), RSA),
    "ES256": ec.generate_private_key(ec.SECP256R1()).public_key(),
    "ES384": ec.generate_private_key(ec.SECP384R1()).public_key(),
}
MISMATCHES = [
    (key, algorithm)
    for key in (RSA, KEYS["ES256"], KEYS["ES384"])
    for algorithm in (*jwk.ALGORITHMS, "ES512", "PS384", "PS512", "EdDSA", "HS256", "none", "")
    if KEYS.get(algorithm) is not key
]


def der(key: Any) -> bytes:
    octets: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return octets


def from_members(members: PublicJwk) -> Any:
    return jwt.PyJWK({**members, "alg": "RS256" if members["kty"] == "RSA" else "ES256"}).key


def required(members: PublicJwk) -> dict[str, object]:
    return {name: value for name, value in members.items() if name not in ("kid", "use", "alg")}


@pytest.mark.parametrize(
    ("members", "thumbprint"),
    [
        (RFC_7517_RSA, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
        (RFC_9449_EC, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"),
    ],
    ids=["RFC 7638 section 3.1", "RFC 9449 section 6.1"],
)
def test_the_thumbprint_is_that_of_the_rfc_s_example(members: PublicJwk, thumbprint: str) -> None:
    assert jwk.thumbprint(members) == thumbprint
    more: PublicJwk = {"use": "sig", "kid": "2011-04-29", "alg": "RS256", **members}
    assert jwk.thumbprint(more) == thumbprint


@pytest.mark.parametrize("algorithm", jwk.ALGORITHMS)
def test_another_library_finds_the_same_thumbprint(algorithm: str) -> None:
    published: Any = jwk.from_public_key(KEYS[algorithm], algorithm)
    reader = RSAKey if published["kty"] == "RSA" else ECKey
    assert reader.import_key(published).thumbprint() == published["kid"]


@pytest.mark.parametrize(
    ("members", "algorithm"),
    [(RFC_7517_EC, "ES256"), (RFC_7517_RSA, "RS256"), (RFC_9449_EC, "ES256")],
)
def test_a_key_of_the_rfc_is_written_as_the_rfc_writes_it(
    members: PublicJwk, algorithm: str
) -> None:
    written = jwk.from_public_key(from_members(members), algorithm)
    assert required(written) == members


@pytest.mark.parametrize("algorithm", jwk.ALGORITHMS)
def test_what_kms_answers_is_read_back_by_two_libraries_as_the_same_key(algorithm: str) -> None:
    published: Any = jwk.from_der(der(KEYS[algorithm]), algorithm)
    reader = RSAKey if published["kty"] == "RSA" else ECKey
    assert der(jwt.PyJWK(published).key) == der(KEYS[algorithm])
    assert der(reader.import_key(published).public_key) == der(KEYS[algorithm])


@pytest.mark.parametrize("algorithm", jwk.ALGORITHMS)
def test_a_key_is_published_for_signatures_with_one_algorithm_and_nothing_private(
    algorithm: str,
) -> None:
    published = jwk.from_public_key(KEYS[algorithm], algorithm)
    members = {"n", "e"} if published["kty"] == "RSA" else {"crv", "x", "y"}
    assert set(published) == {"kty", "kid", "use", "alg"} | members
    assert (published["use"], published["alg"]) == ("sig", algorithm)
    assert published["kid"] == jwk.thumbprint(published)


@pytest.mark.parametrize(("curve", "algorithm"), [("P-256", "ES256"), ("P-384", "ES384")])
def test_a_coordinate_keeps_its_leading_zeros(curve: str, algorithm: str) -> None:
    """RFC 7518 section 6.2.1.2: the length of the octet string is that of the curve's field."""
    made = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1()}[curve]
    size = (made.key_size + 7) // 8
    scalars = (ec.derive_private_key(scalar, made).public_key() for scalar in range(1, 5000))
    low = 1 << 8 * (size - 1)
    key = next(k for k in scalars if k.public_numbers().x < low)
    published = jwk.from_public_key(key, algorithm)
    octets = base64.urlsafe_b64decode(published["x"] + "==")
    assert (len(octets), octets[0], published["crv"]) == (size, 0, curve)


def test_an_rsa_number_has_no_leading_zero_octet_and_no_padding() -> None:
    published = jwk.from_public_key(RSA, "RS256")
    octets = base64.urlsafe_b64decode(published["n"] + "==")
    assert (len(octets), published["e"]) == (256, "AQAB")
    assert octets[0] != 0
    assert "=" not in published["n"] + published["kid"]


@pytest.mark.parametrize(("key", "algorithm"), MISMATCHES)
def test_a_key_that_cannot_sign_with_the_algorithm_is_refused(
    key: PublicKey, algorithm: str
) -> None:
    with pytest.raises(SettingsError, match=f"cannot sign with {algorithm}$"):
        jwk.from_public_key(key, algorithm)
    with pytest.raises(SettingsError, match=f"cannot sign with {algorithm}$"):
        jwk.from_der(der(key), algorithm)


@pytest.mark.parametrize("curve", [ec.SECP521R1(), ec.SECP256K1(), ec.BrainpoolP256R1()])
@pytest.mark.parametrize("algorithm", [*jwk.ALGORITHMS, "ES512", "ES256K", ""])
def test_a_curve_that_is_none_of_ours_signs_with_nothing(
    curve: ec.EllipticCurve, algorithm: str
) -> None:
    key = ec.generate_private_key(curve).public_key()
    with pytest.raises(SettingsError, match=f"kind {curve.name} cannot sign with {algorithm}"):
        jwk.from_public_key(key, algorithm)


@pytest.mark.parametrize(
    "key",
    [
        ed25519.Ed25519PrivateKey.generate().public_key(),
        x25519.X25519PrivateKey.generate().public_key(),
        dsa.generate_private_key(key_size=2048).public_key(),
    ],
    ids=["Ed25519", "X25519", "DSA"],
)
@pytest.mark.parametrize("algorithm", jwk.ALGORITHMS)
def test_a_key_of_another_kind_signs_with_nothing(key: Any, algorithm: str) -> None:
    with pytest.raises(SettingsError, match=f"neither RSA nor EC cannot sign with {algorithm}"):
        jwk.from_der(der(key), algorithm)


@pytest.mark.parametrize(("bits", "is_taken"), [(2047, False), (2048, True), (2049, True)])
def test_an_rsa_key_of_fewer_than_2048_bits_is_refused(bits: int, *, is_taken: bool) -> None:
    """RFC 7518 section 3.3: a key of size 2048 bits or larger MUST be used."""
    key = rsa.RSAPublicNumbers(e=65537, n=(1 << bits) - 1).public_key()
    assert key.key_size == bits
    if is_taken:
        assert jwk.from_public_key(key, "PS256")["kty"] == "RSA"
    else:
        with pytest.raises(SettingsError, match="2048 bits, not 2047"):
            jwk.from_public_key(key, "PS256")
