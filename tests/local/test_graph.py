"""Graph's addKey and removeKey at the stand-in: a whole roll, every refusal, what goes wrong."""

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from local import key_credentials
from local.disturbances import LoseAnswer, Refuse
from local.graph_errors import GraphFault
from local.registrations import API_URI, ROLE, Certificates
from machine_identity import certificate as certificates
from machine_identity import entra_answers, entra_keys
from machine_identity.client_assertion import SigningKey
from machine_identity.entra_answers import KeyFailure, KeyRollError
from machine_identity.entra_keys import KeyRequest
from machine_identity.errors import TransportError
from machine_identity.http1 import Response
from tests.local.authorization import AT, CLIENT_ID, NOW, OTHER, RSA, SECOND, Publisher, verified
from tests.local.certified import (
    DAY,
    GRAPH_SCOPE,
    A,
    B,
    Certified,
    certificate,
    failure,
    signing,
    x5t,
    x5t_s256,
)

GRAPH_AUDIENCE = "00000003-0000-0000-c000-000000000000"
READ = "Application.Read.All"
PROOF = (401, "Authentication_MissingOrMalformed")
FORBIDDEN = (403, "Authorization_RequestDenied")
BAD_TOKEN = (401, "InvalidAuthenticationToken")
BAD_REQUEST = (400, "Request_BadRequest")
NOT_FOUND = (404, "Request_ResourceNotFound")
NO_SUCH = "11111111-1111-4111-8111-111111111111"
UNKNOWN = (401, "invalid_client", 700027)


@pytest.fixture
def world(publisher: Publisher) -> Iterator[Certified]:
    made = Certified(publisher)
    with made.server:
        made.enroll(A)
        yield made


def told(response: Response) -> dict[str, Any]:
    assert response.status == 200, response.body
    members: dict[str, Any] = json.loads(response.body)
    return members


def message(response: Response) -> str:
    text: str = json.loads(response.body)["error"]["message"]
    return text


# A whole roll, by the client of this project


def sent(world: Certified, call: KeyRequest) -> Response:
    members = None if call.body is None else call.body
    return world.graph(call.method, call.path, members, headers=dict(call.headers))


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
def test_a_client_rolls_its_certificate_by_itself(world: Certified, algorithm: str) -> None:
    (old,) = world.enroll(A)
    object_id = world.app.object_id

    def proof(key: SigningKey, der: bytes) -> str:
        return entra_keys.proof(key, certificate=der, object_id=object_id, now=world.instant)

    token = world.graph_token(A, RSA)
    add = entra_keys.add_key_request(
        object_id=object_id,
        certificate=B,
        proof=proof(signing(RSA, algorithm), A),
        access_token=token,
        display_name="standby",
    )
    answer = sent(world, add)
    new = entra_answers.process_added(answer.status, answer.body, secrets=add.secrets)
    assert new != old

    token = world.graph_token(B, OTHER)
    remove = entra_keys.remove_key_request(
        object_id=object_id,
        key_id=old,
        proof=proof(signing(OTHER, algorithm), B),
        access_token=token,
    )
    answer = sent(world, remove)
    entra_answers.process_removed(answer.status, answer.body, secrets=remove.secrets)

    assert world.refused(world.signed(A, RSA)) == UNKNOWN
    world.granted(world.signed(B, OTHER))
    again = sent(world, remove)
    with pytest.raises(KeyRollError) as gone:
        entra_answers.process_removed(again.status, again.body, secrets=remove.secrets)
    assert gone.value.code is KeyFailure.UNKNOWN_KEY
    world.enroll(A, B, roles={GRAPH_SCOPE.removesuffix("/.default"): (READ,)})
    listing = entra_keys.listing_request(
        object_id=object_id, access_token=world.graph_token(A, RSA)
    )
    answer = sent(world, listing)
    listed = entra_answers.process_listing(answer.status, answer.body, secrets=listing.secrets)
    names = [certificates.sha1(A), certificates.sha1(B)]
    assert [each.thumbprint for each in listed] == names


# What addKey and removeKey answer


