"""Proofs and requests as another library reads them, and answers of every shape."""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from machine_identity import certificate as certificates
from machine_identity import entra_answers, entra_keys
from machine_identity.client_assertion import SigningKey
from machine_identity.entra_answers import KeyFailure, KeyRollError, RegisteredKey
from machine_identity.entra_keys import KeyRequest
from machine_identity.errors import SettingsError

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
AT = int(NOW.timestamp())
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
DER = b"the DER of a certificate, of which only the digests matter here"
OBJECT_ID = "7c0c1d9e-5a3f-4b6e-8a55-0d1f2e3c4b5a"
KEY_ID = "f0b0b335-1d71-4883-8f98-567911bfdca6"
SHA1 = hashlib.sha1(DER, usedforsecurity=False).digest()
TOKEN = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJncmFwaCJ9.c2lnbmF0dXJl"


def key(algorithm: str = "RS256") -> SigningKey:
    return SigningKey(kid="a-kid", algorithm=algorithm, private_key=RSA)


def proof(signing: SigningKey | None = None, **overrides: Any) -> str:
    standard = {"certificate": DER, "object_id": OBJECT_ID, "now": NOW}
    return entra_keys.proof(signing or key(), **{**standard, **overrides})


PROOF = proof()


def read(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    header, claims, _ = (base64.urlsafe_b64decode(each + "==") for each in text.split("."))
    return json.loads(header), json.loads(claims)


def base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


# The proof


def test_a_proof_has_the_documented_claims_and_no_others() -> None:
    _, claims = read(PROOF)
    assert claims == {
        "aud": "00000002-0000-0000-c000-000000000000",
        "iss": OBJECT_ID,
        "nbf": AT - 60,
        "exp": AT + 540,
    }


def test_a_proof_names_the_certificate_in_every_way_that_is_documented() -> None:
    header, _ = read(PROOF)
    assert header == {
        "alg": "RS256",
        "typ": "JWT",
        "kid": SHA1.hex().upper(),
        "x5t": base64url(SHA1),
        "x5t#S256": base64url(hashlib.sha256(DER).digest()),
    }
    # Microsoft warns of padding: it is answered with Authentication_MissingOrMalformed.
    assert "=" not in PROOF


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
def test_a_proof_is_signed_with_the_key(algorithm: str) -> None:
    signed, _, signature = proof(key(algorithm)).rpartition(".")
    pss = padding.PSS(padding.MGF1(SHA256()), 32)
    scheme = pss if algorithm == "PS256" else padding.PKCS1v15()
    octets = base64.urlsafe_b64decode(signature + "==")
    RSA.public_key().verify(octets, signed.encode(), scheme, SHA256())


def test_a_proof_of_a_broken_second_has_whole_seconds() -> None:
    _, claims = read(proof(now=NOW + timedelta(milliseconds=999)))
    assert (claims["nbf"], claims["exp"]) == (AT - 60, AT + 540)


def test_the_audience_of_the_older_text_may_be_asked_for() -> None:
    _, claims = read(proof(audience="00000003-0000-0000-c000-000000000000"))
    assert claims["aud"] == "00000003-0000-0000-c000-000000000000"


def test_a_key_of_another_algorithm_makes_no_proof() -> None:
    curve = SigningKey(
        kid="k", algorithm="ES256", private_key=ec.generate_private_key(ec.SECP256R1())
    )
    for signing in (curve, key("RS384")):
        with pytest.raises(SettingsError, match=signing.algorithm + "; Entra accepts RS256, PS"):
            proof(signing)


@pytest.mark.parametrize("wrong", ["", "me", OBJECT_ID + "/x", OBJECT_ID + "\n", "../" + KEY_ID])
def test_an_id_that_is_no_guid_gets_into_no_proof_and_no_path(wrong: str) -> None:
    calls = (
        lambda: proof(object_id=wrong),
        lambda: entra_keys.listing_request(object_id=wrong, access_token=TOKEN),
        lambda: add(object_id=wrong),
        lambda: remove(object_id=wrong),
    )
    for call in calls:
        with pytest.raises(SettingsError, match="object ID of the application must be a GUID"):
            call()
    with pytest.raises(SettingsError, match="ID of the key must be a GUID"):
        remove(key_id=wrong)


# Requests


def add(**overrides: Any) -> KeyRequest:
    standard = {
        "object_id": OBJECT_ID,
        "certificate": DER,
        "proof": PROOF,
        "access_token": TOKEN,
    }
    return entra_keys.add_key_request(**{**standard, **overrides})


def remove(**overrides: Any) -> KeyRequest:
    standard = {
        "object_id": OBJECT_ID,
        "key_id": KEY_ID,
        "proof": PROOF,
        "access_token": TOKEN,
    }
    return entra_keys.remove_key_request(**{**standard, **overrides})


def test_add_key_is_the_documented_call() -> None:
    call = add(object_id=OBJECT_ID.upper())
    assert (call.method, call.path) == ("POST", f"/applications/{OBJECT_ID}/addKey")
    assert call.headers == {
        "accept": "application/json",
        "authorization": f"Bearer {TOKEN}",
        "content-type": "application/json",
    }
    assert json.loads(call.body or b"") == {
        "keyCredential": {
            "type": "AsymmetricX509Cert",
            "usage": "Verify",
            "key": base64.b64encode(DER).decode(),
        },
        "passwordCredential": None,
        "proof": PROOF,
    }


def test_a_certificate_may_have_a_name_for_people() -> None:
    members = json.loads(add(display_name="standby").body or b"")
    assert members["keyCredential"]["displayName"] == "standby"


def test_remove_key_is_the_documented_call() -> None:
    call = remove()
    assert (call.method, call.path) == ("POST", f"/applications/{OBJECT_ID}/removeKey")
    assert call.headers == add().headers
    assert json.loads(call.body or b"") == {"keyId": KEY_ID, "proof": PROOF}


def test_the_listing_selects_the_certificates() -> None:
    call = entra_keys.listing_request(object_id=OBJECT_ID, access_token=TOKEN)
    assert call.method == "GET"
    assert call.path == f"/applications/{OBJECT_ID}?$select=keyCredentials"
    assert call.headers == {"accept": "application/json", "authorization": f"Bearer {TOKEN}"}
    assert call.body is None


def test_no_repr_holds_a_proof_a_token_or_a_key() -> None:
    listing = entra_keys.listing_request(object_id=OBJECT_ID, access_token=TOKEN)
    for call in (add(), remove(), listing):
        assert not any(part in repr(call) for part in (*PROOF.split("."), *TOKEN.split(".")))
        assert TOKEN in call.secrets
    assert PROOF in add().secrets
    assert PROOF in remove().secrets


# Answers


def failed(status: int, members: object, act: Any = entra_answers.process_added) -> KeyRollError:
    body = members if isinstance(members, bytes) else json.dumps(members).encode()
    with pytest.raises(KeyRollError) as error:
        act(status, body, secrets=(PROOF, TOKEN))
    return error.value


def graph_error(code: object, message: object = "Said.") -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "innerError": {"date": "…"}}}


