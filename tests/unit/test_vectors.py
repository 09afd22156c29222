"""Public vectors: what is marked invalid is refused, and what is marked valid holds.

The vectors sign any octets, and a token's claims are a JSON object (RFC 7519 section 7.2), which
refuses nearly all of them whatever else is wrong. So each is judged twice: as it is (``whole``),
and with an empty object read in place of its payload, while the signature is checked over what it
was made over (``but_for_claims``). ``STRICTER`` names the rule for each valid one that is refused.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from copy import replace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from machine_identity import encoding, jws, key_set
from machine_identity.errors import InvalidTokenError, KeySetUnavailableError, Refusal
from machine_identity.key_set import TrustedKey

VECTORS = Path(__file__).parent.parent / "vectors"
ALL = frozenset(jws.ALGORITHMS)


@dataclass(frozen=True, kw_only=True)
class Case:
    number: int
    comment: str
    is_valid: bool
    token: str
    keys: tuple[Mapping[str, Any], ...]

    def trusted(self, *without: str) -> Mapping[str, TrustedKey]:
        """The keys that are trusted, after some members are left out of each."""
        entries = [
            {name: each for name, each in key.items() if name not in without} for key in self.keys
        ]
        try:
            return key_set.parse(json.dumps({"keys": entries}).encode())
        except KeySetUnavailableError:
            return {}


def wycheproof(name: str) -> list[Case]:
    groups = json.loads((VECTORS / "wycheproof" / name).read_text())["testGroups"]
    return [
        Case(
            number=test["tcId"],
            comment=test["comment"],
            is_valid={"valid": True, "invalid": False}[test["result"]],
            token=test["jws"],
            keys=tuple(key.get("keys", [key])),
        )
        for group in groups
        for key in [group.get("public") or group["private"]]
        for test in group["tests"]
    ]


SIGNATURES = wycheproof("json_web_signature_test.json")
KEYS = wycheproof("json_web_key_test.json")

STRICTER: dict[str, dict[int, Refusal]] = {
    "signature": {
        # HMAC is no algorithm here: who can check could also sign.
        **dict.fromkeys((1, 348, 352, 357, 358, 359, 373, 376, 377), Refusal.ALGORITHM),
        # A letter outside the alphabet in the header, which the vectors forgive.
        372: Refusal.MALFORMED,
        # PS384 under a key that says PS256.
        **dict.fromkeys((346, 350), Refusal.KEY_MISMATCH),
        # A key that says ES521, which is no algorithm (RFC 7518 section 3.1): left out.
        **dict.fromkeys((347, 351), Refusal.UNKNOWN_KEY),
    },
    "key": dict.fromkeys((2, 13, 14, 15), Refusal.ALGORITHM),  # HMAC
}
"""By the number of a valid case, why it is refused."""

BY_A_MEMBER = {
    "signature": {332, 334, 336, 338, 340, 346, 347, 350, 351, 353, 354, 355, 356},
    "key": {6, 19, 20, 21},
}
"""Cases whose signature holds, and which ``alg``, ``use`` or ``key_ops`` of the key refuses."""


def outcome(judge: Callable[[], object]) -> Refusal | None:
    try:
        judge()
    except InvalidTokenError as error:
        return error.code
    return None


def verified(token: jws.UnverifiedToken, keys: Mapping[str, TrustedKey]) -> jws.SignedClaims:
    if token.kid not in keys:
        raise InvalidTokenError(Refusal.UNKNOWN_KEY)
    return jws.verify(token, keys[token.kid])


def whole(token: str, keys: Mapping[str, TrustedKey]) -> Refusal | None:
    return outcome(lambda: verified(jws.parse(jws.octets(token), ALL), keys))


def but_for_claims(token: str, keys: Mapping[str, TrustedKey]) -> Refusal | None:
    """How the token is judged if its claims were an object; everything else is as it is."""
    segments = jws.octets(token).split(b".")
    if len(segments) != 3:
        return whole(token, keys)
    protected, payload, signature = segments

    def judge() -> None:
        read = jws.parse(b".".join((protected, b"e30", signature)), ALL)
        verified(replace(read, signing_input=protected + b"." + payload), keys)
        encoding.base64url(payload)

    return outcome(judge)


@pytest.mark.parametrize(("name", "cases"), [("signature", SIGNATURES), ("key", KEYS)])
def test_wycheproof_s_invalid_cases_are_refused_and_its_valid_ones_hold(
    name: str, cases: list[Case], record_property: Callable[[str, object], None]
) -> None:
    counts: Counter[str] = Counter()
    for case in cases:
        judged = but_for_claims(case.token, case.trusted())
        expected = STRICTER[name].get(case.number)
        assert whole(case.token, case.trusted()) is not None
        if case.is_valid:
            assert judged is expected, (case.number, case.comment)
            assert whole(case.token, case.trusted()) in {Refusal.MALFORMED, expected}
        else:
            assert judged is not None, (case.number, case.comment)
        counts[judged.value if judged else "accepted"] += 1
    record_property("counted", f"{len(cases)} cases: {dict(counts)}")


def test_wycheproof_s_files_are_all_there() -> None:
    assert [case.number for case in SIGNATURES] == list(range(1, 402))
    assert [case.number for case in KEYS] == list(range(1, 27))
    assert Counter(case.is_valid for case in SIGNATURES) == {False: 355, True: 46}


@pytest.mark.parametrize("name", ["json_web_signature_test.json", "json_web_key_test.json"])
def test_wycheproof_s_files_are_as_they_are_at_their_source(name: str) -> None:
    content = (VECTORS / "wycheproof" / name).read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
    readme = (VECTORS / "wycheproof" / "README.md").read_text()
    assert f"| `{name}` | `{blob.hexdigest()}` |" in readme


def test_most_of_what_is_refused_is_refused_for_its_signature() -> None:
    codes = Counter(but_for_claims(case.token, case.trusted()) for case in SIGNATURES)
    assert codes[None] == 32
    assert codes[Refusal.SIGNATURE] == 295
    assert codes[Refusal.KEY_MISMATCH] == 7


@pytest.mark.parametrize(("name", "cases"), [("signature", SIGNATURES), ("key", KEYS)])
def test_a_member_of_the_key_is_what_refuses_a_signature_that_holds(
    name: str, cases: list[Case]
) -> None:
    freed = {
        case.number
        for case in cases
        if but_for_claims(case.token, case.trusted()) is not None
        and but_for_claims(case.token, case.trusted("alg", "use", "key_ops")) is None
    }
    assert freed == BY_A_MEMBER[name]


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (7, "the mark of ROCA"),
        (8, "1024 bits"),
        (9, "an exponent of 1"),
        (22, "a point off the curve"),
        (23, "another curve"),
        (24, "another kty"),
    ],
)
def test_a_weak_or_wrong_key_of_wycheproof_s_is_left_out(number: int, reason: str) -> None:
    case = KEYS[number - 1]
    assert case.trusted("alg", "use", "key_ops") == {}, reason


def test_of_a_set_with_a_symmetric_key_only_the_public_one_is_trusted() -> None:
    assert KEYS[0].trusted().keys() == {"kid-ec-sign"}


def test_of_wycheproof_s_base64_cases_those_are_read_that_are_canonical() -> None:
    # Signed with HMAC, so the tokens are refused anyway; here is why they would be.
    cases = SIGNATURES[356:377]
    read = {case.number for case in cases if is_canonical(case.token)}
    # 367 and 370 are called padded, and are 357 letter for letter.
    assert cases[10].token == cases[13].token == cases[0].token
    assert read == {357, 358, 359, 367, 370, 376, 377}


def is_canonical(token: str) -> bool:
    try:
        header, *_ = [encoding.base64url(segment) for segment in token.encode().split(b".")]
        encoding.json_object(header)
    except ValueError:
        return False
    return True


# RFC 7515, appendix A

RFC_7515 = json.loads((VECTORS / "rfc7515" / "examples.json").read_text())


@pytest.mark.parametrize("example", RFC_7515[1:4], ids=lambda example: example["section"])
def test_rfc_7515_s_signatures_hold_and_a_token_without_kid_is_refused_all_the_same(
    example: dict[str, Any],
) -> None:
    token = example["jws"].encode()
    content, _, signature = token.rpartition(b".")
    key = key_set.parse(json.dumps({"keys": [{**example["key"], "kid": "k"}]}).encode())["k"]
    unverified = jws.UnverifiedToken(
        algorithm=example["alg"],
        kid="k",
        typ=None,
        claims={},
        signing_input=content,
        signature=encoding.base64url(signature),
    )
    assert outcome(lambda: jws.verify(unverified, key)) is None
    altered = replace(unverified, signing_input=content[:-1] + b"X")
    assert outcome(lambda: jws.verify(altered, key)) is Refusal.SIGNATURE
    assert whole(example["jws"], {"k": key}) in {Refusal.KEY_ID, Refusal.MALFORMED}


@pytest.mark.parametrize(
    ("example", "code"),
    [
        (RFC_7515[0], Refusal.ALGORITHM),  # HMAC
        (RFC_7515[4], Refusal.ALGORITHM),  # none
        (RFC_7515[5], Refusal.MALFORMED),  # the general JSON serialization
        (RFC_7515[6], Refusal.MALFORMED),  # the flattened one
    ],
    ids=lambda value: value["section"] if isinstance(value, dict) else None,
)
def test_rfc_7515_s_other_examples_are_refused(example: dict[str, Any], code: Refusal) -> None:
    assert whole(example["jws"], {}) is code


# RFC 7520, section 4


def rfc_7520(section: str) -> dict[str, Any]:
    (path,) = (VECTORS / "rfc7520").glob(f"4_{section}.*.json")
    example: dict[str, Any] = json.loads(path.read_text())
    return example


def public(key: Mapping[str, Any]) -> dict[str, Any]:
    private = {"d", "p", "q", "dp", "dq", "qi"}
    return {name: each for name, each in key.items() if name not in private}


@pytest.mark.parametrize("section", ["1", "2", "3"])  # RS256, PS384, ES512
def test_rfc_7520_s_signatures_hold(section: str) -> None:
    example = rfc_7520(section)
    key, token = example["input"]["key"], example["output"]["compact"]
    assert Case(number=0, comment="", is_valid=True, token="", keys=(key,)).trusted() == {}
    trusted = key_set.parse(json.dumps({"keys": [public(key)]}).encode())
    assert but_for_claims(token, trusted) is None
    assert but_for_claims(token.replace(".S", ".T"), trusted) is Refusal.SIGNATURE
    assert whole(token, trusted) is Refusal.MALFORMED  # its payload is prose


def test_rfc_7520_s_signature_without_a_protected_kid_is_refused_for_that() -> None:
    example = rfc_7520("8")
    payload, first = (example["output"]["json"][name] for name in ("payload", "signatures"))
    token = f"{first[0]['protected']}.{payload}.{first[0]['signature']}"
    assert whole(token.replace(payload, "e30"), {}) is Refusal.KEY_ID


@pytest.mark.parametrize("section", ["4", "5"])
def test_rfc_7520_s_hmac_examples_are_refused_one_of_them_with_its_content_detached(
    section: str,
) -> None:
    assert whole(rfc_7520(section)["output"]["compact"], {}) is Refusal.ALGORITHM


@pytest.mark.parametrize("section", ["1", "2", "3", "4", "5", "6", "7", "8"])
def test_rfc_7520_s_json_serializations_are_no_tokens(section: str) -> None:
    output = rfc_7520(section)["output"]
    for name in {"json", "json_flat"} & output.keys():
        assert whole(json.dumps(output[name]), {}) is Refusal.MALFORMED