def test_add_key_answers_the_credential_with_an_id_and_the_dates_of_the_certificate(
    world: Certified,
) -> None:
    der = certificate(OTHER, starts_at=NOW - DAY, ends_at=NOW + DAY)
    members = told(world.add(world.new(der, credential={"displayName": "standby"})))
    assert members.pop("keyId") == world.listed()[1]["keyId"]
    assert members == {
        "@odata.context": f"{world.server.graph_url}/$metadata#microsoft.graph.keyCredential",
        "customKeyIdentifier": certificates.sha1(der),
        "displayName": "standby",
        "startDateTime": "2026-11-23T12:00:00Z",
        "endDateTime": "2026-11-25T12:00:00Z",
        "key": None,
        "type": "AsymmetricX509Cert",
        "usage": "Verify",
    }


def test_a_credential_may_end_before_its_certificate_does(world: Certified) -> None:
    dates = {"startDateTime": "2026-11-24T12:00:00Z", "endDateTime": "2026-11-24T13:00:01+01:00"}
    told(world.add(world.new(credential=dates)))
    world.granted(world.signed(B, OTHER))
    world.instant += SECOND
    assert world.refused(world.signed(B, OTHER)) == UNKNOWN


def test_what_is_added_twice_is_there_twice_and_goes_one_at_a_time(world: Certified) -> None:
    one, two = (told(world.add())["keyId"] for _ in range(2))
    assert one != two
    assert world.remove(one).status == 204
    world.granted(world.signed(B, OTHER))
    assert world.remove(two.upper()).status == 204
    assert world.refused(world.signed(B, OTHER)) == UNKNOWN


def test_an_application_is_addressed_by_its_client_id_too(world: Certified) -> None:
    token = world.graph_token()
    path = f"/applications(appId='{CLIENT_ID}')"
    key_id = told(world.graph("POST", path + "/addKey", world.new(), token=token))["keyId"]
    members = {"keyId": key_id, "proof": world.proof()}
    assert world.graph("POST", path + "/removeKey", members, token=token).status == 204
    elsewhere = f"/applications(appId='{world.app.object_id}')/addKey"
    refused = world.graph("POST", elsewhere, world.new(), token=token)
    assert failure(refused) == NOT_FOUND


def test_the_last_certificate_may_go_and_then_nothing_can_be_proved(world: Certified) -> None:
    (only,) = world.enroll(A)
    token = world.graph_token()
    assert world.remove(only, token=token).status == 204
    assert failure(world.add(token=token)) == PROOF
    assert world.refused(world.signed()) == UNKNOWN


def test_a_key_that_is_not_there_is_a_bad_request_and_says_so(world: Certified) -> None:
    refused = world.remove(NO_SUCH)
    assert failure(refused) == BAD_REQUEST
    assert message(refused) == "No credentials found to be removed."
    assert len(world.listed()) == 1


# The proof


def test_the_proof_of_microsofts_sample_is_taken_and_one_that_names_by_sha_256(
    world: Certified,
) -> None:
    told(world.add(world.new(proof=world.proof())))
    names = {"kid": ..., "x5t": ..., "x5t#S256": x5t_s256(A)}
    told(world.add(world.new(proof=world.proof(header=names, algorithm="PS256"))))
    told(world.add(world.new(proof=world.proof(header={"x5t": ...}))))


@pytest.mark.parametrize(
    "claims",
    [
        {"nbf": AT - 600 - 59, "exp": AT - 59},
        {"nbf": AT + 60, "exp": AT + 660},
        {"exp": AT + 1},
    ],
)
def test_a_proof_is_good_for_ten_minutes_give_or_take_the_clocks(
    world: Certified, claims: dict[str, Any]
) -> None:
    told(world.add(world.new(proof=world.proof(**claims))))


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": GRAPH_AUDIENCE},
        {"aud": ["00000002-0000-0000-c000-000000000000"]},
        {"aud": ...},
        {"iss": CLIENT_ID},
        {"iss": ...},
        {"nbf": AT - 660, "exp": AT - 60},
        {"nbf": AT + 61, "exp": AT + 600},
        {"exp": AT + 601},
        {"exp": AT},
        {"nbf": ...},
        {"exp": ...},
        {"nbf": True},
        {"exp": str(AT + 600)},
    ],
)
def test_a_claim_that_is_not_as_documented_is_no_proof(
    world: Certified, claims: dict[str, Any]
) -> None:
    proof = world.proof(**claims)
    assert failure(world.add(world.new(proof=proof)), proof) == PROOF
    key_id = world.listed()[0]["keyId"]
    assert failure(world.remove(key_id, proof=proof), proof) == PROOF
    assert len(world.listed()) == 1


