"""One application at Microsoft Graph, and how it is made ready to be asked: rules 5 and 8.

The answers are written out here; the stand-in for Graph is asked in ``tests/uploads``.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import jwt
import pytest

from machine_identity.aws import AwsError
from machine_identity.client_assertion import SigningError, SigningKey
from machine_identity.client_credentials import AccessToken
from machine_identity.entra_keys import PROOF_AUDIENCES
from machine_identity.errors import TokenRequestError, TransportError, UploadError
from machine_identity.http1 import Response
from machine_identity.keyring import Key, Keyring
from machine_identity.providers import PROVIDERS, ByGraph, Client
from machine_identity.sites import Sites
from machine_identity.sites.graph import GraphSite, Prover
from machine_identity.testimony import Certified, Testimony, Upload
from tests.certificates import DER, EC, KID, PRIVATE, certified, ordered
from tests.keyrings import DAY, START, active, ring

OBJECT_ID = "0f1d2c3b-00ab-4000-8000-000000000001"
KEY_ID = "0f1d2c3b-00ab-4000-8000-000000000002"
TOKEN = "eyJ-a-token-for-graph"
KNOWN = Upload(client="default", kid=KID, registration="there", key_id=KEY_ID)
CLIENT = Client(
    name="default",
    provider=PROVIDERS["entra-certificate"],
    authorization_server="https://as.example",
    client_id="client-1",
    scope="read",
    upload=ByGraph(object_id=OBJECT_ID, root="https://graph.example/v1.0"),
)


@dataclass(slots=True)
class Graph:
    """Answers what it is told to, and remembers what it was asked."""

    answer: Response | TransportError = field(
        default_factory=lambda: Response(status=204, headers={}, body=b"")
    )
    asked: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout: timedelta,
    ) -> Response:
        assert timeout == timedelta(seconds=5)
        assert headers["authorization"] == f"Bearer {TOKEN}"
        self.asked.append((method, url, json.loads(body or b"{}")))
        if isinstance(self.answer, TransportError):
            raise self.answer
        return self.answer

    def audience(self) -> str:
        """Return that of the last proof, whose signature must be the key's."""
        _, _, members = self.asked[-1]
        options: Any = {"verify_aud": False, "verify_exp": False, "verify_nbf": False}
        claims = jwt.decode(
            members["proof"], PRIVATE.public_key(), algorithms=["RS256"], options=options
        )
        return str(claims["aud"])


def answered(status: int, members: object = None) -> Response:
    return Response(status=status, headers={}, body=json.dumps(members).encode())


def error(status: int, code: str, message: str = "") -> Response:
    return answered(status, {"error": {"code": code, "message": message}})


def site(graph: Graph, private: Any = PRIVATE, algorithm: str = "RS256") -> GraphSite:
    assert isinstance(CLIENT.upload, ByGraph)
    key = SigningKey(kid=KID, algorithm=algorithm, private_key=private)
    return GraphSite(
        upload=CLIENT.upload,
        access_token=TOKEN,
        provers=(Prover(key=key, certificate=DER),),
        transport=graph.send,
        now=lambda: START,
    )


def refused(act: Callable[[], object]) -> UploadError:
    with pytest.raises(UploadError) as failure:
        act()
    assert str(failure.value) == failure.value.code
    return failure.value


ACTS: list[Callable[[GraphSite], object]] = [
    lambda at: at.publish(KNOWN, DER),
    lambda at: at.withdraw(KNOWN),
    lambda at: at.observe(),
]


def test_a_certificate_is_registered_under_the_name_of_its_key() -> None:
    graph = Graph(answered(200, {"keyId": KEY_ID.upper()}))
    assert site(graph).publish(replace(KNOWN, key_id=""), DER) == KEY_ID
    ((method, url, members),) = graph.asked
    assert (method, url) == ("POST", f"https://graph.example/v1.0/applications/{OBJECT_ID}/addKey")
    assert members["keyCredential"]["displayName"] == f"machine-identity {KID}"
    assert members["keyCredential"]["key"] == ordered()


def test_a_certificate_is_removed_by_graph_s_own_name_for_it() -> None:
    graph = Graph()
    site(graph).withdraw(KNOWN)
    ((method, url, members),) = graph.asked
    assert (method, url.rpartition("/")[2], members["keyId"]) == ("POST", "removeKey", KEY_ID)


@pytest.mark.parametrize("name", ["", "../../users", f"{KEY_ID}/", KEY_ID[1:]])
def test_rule_8_a_name_from_the_evidence_that_graph_never_gave_is_unknown_and_not_asked_for(
    name: str,
) -> None:
    graph = Graph()
    failure = refused(lambda: site(graph).withdraw(replace(KNOWN, key_id=name)))
    assert (failure.code, failure.is_lost, graph.asked) == ("unknown_key", False, [])


def test_a_listing_tells_by_thumbprint_and_else_by_name() -> None:
    listed = [
        {"keyId": KEY_ID, "customKeyIdentifier": "ab" * 20},
        {"keyId": OBJECT_ID, "customKeyIdentifier": None},
    ]
    graph = Graph(answered(200, {"keyCredentials": listed}))
    assert site(graph).observe() == {"AB" * 20: KEY_ID, OBJECT_ID: OBJECT_ID}


def test_who_may_not_list_is_told_nothing_and_that_is_no_failure() -> None:
    graph = Graph(error(403, "Authorization_RequestDenied"))
    assert site(graph).observe() is None
    for act in ACTS[:2]:
        assert refused(partial(act, site(graph))).code == "forbidden"


