"""Which keys of a stranger's set can be trusted, and for what."""

import base64
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from machine_identity import jwk, jws
from machine_identity.errors import KeySetUnavailableError
from machine_identity.key_set import TrustedKey, parse
from tests.strangers import CURVES, PRIVATE, ec_jwk, octets, rsa_jwk


def trusted(*entries: object) -> dict[str, TrustedKey]:
    """What remains of these beside a good key, which always remains."""
    good = {**ec_jwk(), "kid": "good"}
    keys = parse(json.dumps({"keys": [*entries, good]}).encode())
    del keys["good"]
    return keys


def pem(key: TrustedKey) -> bytes:
    return key.public_key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


# Keys


def test_an_rsa_key_is_bound_to_rsa_algorithms_and_an_ec_key_to_that_of_its_curve() -> None:
    keys = trusted(rsa_jwk(), *(ec_jwk(crv, kid=crv) for crv in CURVES))
    assert {kid: sorted(key.algorithms) for kid, key in keys.items()} == {
        "r1": ["PS256", "PS384", "PS512", "RS256", "RS384", "RS512"],
        **{crv: [algorithm] for crv, (_, algorithm) in CURVES.items()},
    }
    assert pem(keys["r1"]) == PRIVATE.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert set().union(*(key.algorithms for key in keys.values())) == set(jws.ALGORITHMS)


@pytest.mark.parametrize("algorithm", jwk.ALGORITHMS)
def test_what_we_publish_ourselves_is_trusted_for_its_one_algorithm(algorithm: str) -> None:
    curve = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1()}.get(algorithm)
    key = ec.generate_private_key(curve) if curve else PRIVATE
    published = jwk.from_public_key(key.public_key(), algorithm)
    assert trusted(published)[published["kid"]].algorithms == {algorithm}


def test_members_that_do_not_matter_are_ignored() -> None:
    certificate = {"x5c": ["MII…"], "x5t": "t", "x5t#S256": "t", "x5u": "https://a.example/x"}
    entry = rsa_jwk(**certificate, issuer="https://issuer.example", use="sig", ext=True)
    assert trusted(entry).keys() == {"r1"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x5t", 7),
        ("x5t", None),
        ("x5t#S256", ["t"]),
        ("x5u", None),
        ("x5u", "x"),
        ("x5u", "http://a.example/x"),
        ("x5u", ["https://a.example/x"]),
        ("x5c", None),
        ("x5c", "MII…"),
        ("x5c", ["MII…", 7]),
    ],
)
def test_a_registered_member_of_another_type_costs_the_key(name: str, value: object) -> None:
    assert trusted(rsa_jwk(**{name: value}), ec_jwk()).keys() == {"e1"}


@pytest.mark.parametrize("bits", [1024, 2040, 2047])
def test_an_rsa_key_below_2048_bits_is_not_trusted(bits: int) -> None:
    assert trusted(rsa_jwk(n=octets((1 << bits) - 1))) == {}


def test_the_largest_rsa_key_has_8192_bits() -> None:
    assert trusted(rsa_jwk(n=octets((1 << 8192) - 1))).keys() == {"r1"}
    assert trusted(rsa_jwk(n=octets((1 << 8193) - 1))) == {}


def test_an_even_modulus_is_not_trusted() -> None:
    assert trusted(rsa_jwk(n=octets((1 << 2048) - 2))) == {}


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 17, 65535, 65536, 65538, 2**32 + 1, 2**64 + 1])
def test_a_small_even_or_huge_exponent_is_not_trusted(exponent: int) -> None:
    assert trusted(rsa_jwk(e=octets(exponent, 9))) == {}


@pytest.mark.parametrize("exponent", [65537, 65539, 2**32 - 1])
def test_an_odd_exponent_from_65537_is_trusted(exponent: int) -> None:
    assert trusted(rsa_jwk(e=octets(exponent))).keys() == {"r1"}


@pytest.mark.parametrize("crv", CURVES)
def test_a_point_off_its_curve_is_not_trusted(crv: str) -> None:
    size = (CURVES[crv][0].key_size + 7) // 8
    assert trusted(ec_jwk(crv, y=octets(1, size))) == {}
    assert trusted(ec_jwk(crv, x=octets(0, size), y=octets(0, size))) == {}


def test_a_coordinate_has_the_full_length_of_its_field() -> None:
    entry = ec_jwk()
    for name in ("x", "y"):
        padded = base64.urlsafe_b64encode(b"\0" + base64.urlsafe_b64decode(entry[name] + "="))
        assert trusted({**entry, name: padded.decode().rstrip("=")}) == {}
    assert trusted({**entry, "crv": "P-384"}) == {}