@pytest.mark.parametrize(
    "header",
    [
        {"x5t": x5t(B)},
        {"x5t": ..., "kid": ...},
        {"x5t#S256": x5t_s256(B)},
        {"typ": "at+jwt"},
    ],
)
def test_a_header_that_names_no_registered_certificate_is_no_proof(
    world: Certified, header: dict[str, Any]
) -> None:
    assert failure(world.add(world.new(proof=world.proof(header=header)))) == PROOF


def test_the_certificate_that_is_to_be_added_proves_nothing(world: Certified) -> None:
    assert failure(world.add(world.new(proof=world.proof(B, OTHER)))) == PROOF
    assert failure(world.add(world.new(proof=world.proof(A, OTHER)))) == PROOF


def test_neither_an_assertion_nor_an_access_token_nor_garbage_is_a_proof(
    world: Certified,
) -> None:
    token = world.graph_token()
    for proof in (world.signed(), token, "garbage", "a.b.c"):
        assert failure(world.add(world.new(proof=proof)), token) == PROOF


@pytest.mark.parametrize("algorithm", ["RS384", "PS512"])
def test_a_proof_by_another_algorithm_is_none(world: Certified, algorithm: str) -> None:
    assert failure(world.add(world.new(proof=world.proof(algorithm=algorithm)))) == PROOF


@pytest.mark.parametrize("proof", [..., "", None, 7])
def test_a_call_without_a_proof_is_forbidden(world: Certified, proof: object) -> None:
    members = {**world.new(), "proof": proof}
    members = {name: each for name, each in members.items() if each is not ...}
    assert failure(world.add(members)) == FORBIDDEN


def test_a_certificate_proves_from_its_first_second_until_its_last(world: Certified) -> None:
    der = certificate(starts_at=NOW, ends_at=NOW + 30 * SECOND)
    world.enroll(der, B)

    def asked() -> Response:
        return world.add(world.new(proof=world.proof(der)), token=world.graph_token(B, OTHER))

    world.instant = NOW - SECOND
    assert failure(asked()) == PROOF
    world.instant = NOW
    told(asked())
    world.instant = NOW + 29 * SECOND
    told(asked())
    world.instant = NOW + 30 * SECOND
    assert failure(asked()) == PROOF


# The token


def test_a_token_for_graph_is_for_graph_and_needs_no_role(world: Certified) -> None:
    token = world.graph_token()
    payload = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert (payload["aud"], payload["azp"]) == (GRAPH_AUDIENCE, CLIENT_ID)
    assert "roles" not in payload


def test_a_token_of_another_kind_is_refused(world: Certified) -> None:
    for_the_api = world.granted(world.signed())["access_token"]
    assert verified(world.server, for_the_api)["roles"] == [ROLE]
    path = f"/applications/{world.app.object_id}/addKey"
    for token in (None, "", "a.b.c", "garbage", for_the_api, world.signed()):
        refused = world.graph("POST", path, world.new(), token=token)
        assert failure(refused) == BAD_TOKEN
    forged = world.graph_token()[:-8] + "AAAAAAAA"
    assert failure(world.graph("POST", path, world.new(), token=forged), forged) == BAD_TOKEN
    basic = {"authorization": f"Basic {world.graph_token()}"}
    assert failure(world.graph("POST", path, world.new(), headers=basic)) == BAD_TOKEN
    assert len(world.listed()) == 1


def test_a_token_is_taken_until_its_hour_is_over(world: Certified) -> None:
    token = world.graph_token()
    world.instant = NOW + timedelta(seconds=3599 + 59)
    told(world.add(token=token))
    world.instant += SECOND
    assert failure(world.add(token=token)) == BAD_TOKEN