def test_the_id_of_an_added_key_is_taken_from_the_answer() -> None:
    body = json.dumps({"keyId": KEY_ID.upper(), "key": None, "@odata.context": "…"}).encode()
    assert entra_answers.process_added(200, body, secrets=()) == KEY_ID


@pytest.mark.parametrize(
    "members",
    [{}, [], {"keyId": 7}, {"keyId": "x"}, {"keyId": KEY_ID + "\n"}, b"", b"\xff", b"[" * 99_999],
)
def test_an_answer_without_an_id_is_no_answer(members: object) -> None:
    assert failed(200, members).code is KeyFailure.INVALID_RESPONSE


def test_a_removal_has_no_content() -> None:
    entra_answers.process_removed(204, b"", secrets=())
    error = failed(200, {}, entra_answers.process_removed)
    assert error.code is KeyFailure.INVALID_RESPONSE
    assert "200, not 204" in str(error)


def test_an_addition_has_content() -> None:
    assert failed(204, b"").code is KeyFailure.INVALID_RESPONSE


GONE = "No credentials found to be removed."


@pytest.mark.parametrize(
    ("status", "members", "code"),
    [
        (401, graph_error("Authentication_MissingOrMalformed"), "proof_refused"),
        (401, graph_error("InvalidAuthenticationToken"), "invalid_token"),
        (401, b"", "invalid_token"),
        (403, graph_error("Authorization_RequestDenied"), "forbidden"),
        (404, graph_error("Request_ResourceNotFound"), "unknown_application"),
        (400, graph_error("Request_BadRequest", GONE), "unknown_key"),
        (400, graph_error("Request_BadRequest", "Invalid proof."), "invalid_request"),
        (400, graph_error("BadRequest", GONE), "invalid_request"),
        (403, graph_error("Request_BadRequest", GONE), "forbidden"),
        (400, graph_error(7, 8), "invalid_request"),
        (400, {"error": "invalid_request"}, "invalid_request"),
        (409, graph_error("Conflict"), "invalid_request"),
        (429, graph_error("TooManyRequests"), "throttled"),
        (429, b"<html>", "throttled"),
        (500, graph_error("InternalServerError"), "temporarily_unavailable"),
        (503, b"", "temporarily_unavailable"),
        (504, graph_error("GatewayTimeout"), "temporarily_unavailable"),
        (302, b"", "invalid_response"),
        (202, {"keyId": KEY_ID}, "invalid_response"),
    ],
)
def test_each_refusal_has_a_code_of_ours(status: int, members: object, code: str) -> None:
    for act in (
        entra_answers.process_added,
        entra_answers.process_removed,
        entra_answers.process_listing,
    ):
        error = failed(status, members, act)
        assert error.code == code
        assert str(error).startswith(f"{code}: status {status}, ")