@pytest.mark.parametrize("name", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
def test_a_key_with_a_private_or_symmetric_member_is_not_trusted(name: str) -> None:
    assert trusted(rsa_jwk(**{name: "AQAB"})) == {}
    assert trusted(ec_jwk(**{name: "AQAB"})) == {}


@pytest.mark.parametrize(
    "change",
    [
        {"kty": ...},
        {"kty": "oct"},
        {"kty": "OKP"},
        {"kty": "rsa"},
        {"kty": ["RSA"]},
        {"kid": ...},
        {"kid": ""},
        {"kid": 7},
        {"kid": "k" * 257},
        {"kid": "k\ud800"},
        {"use": "enc"},
        {"use": None},
        {"use": ["sig"]},
        {"key_ops": []},
        {"key_ops": ["sign"]},
        {"key_ops": ["encrypt", "wrapKey"]},
        {"key_ops": "verify"},
        {"key_ops": None},
        {"key_ops": ["verify", 7]},
        {"use": "enc", "key_ops": ["verify"]},
        {"use": "sig", "key_ops": ["sign"]},
        {"alg": "RSA-OAEP"},
        {"alg": "HS256"},
        {"alg": "none"},
        {"alg": None},
        {"alg": ""},
        {"alg": ["RS256"]},
        {"alg": {"RS256": 1}},
    ],
)
def test_what_is_not_for_signatures_of_a_known_kind_is_not_trusted(change: dict[str, Any]) -> None:
    assert trusted(rsa_jwk(**change)) == {}
    assert trusted(ec_jwk(**change)) == {}


@pytest.mark.parametrize("change", [{}, {"use": "sig"}, {"key_ops": ["verify"]}])
def test_and_what_is_is(change: dict[str, Any]) -> None:
    assert trusted(rsa_jwk(**change), ec_jwk(**change)).keys() == {"r1", "e1"}


@pytest.mark.parametrize(
    ("entry", "algorithms"),
    [
        (rsa_jwk(alg="PS256"), {"PS256"}),
        (rsa_jwk(alg="ES256"), None),
        (ec_jwk(alg="ES256"), {"ES256"}),
        (ec_jwk(alg="ES384"), None),
        (ec_jwk(alg="RS256"), None),
    ],
)
def test_an_alg_binds_the_key_to_it_and_must_fit(
    entry: dict[str, Any], algorithms: set[str] | None
) -> None:
    keys = list(trusted(entry).values())
    assert [set(key.algorithms) for key in keys] == ([algorithms] if algorithms else [])


@pytest.mark.parametrize("name", ["n", "e"])
@pytest.mark.parametrize("value", [..., None, "", 7, ["AQAB"], "AQA*", "AQAB=", "A", "\ud800"])
def test_an_rsa_member_is_canonical_base64url(name: str, value: object) -> None:
    assert trusted(rsa_jwk(**{name: value})) == {}


@pytest.mark.parametrize("name", ["x", "y", "crv"])
@pytest.mark.parametrize("value", [..., None, "", 7, ["AQAB"], "secp256k1", "P-256K"])
def test_an_ec_member_is_what_it_should_be(name: str, value: object) -> None:
    entry = {**ec_jwk(), name: value}
    assert trusted({member: each for member, each in entry.items() if each is not ...}) == {}


def test_base64url_has_one_spelling_here_too() -> None:
    entry = ec_jwk()
    last = entry["x"][-1]  # 43 letters: two spare bits, zero when canonical
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = alphabet[alphabet.index(last) + 1]
    assert trusted(entry).keys() == {"e1"}
    assert trusted({**entry, "x": entry["x"][:-1] + other}) == {}


def test_a_leading_zero_octet_as_java_writes_it_is_forgiven() -> None:
    n = PRIVATE.public_key().public_numbers().n
    assert trusted(rsa_jwk(n=octets(n, 257))).keys() == {"r1"}


def test_of_keys_that_share_a_kid_none_is_trusted_and_the_others_are() -> None:
    assert trusted(rsa_jwk(kid="k"), ec_jwk(kid="k"), rsa_jwk()).keys() == {"r1"}
    assert trusted(rsa_jwk(), rsa_jwk()) == {}


def test_a_double_that_cannot_be_trusted_anyway_does_not_count() -> None:
    assert trusted(rsa_jwk(), rsa_jwk(use="enc")).keys() == {"r1"}


@pytest.mark.parametrize("entry", [None, 7, "key", [], {}, [rsa_jwk()]])
def test_an_entry_that_is_no_key_does_not_cost_the_good_ones(entry: object) -> None:
    assert trusted(entry, rsa_jwk()).keys() == {"r1"}


def written(*entries: str) -> dict[str, TrustedKey]:
    """What remains of entries that no dictionary can hold, beside a good key."""
    good = json.dumps({**ec_jwk(), "kid": "good"})
    keys = parse(f'{{"keys": [{", ".join([*entries, good])}]}}'.encode())
    del keys["good"]
    return keys


@pytest.mark.parametrize(
    "member",
    [
        '"kid": "r1"',
        '"kid": "other"',
        '"k\\u0069d": "r1"',
        '"use": "sig", "use": "sig"',
        '"use": "enc", "use": "sig"',
        '"x": {"a": 1, "a": 1}',
        '"x": 1e400',
        '"x": 123456789012345678901',
    ],
)
def test_a_key_with_two_readings_is_not_trusted_and_the_others_are(member: str) -> None:
    entry = json.dumps(rsa_jwk())
    other = json.dumps(ec_jwk())
    assert written(f"{entry[:-1]}, {member}}}", other).keys() == {"e1"}
    assert written(entry, other).keys() == {"r1", "e1"}


@pytest.mark.parametrize("member", ['"x": [{"a": 1, "a": 1}]', '"x": 1e300', '"x": {"a": 1}'])
def test_what_does_not_concern_a_key_does_not_cost_it(member: str) -> None:
    entry = json.dumps(rsa_jwk())
    assert written(f"{entry[:-1]}, {member}}}").keys() == {"r1"}


def marked(bits: int, power: int) -> int:
    """A modulus with the mark of CVE-2017-15361: a power of 65537 modulo each small prime."""
    primes = [p for p in range(2, 168) if all(p % each for each in range(2, p))]
    product = math.prod(primes)
    return pow(65537, power, product) + product * ((1 << bits) // product - 1)


@pytest.mark.parametrize("power", [1, 2, 12345])
@pytest.mark.parametrize("bits", [2048, 4096])
def test_a_modulus_with_the_mark_of_roca_is_not_trusted(bits: int, power: int) -> None:
    assert trusted(rsa_jwk(n=octets(marked(bits, power)))) == {}
    assert trusted(rsa_jwk(n=octets(marked(bits, power) + 2))).keys() == {"r1"}


@pytest.mark.parametrize(
    "prime", [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157]
)
def test_one_prime_without_the_mark_is_enough_to_be_sound(prime: int) -> None:
    powers = {pow(65537, power, prime) for power in range(prime)}
    step = math.prod(each for each in range(2, 168) if all(each % p for p in range(2, each)))
    step //= prime
    base = marked(2048, 7)
    sound = next(
        base + step * number
        for number in range(1, prime)
        if (base + step * number) % prime not in powers | {0}
    )
    assert trusted(rsa_jwk(n=octets(sound))).keys() == {"r1"}


# Sets


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html>",
        b'{"keys":',
        b"[]",
        b"7",
        b"{}",
        b'{"keys":null}',
        b'{"keys":{}}',
        b'{"keys":[]}',
        b"\xff",
        b'{"keys":' + b"[" * 100_000,
        b'{"keys":' + b"1" * 5000 + b"}",
        b'{"keys":' + b"[" * 16 + b"]" * 16 + b"}",
    ],
)
def test_what_is_no_key_set_or_an_empty_one_is_unavailable(document: bytes) -> None:
    with pytest.raises(KeySetUnavailableError):
        parse(document)