def test_nobody_rolls_the_keys_of_another(world: Certified) -> None:
    mine = world.app
    other = key_credentials.from_der(B, key_id=NO_SUCH)
    world.register("rfc7523", client_id="another", credential=Certificates(keys=(other,)))
    stranger = world.signed(B, OTHER, iss="another", sub="another")
    token = world.granted(stranger, client_id="another", scope=GRAPH_SCOPE)["access_token"]
    assert world.app is mine
    assert failure(world.add(token=token)) == FORBIDDEN


def test_an_application_that_is_not_there_is_not_found(world: Certified) -> None:
    token = world.graph_token()
    for action in ("addKey", "removeKey"):
        path = f"/applications/{NO_SUCH}/{action}"
        assert failure(world.graph("POST", path, world.new(), token=token)) == NOT_FOUND


# The body


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"[" * 30_000, b"\xff"])
def test_a_body_that_is_no_object_is_a_bad_request(world: Certified, body: bytes) -> None:
    for action in ("addKey", "removeKey"):
        path = f"/applications/{world.app.object_id}/{action}"
        refused = world.graph("POST", path, body, token=world.graph_token())
        assert failure(refused) == BAD_REQUEST


def test_a_body_of_another_type_is_a_bad_request(world: Certified) -> None:
    path = f"/applications/{world.app.object_id}/addKey"
    form = {"content-type": "text/plain"}
    token = world.graph_token()
    assert failure(world.graph("POST", path, world.new(), token=token, headers=form)) == (
        BAD_REQUEST
    )


@pytest.mark.parametrize(
    "credential",
    [
        {"type": "X509CertAndPassword", "usage": "Sign"},
        {"type": ...},
        {"usage": "Sign"},
        {"usage": ...},
        {"key": ...},
        {"key": 7},
        {"key": "not base64"},
        {"key": base64.b64encode(b"no certificate").decode()},
        {"key": base64.b64encode(certificate(ec.generate_private_key(ec.SECP256R1()))).decode()},
        {"endDateTime": "2027-02-22T12:00:01Z"},
        {"startDateTime": "2026-11-23T11:59:59Z"},
        {"startDateTime": "2026-11-24T12:00:00Z", "endDateTime": "2026-11-24T12:00:00Z"},
        {"endDateTime": "tomorrow"},
        {"endDateTime": 7},
        {"endDateTime": "2026-11-24T12:00:00Z"},
    ],
)
def test_a_credential_that_is_not_as_it_must_be_is_a_bad_request(
    world: Certified, credential: dict[str, Any]
) -> None:
    assert failure(world.add(world.new(credential=credential))) == BAD_REQUEST
    assert len(world.listed()) == 1


@pytest.mark.parametrize(
    "overrides",
    [
        {"keyCredential": ...},
        {"keyCredential": []},
        {"passwordCredential": ...},
        {"passwordCredential": {"secretText": "x"}},
    ],
)
def test_a_body_without_all_that_is_required_is_a_bad_request(
    world: Certified, overrides: dict[str, Any]
) -> None:
    assert failure(world.add(world.new(**overrides))) == BAD_REQUEST


def test_a_certificate_that_is_over_cannot_be_added(world: Certified) -> None:
    over = certificate(OTHER, starts_at=NOW - DAY, ends_at=NOW)
    refused = world.add(world.new(over))
    assert failure(refused) == BAD_REQUEST
    assert message(refused) == "Key credential end date is invalid."


@pytest.mark.parametrize("key_id", [None, 7, {}])
def test_a_key_is_removed_by_its_id_only(world: Certified, key_id: object) -> None:
    assert failure(world.remove(key_id)) == BAD_REQUEST


# The listing


def test_a_listing_needs_a_role_that_rolling_does_not(world: Certified) -> None:
    path = f"/applications/{world.app.object_id}?$select=keyCredentials"
    assert failure(world.graph("GET", path, token=world.graph_token())) == FORBIDDEN
    world.enroll(A, roles={API_URI: (READ,)})
    assert failure(world.graph("GET", path, token=world.graph_token())) == FORBIDDEN


