"""Certificates as the keyring orders them, and what of the evidence is believed: rule 8."""

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from machine_identity import certificate, certification
from machine_identity.keyring import Key
from machine_identity.testimony import Certified, Testimony
from tests.certificates import DER, EC, EC_KID, KID, certified, der_of, ordered
from tests.keyrings import DAY, SECOND, START, active, ring, standby

OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
VERSION = (bytes.fromhex("a003020102"), bytes.fromhex("a003020107"))
"""Of X.509: three, and one that nobody knows."""
EXTENSION = (bytes.fromhex("0603551d0e"), bytes.fromhex("0603551d0f"))
"""The identifier of the key as a second usage of it."""


def told(*ders: bytes, kid: str = KID) -> Testimony:
    texts = (base64.b64encode(each).decode() for each in ders)
    return Testimony(certificates=tuple(Certified(kid=kid, der=each) for each in texts))


def test_rule_8_the_terms_are_those_of_the_key_s_record_and_the_serial_number_follows() -> None:
    key = certified()
    terms = certification.terms(key, "north")
    assert (terms.identity, terms.not_before, terms.not_after) == (
        "north",
        START,
        START + 90 * DAY,
    )
    assert terms.serial == certificate.serial_number(KID, START, START + 90 * DAY)
    for missing in ("certificate_from", "certificate_until"):
        unordered: dict[str, Any] = {missing: None}
        with pytest.raises(AssertionError, match="orders no certificate"):
            certification.terms(replace(key, **unordered), "north")


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
def test_rule_8_the_certificate_that_was_ordered_is_found(algorithm: str) -> None:
    key = certified(algorithm=algorithm)
    found = certification.certified(key, told(der_of(key, algorithm=algorithm)))
    assert found is not None
    assert found.thumbprint == certificate.thumbprint(found.der)
    assert found.der == DER


def test_rule_8_the_certificate_of_an_ec_key_is_found_too() -> None:
    key = certified(private=EC, algorithm="ES256")
    der = der_of(key, EC, "ES256")
    assert certification.certified(key, told(der, kid=EC_KID)) is not None


@pytest.mark.parametrize(
    "dates",
    [
        {"certificate_from": START - SECOND},
        {"certificate_from": START + SECOND},
        {"certificate_until": START + 90 * DAY - SECOND},
        {"certificate_until": START + 90 * DAY + SECOND},
        {"certificate_from": None},
        {"certificate_until": None},
    ],
    ids=str,
)
def test_rule_8_a_certificate_with_other_dates_is_not_the_one_that_was_ordered(
    dates: dict[str, Any],
) -> None:
    key = replace(certified(), **dates)
    assert certification.certified(key, told(DER)) is None
    assert certification.observed(ring(key), told(DER)).key(KID).thumbprint == ""


def foreign() -> bytes:
    """Return another's certificate, who signs it himself and claims the dates."""
    key = certified(private=OTHER)
    return der_of(key, OTHER)


def of_a_curve() -> bytes:
    return der_of(certified(private=EC, algorithm="ES256"), EC, "ES256")


def of_a_strange_curve() -> bytes:
    private = ec.generate_private_key(ec.SECP384R1())
    return der_of(certified(private=private, algorithm="ES384"), private, "ES384")


HOSTILE: list[Callable[[], bytes]] = [
    bytes,
    lambda: b"\x30",
    lambda: DER[:-1],
    lambda: DER + b"\0",
    lambda: DER[:-1] + bytes([DER[-1] ^ 1]),
    lambda: DER.replace(*VERSION),
    lambda: DER.replace(*EXTENSION),
    foreign,
    of_a_curve,
    of_a_strange_curve,
]


@pytest.mark.parametrize("made", HOSTILE)
def test_rule_8_whatever_else_stands_in_the_evidence_is_no_certificate_and_stops_nothing(
    made: Callable[[], bytes],
) -> None:
    key, testimony = certified(), told(made())
    assert made() != DER
    assert certification.certified(key, testimony) is None
    assert certification.observed(ring(key), testimony) == ring(key)
    assert certification.uncertified(ring(key), testimony) == (key,)
    unordered = replace(key, certificate_from=None, certificate_until=None)
    assert certification.restored(unordered, testimony) == unordered


@pytest.mark.parametrize("text", ["", "=", "no base64", "\ud800", "ä", ordered()[:-2] + "\n=="])
def test_rule_8_what_is_no_base64_is_no_certificate(text: str) -> None:
    testimony = Testimony(certificates=(Certified(kid=KID, der=text),))
    assert certification.certified(certified(), testimony) is None


def test_without_evidence_nothing_is_certified() -> None:
    key = certified()
    assert certification.certified(key, None) is None
    assert certification.certified(key, told(DER, kid="another")) is None
    assert certification.observed(ring(key), None) == ring(key)


# Names


def test_rule_8_the_name_of_a_certificate_is_taken_over_once_and_never_changes() -> None:
    key = certified()
    named = certification.observed(ring(active(), key, standby()), told(DER))
    name = certificate.thumbprint(DER)
    assert [each.thumbprint for each in named.keys] == ["", name, ""]
    assert certification.observed(named, told(DER)) == named
    renamed = named.with_key(replace(named.key(KID), thumbprint="as it was"))
    assert certification.observed(renamed, told(DER)) == renamed


def test_rule_8_a_published_key_in_any_state_gets_its_name_and_a_removed_one_none() -> None:
    for state, is_named in (("active", True), ("retired", True), ("removed", False)):
        (key,) = certification.observed(ring(certified(state)), told(DER)).keys
        assert bool(key.thumbprint) is is_named


def test_a_lost_record_is_restored_with_the_order_by_which_its_certificate_was_made() -> None:
    key = certified()
    lost = replace(key, certificate_from=None, certificate_until=None)
    assert certification.restored(lost, told(DER)) == key
    assert certification.restored(lost, None) == lost
    later = replace(key, certificate_from=START + DAY)
    assert certification.restored(later, told(DER)) == later


# Making


def test_a_certificate_is_to_be_made_of_each_published_key_that_has_none_as_ordered() -> None:
    key, unordered = certified(), standby()
    assert certification.uncertified(ring(key, unordered), Testimony()) == (key,)
    assert certification.uncertified(ring(key), told(DER)) == ()
    assert certification.uncertified(ring(certified("removed")), Testimony()) == ()
    later = replace(key, certificate_until=START + 91 * DAY)
    assert certification.uncertified(ring(later), told(DER)) == (later,)


def made_of(key: Key, der: bytes) -> Certified:
    return Certified(kid=key.kid, der=base64.b64encode(der).decode())


def test_a_certificate_takes_the_place_of_a_broken_one() -> None:
    key, other = certified(), Certified(kid="another", der="")
    broken = replace(told(foreign()), certificates=(other, *told(foreign()).certificates))
    after = certification.with_certificate(broken, key, made_of(key, DER))
    assert after.certificates == (other, made_of(key, DER))


def test_rule_5_of_two_runs_that_make_one_at_once_the_first_one_s_certificate_stays() -> None:
    key = certified(private=EC, algorithm="ES256")
    first, second = (made_of(key, der_of(key, EC, "ES256")) for _ in range(2))
    assert first != second
    after = certification.with_certificate(Testimony(), key, first)
    assert certification.with_certificate(after, key, second) == after
    longer = replace(key, certificate_until=START + 91 * DAY)
    assert certification.with_certificate(after, longer, second).certificates == (second,)


def test_a_certificate_is_never_shown_by_its_repr() -> None:
    assert ordered() not in repr(told(DER))
    assert ordered()[:20] not in repr(certification.certified(certified(), told(DER)))