@pytest.mark.parametrize(
    "change",
    [
        lambda document: b"\xef\xbb\xbf" + document,
        lambda document: document.decode().encode("utf-16"),
        lambda document: document + b"{}",
        lambda document: document[:-1] + b', "keys": []}',
        lambda document: document[:-1] + b', "x": NaN}',
        lambda document: document[:-1] + b', "x": "\xff"}',
    ],
)
def test_a_set_that_is_not_one_json_object_with_one_reading_is_unavailable(
    change: Callable[[bytes], bytes],
) -> None:
    document = json.dumps({"keys": [rsa_jwk()]}).encode()
    assert parse(document).keys() == {"r1"}
    with pytest.raises(KeySetUnavailableError, match="not a JWK Set"):
        parse(change(document))


def test_a_set_without_a_key_that_can_be_used_is_unavailable() -> None:
    with pytest.raises(KeySetUnavailableError, match="no key that can be used"):
        parse(json.dumps({"keys": [rsa_jwk(use="enc"), rsa_jwk(e="Aw")]}).encode())


def test_a_set_of_a_hundred_keys_is_read_and_a_larger_one_is_not() -> None:
    keys = [rsa_jwk(kid=f"k{number}") for number in range(101)]
    assert len(parse(json.dumps({"keys": keys[:100]}).encode())) == 100
    with pytest.raises(KeySetUnavailableError, match="more than 100 keys"):
        parse(json.dumps({"keys": keys}).encode())


def test_no_key_is_in_a_repr() -> None:
    keys = parse(json.dumps({"keys": [rsa_jwk()]}).encode())
    assert str(PRIVATE.public_key().public_numbers().n) not in repr(keys)
    assert "object at" not in repr(keys)