def test_a_listing_shows_the_certificates_only_where_they_are_selected(world: Certified) -> None:
    world.enroll(A, B, roles={"https://graph.microsoft.com": (READ,)})
    path, token = f"/applications/{world.app.object_id}", world.graph_token()
    selected = told(world.graph("GET", f"{path}?$select=keyCredentials", token=token))
    keys = [each["key"] for each in selected["keyCredentials"]]
    assert keys == [base64.b64encode(der).decode() for der in (A, B)]
    whole = told(world.graph("GET", path, token=token))
    assert (whole["id"], whole["appId"]) == (world.app.object_id, CLIENT_ID)
    assert [each["key"] for each in whole["keyCredentials"]] == [None, None]
    refused = world.graph("GET", f"/applications/{NO_SUCH}", token=token)
    assert failure(refused) == NOT_FOUND


# What goes wrong though nobody did wrong


def test_what_is_written_is_known_only_after_a_while(publisher: Publisher) -> None:
    world = Certified(publisher, propagation=20 * SECOND)
    with world.server:
        (old,) = world.enroll(A)
        told(world.add())
        for _ in range(2):
            assert world.refused(world.signed(B, OTHER)) == UNKNOWN
            assert failure(world.add(world.new(proof=world.proof(B, OTHER)))) == PROOF
            assert len(world.listed()) == 1
            world.instant = NOW + 19 * SECOND
        world.instant = NOW + 20 * SECOND
        world.granted(world.signed(B, OTHER))
        assert len(world.listed()) == 2
        proof = world.proof(B, OTHER)
        token = world.graph_token(B, OTHER)
        assert world.remove(old, proof=proof, token=token).status == 204
        assert failure(world.remove(old, proof=proof, token=token)) == BAD_REQUEST
        world.instant += 19 * SECOND
        world.granted(world.signed(A, RSA))
        world.instant += SECOND
        assert world.refused(world.signed(A, RSA)) == UNKNOWN
        assert len(world.listed()) == 1


def test_an_answer_may_be_lost_after_the_effect(world: Certified) -> None:
    members, token = world.new(), world.graph_token()
    world.server.graph.disturb(LoseAnswer(), LoseAnswer(fault=GraphFault.SLOW))
    with pytest.raises(TransportError):
        world.add(members, token=token)
    assert len(world.listed()) == 2
    assert failure(world.add(members, token=token)) == (504, "GatewayTimeout")
    assert len(world.listed()) == 3
    told(world.add(members, token=token))
    assert len(world.listed()) == 4


def test_a_removal_whose_answer_is_lost_is_a_removal(world: Certified) -> None:
    (old, _) = world.enroll(A, B)
    proof, token = world.proof(B, OTHER), world.graph_token(B, OTHER)
    world.server.graph.disturb(LoseAnswer())
    with pytest.raises(TransportError):
        world.remove(old, proof=proof, token=token)
    again = world.remove(old, proof=proof, token=token)
    assert message(again) == "No credentials found to be removed."


@pytest.mark.parametrize(
    ("fault", "refusal"),
    [
        (GraphFault.THROTTLED, (429, "TooManyRequests")),
        (GraphFault.BUSY, (503, "ServiceUnavailable")),
        (GraphFault.BROKEN, (500, "InternalServerError")),
    ],
)
def test_a_call_may_be_refused_before_anything_is_done(
    world: Certified, fault: GraphFault, refusal: tuple[int, str]
) -> None:
    token = world.graph_token()
    world.server.graph.disturb(Refuse(fault=fault, retry_after=17 * SECOND), Refuse(fault=fault))
    refused = world.add(token=token)
    assert failure(refused) == refusal
    assert refused.headers["retry-after"] == "17"
    assert "retry-after" not in world.add(token=token).headers
    assert len(world.listed()) == 1
    told(world.add(token=token))


def test_registering_anew_forgets_what_was_rolled(world: Certified) -> None:
    told(world.add())
    world.enroll(A)
    assert world.refused(world.signed(B, OTHER)) == UNKNOWN


def test_three_certificates_of_one_key_are_three(world: Certified) -> None:
    third = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    ders = [certificate(third) for _ in range(3)]
    ids = [told(world.add(world.new(der)))["keyId"] for der in ders]
    assert world.remove(ids[1]).status == 204
    world.granted(world.signed(ders[0], third))
    assert world.refused(world.signed(ders[1], third)) == UNKNOWN
    world.granted(world.signed(ders[2], third))