def test_what_graph_says_is_passed_on_in_one_line() -> None:
    error = failed(400, graph_error("Request_BadRequest", "No.\r\nNever."))
    assert error.description == "status 400, Request_BadRequest: No. Never."
    assert failed(400, {}).description == "status 400, no readable error"


@pytest.mark.parametrize("secret", [PROOF, TOKEN])
@pytest.mark.parametrize("width", [1000, 40, 13])
def test_no_error_repeats_a_proof_or_a_token(secret: str, width: int) -> None:
    pieces = "\n".join(secret[i : i + width] for i in range(0, len(secret), width))
    for members in (graph_error("X", f"bad: {pieces}"), graph_error(pieces, "bad")):
        error = failed(401, members)
        shown = "".join(str(error).split())
        assert not any(secret[i : i + 12] in shown for i in range(len(secret) - 11))


# The listing


def listed(*members: object) -> tuple[RegisteredKey, ...]:
    body = json.dumps({"keyCredentials": members}).encode()
    return entra_answers.process_listing(200, body, secrets=())


@pytest.mark.parametrize(
    "names",
    [
        {"key": base64.b64encode(DER).decode(), "customKeyIdentifier": "chosen by somebody"},
        {"key": None, "customKeyIdentifier": SHA1.hex().upper()},
        {"key": None, "customKeyIdentifier": SHA1.hex()},
        {"customKeyIdentifier": base64.b64encode(SHA1).decode()},
    ],
)
def test_a_listed_key_is_known_by_its_thumbprint_however_it_is_written(
    names: dict[str, Any],
) -> None:
    (one,) = listed({"keyId": KEY_ID.upper(), "displayName": "standby", **names})
    assert one == RegisteredKey(
        key_id=KEY_ID, thumbprint=certificates.sha1(DER), display_name="standby"
    )


@pytest.mark.parametrize("identifier", [None, 7, "", "not base64", "c2hvcnQ="])
def test_a_key_that_does_not_tell_its_thumbprint_has_none(identifier: object) -> None:
    (one,) = listed({"keyId": KEY_ID, "customKeyIdentifier": identifier, "key": "?"})
    assert (one.thumbprint, one.display_name) == ("", "")


def test_a_name_for_people_is_one_line() -> None:
    (one,) = listed({"keyId": KEY_ID, "displayName": "a\r\nb"})
    assert one.display_name == "a b"


@pytest.mark.parametrize(
    "members", [{}, {"keyCredentials": {}}, {"keyCredentials": [7]}, {"keyCredentials": [{}]}]
)
def test_a_listing_that_is_none_is_invalid(members: object) -> None:
    error = failed(200, members, entra_answers.process_listing)
    assert error.code is KeyFailure.INVALID_RESPONSE


def test_an_empty_listing_is_one() -> None:
    assert listed() == ()


def test_a_proof_is_read_by_pyjwt_as_it_is_by_us() -> None:
    off: Any = {"verify_exp": False, "verify_nbf": False}
    audience = entra_keys.PROOF_AUDIENCE
    public = RSA.public_key()
    claims = jwt.decode(PROOF, public, algorithms=["RS256"], audience=audience, options=off)
    assert claims["iss"] == OBJECT_ID
