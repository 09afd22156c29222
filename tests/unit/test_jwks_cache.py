"""Which keys of a stranger's set can be trusted, and when the stranger is asked again."""

import base64
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from machine_identity import jwk, jwks_cache, jws
from machine_identity.errors import KeySetUnavailableError
from machine_identity.jwks_cache import Action, Attempt, Cache, Limits, TrustedKey, decide, parse

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CURVES: dict[str, tuple[ec.EllipticCurve, str]] = {
    "P-256": (ec.SECP256R1(), "ES256"),
    "P-384": (ec.SECP384R1(), "ES384"),
    "P-521": (ec.SECP521R1(), "ES512"),
}


def octets(number: int, size: int = 0) -> str:
    content = number.to_bytes(size or (number.bit_length() + 7) // 8)
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def rsa_jwk(**members: Any) -> dict[str, Any]:
    numbers = PRIVATE.public_key().public_numbers()
    entry = {"kty": "RSA", "kid": "r1", "n": octets(numbers.n), "e": octets(numbers.e)}
    return {name: each for name, each in {**entry, **members}.items() if each is not ...}


def ec_jwk(crv: str = "P-256", **members: Any) -> dict[str, Any]:
    curve, _ = CURVES[crv]
    point = ec.generate_private_key(curve).public_key().public_numbers()
    size = (curve.key_size + 7) // 8
    entry = {"kty": "EC", "kid": "e1", "crv": crv}
    entry |= {"x": octets(point.x, size), "y": octets(point.y, size)}
    return {name: each for name, each in {**entry, **members}.items() if each is not ...}


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
    padded = base64.urlsafe_b64encode(b"\0" + base64.urlsafe_b64decode(entry["x"] + "="))
    assert trusted({**entry, "x": padded.decode().rstrip("=")}) == {}
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
    entry = rsa_jwk()
    keys = parse(json.dumps({"keys": [entry]}).encode())
    cache = jwks_cache.fetched(keys, NOW, max_age=None, etag='"secret"')
    shown = repr(cache) + repr(keys)
    assert "secret" not in shown
    assert str(PRIVATE.public_key().public_numbers().n) not in shown
    assert "object at" not in shown


# Decisions

LIMITS = Limits()
KEYS: Mapping[str, TrustedKey] = parse(json.dumps({"keys": [rsa_jwk()]}).encode())
KEY = KEYS["r1"]
EMPTY = Cache()
HOUR, DAY = timedelta(hours=1), timedelta(hours=24)
CERTAIN = 1 - 2**-53
"""The greatest that chance can be."""


def attempt(
    after: timedelta = timedelta(), *, took: timedelta = timedelta(), chance: float = 0
) -> Attempt:
    return Attempt(begun_at=NOW + after, ended_at=NOW + after + took, chance=chance)


def holding(keys: Mapping[str, TrustedKey], after: timedelta = timedelta()) -> Cache:
    return jwks_cache.fetched(keys, NOW + after, max_age=None, etag='"v1"')


def succeeded(
    cache: Cache,
    keys: Mapping[str, TrustedKey],
    after: timedelta,
    *,
    took: timedelta = timedelta(),
    chance: float = 0,
) -> Cache:
    """What comes after ``cache`` when these keys are fetched."""
    new = holding(keys, after)
    return jwks_cache.successor(cache, new, attempt(after, took=took, chance=chance), LIMITS)


FULL = holding(KEYS)


def decided(
    cache: Cache, after: timedelta = timedelta(), kid: str = "r1", limits: Limits = LIMITS
) -> tuple[Action, TrustedKey | None]:
    decision = decide(cache, kid, NOW + after, limits)
    return decision.action, decision.key


def failing(cache: Cache, *after: timedelta, chance: float = 0) -> Cache:
    for each in after:
        cache = jwks_cache.failed(cache, attempt(each, chance=chance))
    return cache


USE, REFRESH, REFUSE, FAIL = Action.USE, Action.REFRESH, Action.REFUSE, Action.FAIL


def test_without_a_set_there_is_nothing_but_to_ask() -> None:
    assert decided(EMPTY) == (REFRESH, None)


def test_rule_1_a_known_key_serves_until_its_set_is_due() -> None:
    assert decided(FULL) == (USE, KEY)
    assert decided(FULL, HOUR - SECOND) == (USE, KEY)
    assert decided(FULL, HOUR) == (REFRESH, KEY)
    assert decided(FULL, DAY - SECOND) == (REFRESH, KEY)


def test_rule_1_and_beyond_while_the_issuer_is_down_until_the_hard_age() -> None:
    down = failing(FULL, HOUR)
    assert decided(down, HOUR) == (USE, KEY)
    assert decided(down, HOUR + LIMITS.cooldown - SECOND) == (USE, KEY)
    assert decided(down, HOUR + LIMITS.cooldown) == (REFRESH, KEY)
    late = failing(FULL, DAY - SECOND)
    assert decided(late, DAY - SECOND) == (USE, KEY)
    assert decided(late, DAY) == (REFRESH, None)
    assert decided(failing(late, DAY), DAY) == (FAIL, None)
    assert decided(FULL, DAY) == (REFRESH, None)
    assert decided(FULL, 300 * DAY) == (REFRESH, None)


@pytest.mark.parametrize(
    ("max_age", "due"),
    [
        (timedelta(), timedelta(minutes=5)),
        (timedelta(seconds=299), timedelta(minutes=5)),
        (timedelta(seconds=301), timedelta(seconds=301)),
        (timedelta(minutes=59), timedelta(minutes=59)),
        (DAY, HOUR),
        (None, HOUR),
    ],
)
def test_rule_1_the_issuer_s_max_age_counts_within_bounds(
    max_age: timedelta | None, due: timedelta
) -> None:
    cache = jwks_cache.fetched(KEYS, NOW, max_age=max_age, etag="")
    assert decided(cache, due - SECOND) == (USE, KEY)
    assert decided(cache, due) == (REFRESH, KEY)


def test_rule_1_a_refresh_interval_below_all_bounds_and_the_cooldown_still_counts() -> None:
    limits = replace(LIMITS, refresh_interval=timedelta(seconds=5))
    assert decided(FULL, timedelta(seconds=4), limits=limits) == (USE, KEY)
    assert decided(FULL, timedelta(seconds=5), limits=limits) == (REFRESH, KEY)


def test_rule_1_a_hard_age_below_the_cooldown_is_no_reason_to_wait() -> None:
    limits = replace(LIMITS, max_age=timedelta(seconds=5))
    assert decided(FULL, timedelta(seconds=4), limits=limits) == (USE, KEY)
    assert decided(FULL, timedelta(seconds=5), limits=limits) == (REFRESH, None)


def test_rule_2_unknown_keys_are_asked_for_once_in_a_cooldown_all_together() -> None:
    for kid in ("x1", "x2"):
        assert decided(FULL, kid=kid) == (REFUSE, None)
        assert decided(FULL, LIMITS.cooldown - SECOND, kid) == (REFUSE, None)
        assert decided(FULL, LIMITS.cooldown, kid) == (REFRESH, None)
    again = holding(KEYS, LIMITS.cooldown)
    assert decided(again, LIMITS.cooldown, "x3") == (REFUSE, None)
    assert decided(again, 2 * LIMITS.cooldown - SECOND, "x3") == (REFUSE, None)


def test_rule_2_an_unknown_key_does_not_make_a_known_one_wait() -> None:
    cache = failing(FULL, LIMITS.cooldown)
    assert decided(cache, LIMITS.cooldown) == (USE, KEY)


@pytest.mark.parametrize(
    ("chance", "seconds"),
    [
        (0, [30, 60, 120] + [150] * 11),
        (0.5, [45, 90, 180] + [225] * 11),
        (CERTAIN, [60, 120, 240] + [300] * 11),
    ],
)
def test_rule_3_the_pauses_double_up_to_five_minutes_and_up_to_half_of_them_is_chance(
    chance: float, seconds: list[int]
) -> None:
    cache, at = FULL, HOUR
    for each in seconds:
        cache = failing(cache, at, chance=chance)
        at += timedelta(seconds=each)
        assert decided(cache, at - timedelta(milliseconds=1)) == (USE, KEY)
        assert decided(cache, at) == (REFRESH, KEY)


def test_rule_3_a_pause_begins_when_the_attempt_ends() -> None:
    slow = jwks_cache.failed(FULL, attempt(HOUR, took=9 * SECOND))
    end = HOUR + 9 * SECOND + LIMITS.cooldown
    assert decided(slow, HOUR) == (USE, KEY)  # also for who read the clock when it began
    assert decided(slow, HOUR, "x") == (FAIL, None)
    assert decided(slow, end - SECOND) == (USE, KEY)
    assert decided(slow, end) == (REFRESH, KEY)


def test_rule_3_without_a_set_to_go_on_with_they_begin_at_a_second() -> None:
    cache = failing(EMPTY, timedelta())
    assert decided(cache) == (FAIL, None)
    assert decided(cache, SECOND - timedelta(milliseconds=1)) == (FAIL, None)
    assert decided(cache, SECOND) == (REFRESH, None)
    cache = failing(cache, SECOND)
    assert decided(cache, 3 * SECOND - timedelta(milliseconds=1)) == (FAIL, None)
    assert decided(cache, 3 * SECOND) == (REFRESH, None)
    for _ in range(1000):
        cache = failing(cache, timedelta())
    assert decided(cache, timedelta(seconds=149)) == (FAIL, None)
    assert decided(cache, timedelta(seconds=150)) == (REFRESH, None)


@pytest.mark.parametrize(("chance", "seconds"), [(0, 600), (CERTAIN, 1200)])
def test_rule_3_no_pause_is_shorter_than_a_cooldown_beyond_five_minutes(
    chance: float, seconds: int
) -> None:
    limits = replace(LIMITS, cooldown=timedelta(minutes=10))
    cache = failing(FULL, HOUR, HOUR, HOUR, chance=chance)
    end = HOUR + timedelta(seconds=seconds)
    assert decided(cache, end - SECOND, limits=limits) == (USE, KEY)
    assert decided(cache, end, limits=limits) == (REFRESH, KEY)


def test_rule_3_one_success_ends_it() -> None:
    down = failing(FULL, HOUR, HOUR + 30 * SECOND)
    up = succeeded(down, KEYS, 2 * HOUR)
    same = jwks_cache.confirmed(down, NOW + 2 * HOUR, max_age=None)
    for cache in (up, same):
        assert decided(cache, 3 * HOUR - SECOND) == (USE, KEY)
        assert decided(cache, 2 * HOUR, "x") == (REFUSE, None)
        assert decided(cache, 3 * HOUR) == (REFRESH, KEY)


def test_rule_4_an_unknown_key_while_the_issuer_is_down_cannot_be_judged() -> None:
    down = failing(FULL, HOUR)
    assert decided(down, HOUR, "x") == (FAIL, None)
    assert decided(down, HOUR + LIMITS.cooldown, "x") == (REFRESH, None)


# Sets in doubt (rule 5)

FIVE = parse(json.dumps({"keys": [ec_jwk(kid=f"k{number}") for number in range(5)]}).encode())
OTHER = parse(json.dumps({"keys": [ec_jwk(kid=f"o{number}") for number in range(5)]}).encode())


def some(keys: Mapping[str, TrustedKey], count: int) -> dict[str, TrustedKey]:
    return dict(list(keys.items())[:count])


def after(old: Mapping[str, TrustedKey], *new: Mapping[str, TrustedKey]) -> Cache:
    """What comes of ``old``, fetched at NOW, when these are fetched one cooldown apart."""
    cache, at = holding(old), HOUR
    for each in new:
        cache = succeeded(cache, each, at)
        at += LIMITS.cooldown
    return cache


@pytest.mark.parametrize(
    ("known", "left"), [(1, 0), (2, 1), (2, 2), (3, 2), (4, 2), (5, 3), (5, 5)]
)
def test_rule_5_a_set_that_lost_half_of_the_keys_or_less_or_the_only_one_is_taken(
    known: int, left: int
) -> None:
    new = {**some(FIVE, left), **some(OTHER, 1)}
    assert after(some(FIVE, known), new) == holding(new, HOUR)


@pytest.mark.parametrize(("known", "left"), [(2, 0), (3, 0), (3, 1), (4, 1), (5, 2)])
def test_rule_5_a_set_that_lost_more_is_in_doubt_and_both_serve(known: int, left: int) -> None:
    old, new = some(FIVE, known), {**some(FIVE, left), **OTHER}
    cache = after(old, new)
    assert cache.is_in_doubt
    assert cache.keys == {**old, **OTHER}
    for kid in cache.keys:
        assert decided(cache, HOUR, kid) == (USE, cache.keys[kid])
    assert decided(cache, HOUR, "x") == (FAIL, None)


@pytest.mark.parametrize("known", [1, 2, 5])
def test_rule_5_a_set_without_a_key_is_in_doubt_however_few_there_were(known: int) -> None:
    old = some(FIVE, known)
    cache = after(old, {})
    assert cache.is_in_doubt
    assert cache.keys == old
    assert decided(cache, HOUR, "k0") == (USE, FIVE["k0"])


def test_rule_5_the_second_set_counts_whatever_is_in_it() -> None:
    for second in (OTHER, some(OTHER, 2), FIVE, some(FIVE, 1)):
        assert after(FIVE, OTHER, second) == holding(second, HOUR + LIMITS.cooldown)


def test_rule_5_a_second_set_without_a_key_leaves_none_and_nobody_can_say() -> None:
    at = HOUR + LIMITS.cooldown
    cache = after(FIVE, {}, {})
    assert (cache.keys, cache.fetched_at) == ({}, None)
    assert decided(cache, at, "k0") == (FAIL, None)
    assert decided(cache, at + 2 * SECOND - timedelta(milliseconds=1), "k0") == (FAIL, None)
    assert decided(cache, at + 2 * SECOND, "k0") == (REFRESH, None)
    assert after(FIVE, {}, {}, OTHER) == holding(OTHER, HOUR + 2 * LIMITS.cooldown)


def test_rule_5_a_set_in_doubt_is_asked_for_again_after_one_or_two_cooldowns() -> None:
    for chance, cooldowns in ((0, 1), (CERTAIN, 2)):
        down = failing(holding(FIVE), *[HOUR] * 9)
        cache = succeeded(down, OTHER, HOUR, took=9 * SECOND, chance=chance)
        end = HOUR + 9 * SECOND + cooldowns * LIMITS.cooldown
        assert decided(cache, end - SECOND, "k0") == (USE, FIVE["k0"])
        assert decided(cache, end, "k0") == (REFRESH, FIVE["k0"])
        assert decided(cache, end, "o0") == (REFRESH, OTHER["o0"])


def test_rule_5_it_is_asked_for_again_even_if_the_old_set_is_fresh() -> None:
    at = LIMITS.cooldown
    cache = succeeded(holding(FIVE), OTHER, at)
    assert decided(cache, 2 * at - SECOND, "k0") == (USE, FIVE["k0"])
    assert decided(cache, 2 * at, "k0") == (REFRESH, FIVE["k0"])


def test_rule_5_a_failure_decides_nothing_and_the_hard_age_is_that_of_the_old_set() -> None:
    cache = failing(after(FIVE, OTHER), HOUR + LIMITS.cooldown)
    assert cache.is_in_doubt
    assert decided(cache, DAY - SECOND, "k0") == (REFRESH, FIVE["k0"])
    assert decided(cache, DAY, "k0") == (REFRESH, None)
    assert decided(cache, DAY, "o0") == (REFRESH, None)
    assert succeeded(cache, OTHER, 2 * HOUR) == holding(OTHER, 2 * HOUR)


def test_rule_5_a_set_in_doubt_has_no_entity_tag_because_the_second_must_be_whole() -> None:
    assert holding(FIVE).etag
    assert after(FIVE, OTHER).etag == ""


def test_rule_5_a_key_that_was_replaced_under_the_same_name_is_lost_and_the_old_one_goes_on() -> (
    None
):
    swapped = dict(zip(FIVE, OTHER.values(), strict=True))
    cache = after(FIVE, swapped)
    assert cache.is_in_doubt
    assert cache.keys == FIVE
    assert after(FIVE, swapped, swapped).keys == swapped


def test_rule_5_the_same_key_read_anew_is_not_lost() -> None:
    entries = [rsa_jwk(), ec_jwk()]
    once, again = (parse(json.dumps({"keys": entries}).encode()) for _ in range(2))
    assert after(once, again) == holding(again, HOUR)
    assert again["r1"] is not once["r1"]


def test_rule_5_there_is_no_doubt_where_the_old_set_is_too_old_or_there_is_none() -> None:
    new = holding(OTHER, HOUR)
    for old in (holding(FIVE, HOUR - DAY), EMPTY, failing(EMPTY, timedelta())):
        assert succeeded(old, OTHER, HOUR) == new
    young = holding(FIVE, HOUR - DAY + SECOND)
    assert succeeded(young, OTHER, HOUR).is_in_doubt
    ahead = holding(FIVE, HOUR + jwks_cache.STEP_BACK)
    assert succeeded(ahead, OTHER, HOUR).is_in_doubt
    too_far = holding(FIVE, HOUR + jwks_cache.STEP_BACK + SECOND)
    assert succeeded(too_far, OTHER, HOUR) == new


def test_rule_5_a_set_without_a_key_where_none_can_serve_is_a_failure_like_any_other() -> None:
    cache, at = EMPTY, timedelta()
    for seconds in (1, 2, 4):
        cache = succeeded(cache, {}, at)
        at += timedelta(seconds=seconds)
        assert decided(cache, at - timedelta(milliseconds=1), "k0") == (FAIL, None)
        assert decided(cache, at, "k0") == (REFRESH, None)


# Clocks


def test_a_clock_that_went_back_makes_it_time_to_ask() -> None:
    assert decided(FULL, -jwks_cache.DISORDER) == (USE, KEY)
    assert decided(FULL, -jwks_cache.DISORDER, "x") == (REFUSE, None)
    assert decided(FULL, -jwks_cache.DISORDER - SECOND) == (REFRESH, KEY)
    assert decided(FULL, -jwks_cache.DISORDER - SECOND, "x") == (REFRESH, None)
    assert decided(FULL, -jwks_cache.STEP_BACK) == (REFRESH, KEY)


def test_far_back_the_set_counts_as_too_old_and_no_old_pause_holds() -> None:
    assert decided(FULL, -jwks_cache.STEP_BACK - SECOND) == (REFRESH, None)
    down = failing(FULL, HOUR)
    assert decided(down, -DAY) == (REFRESH, None)
    still = failing(down, -DAY)
    assert decided(still, -DAY) == (FAIL, None)