@pytest.mark.parametrize(
    ("answer", "code", "is_lost"),
    [
        (TransportError("cut"), "temporarily_unavailable", True),
        (answered(503), "temporarily_unavailable", True),
        (answered(500, [TOKEN]), "temporarily_unavailable", True),
        (answered(302), "invalid_response", True),
        (answered(200, {"keyId": "none", "keyCredentials": 7}), "invalid_response", True),
        (error(400, "Request_BadRequest"), "invalid_request", False),
        (error(401, "InvalidAuthenticationToken"), "invalid_token", False),
        (error(401, "Authentication_MissingOrMalformed"), "proof_refused", False),
        (error(404, "Request_ResourceNotFound"), "unknown_application", False),
        (error(429, "TooManyRequests", TOKEN), "throttled", False),
        (error(400, "Request_BadRequest", "No credentials found"), "unknown_key", False),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
@pytest.mark.parametrize("act", ACTS, ids=["add", "remove", "list"])
def test_rule_5_an_answer_is_lost_where_it_may_have_been_done_and_it_is_told_as_a_code(
    act: Callable[[GraphSite], object],
    answer: Response | TransportError,
    code: str,
    *,
    is_lost: bool,
) -> None:
    failure = refused(lambda: act(site(Graph(answer))))
    assert (failure.code, failure.is_lost) == (code, is_lost)


def test_of_the_proof_s_two_audiences_the_other_is_tried_after_each_refusal() -> None:
    graph = Graph(error(401, "Authentication_MissingOrMalformed"))
    for failures, index in ((0, 0), (1, 1), (2, 0), (3, 1)):
        known = replace(KNOWN, failures=failures, code="proof_refused" if failures else "")
        for act in (
            partial(site(graph).withdraw, known),
            partial(site(graph).publish, known, DER),
        ):
            refused(act)
            assert graph.audience() == PROOF_AUDIENCES[index]
    refused(lambda: site(graph).withdraw(replace(KNOWN, failures=1, code="throttled")))
    assert graph.audience() == PROOF_AUDIENCES[0]


def test_a_key_that_entra_takes_no_proof_of_asks_for_nothing() -> None:
    graph = Graph()
    for act in ACTS[:2]:
        failure = refused(partial(act, site(graph, EC, "ES256")))
        assert (failure.code, failure.is_lost) == ("not_signed", False)
    assert graph.asked == []


def test_nothing_secret_is_shown_by_its_repr() -> None:
    shown = repr(site(Graph()))
    assert TOKEN not in shown
    assert repr(DER)[2:40] not in shown


# How it is made ready


@dataclass(slots=True)
class Holders:
    error: Exception | None = None

    def with_key(self, key: Key, keyring: Keyring) -> "Holders":
        del keyring
        assert key.kid == KID
        return self

    def reread(self, now: datetime) -> Keyring:
        raise AssertionError(now)

    def signing_key(self) -> SigningKey:
        if self.error is not None:
            raise self.error
        return SigningKey(kid=KID, algorithm="RS256", private_key=PRIVATE)


def opened(
    keyring: Keyring,
    *certificates: Certified,
    holders: Holders | None = None,
    failure: TokenRequestError | None = None,
    client: Client = CLIENT,
) -> GraphSite:
    def token(of: Client, scope: str) -> AccessToken:
        assert (of, scope) == (client, "https://graph.example/.default")
        if failure is not None:
            raise failure
        return AccessToken(value=TOKEN, issued_at=START, expires_at=START + DAY, scope=scope)

    sites = Sites(
        keys=holders or Holders(), token=token, transport=Graph().send, now=lambda: START
    )
    made = sites.open(client, keyring, Testimony(certificates=certificates))
    assert isinstance(made, GraphSite)
    return made


RING = ring(certified("active"))
OWN = Certified(kid=KID, der=ordered())


def test_the_active_key_proves_and_the_token_is_for_graph() -> None:
    made = opened(RING, OWN)
    (prover,) = made.provers
    assert (prover.key.kid, prover.certificate) == (KID, DER)
    assert made.access_token == TOKEN


@pytest.mark.parametrize(
    ("keyring", "certificates"),
    [
        (RING, ()),
        (RING, (replace(OWN, der=ordered()[:-4]),)),
        (ring(certified("standby")), (OWN,)),
        (ring(active()), (OWN,)),
    ],
    ids=["none", "broken", "of no active key", "another's"],
)
def test_without_the_certificate_of_the_active_key_there_is_no_proof(
    keyring: Keyring, certificates: tuple[Certified, ...]
) -> None:
    assert refused(lambda: opened(keyring, *certificates)).code == "no_certificate"


def test_why_a_site_cannot_be_opened_is_told_as_a_code() -> None:
    refusal = TokenRequestError("invalid_client", TOKEN)
    assert refused(lambda: opened(RING, OWN, failure=refusal)).code == "invalid_client"
    mute = Holders(SigningError("no"))
    assert refused(lambda: opened(RING, OWN, holders=mute)).code == "not_signed"
    by_hand = replace(CLIENT, upload=None)
    assert refused(lambda: opened(RING, OWN, client=by_hand)).code == "not_configured"


def test_a_kms_that_fails_signs_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise AwsError("kms:Sign", "KMSInternalException")

    monkeypatch.setattr("machine_identity.entra_keys.jwt.encode", fails)
    failure = refused(lambda: site(Graph()).withdraw(KNOWN))
    assert (failure.code, failure.is_lost) == ("not_signed", False)
