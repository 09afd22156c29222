"""The token function brings a certificate to Entra on its schedule: rule 8 as deployed.

S3 and KMS by moto; Entra ID and Graph by the stand-in over HTTP, the public URL by real HTTP.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import SignatureAlgorithmOID
from moto import mock_aws

from local import key_credentials
from local.authorization_server import AuthorizationServer
from local.registrations import API_URI, App, Certificates
from machine_identity import certificate, clock, keyring
from machine_identity.keyring import Key
from machine_identity.providers import PROVIDERS
from machine_identity.testimony import Testimony
from tests.functions.test_canary import QUARTER, START, measured
from tests.functions.test_canary import World as Canary
from tests.key_set_server import KeySetServer
from tests.token_endpoint import TokenEndpoint

CLIENT_ID = "6f0d3f0a-0f3b-4a39-9a3c-5d7f5b1f7c21"
DATES: dict[str, Any] = {
    "certificate_from": START,
    "certificate_until": START + timedelta(days=90),
}


class World(Canary):
    """The world of the canary, with Entra ID for the provider."""

    def at(self, entra: AuthorizationServer) -> None:
        self.entra = entra
        self.app = App(
            client_id=CLIENT_ID,
            provider=PROVIDERS["entra-certificate"],
            credential=Certificates(keys=()),
        )
        entra.register(self.app)
        self.configure(
            PROVIDER="entra-certificate",
            AUTHORIZATION_SERVER=entra.issuer,
            CLIENT_ID=CLIENT_ID,
            SCOPE=f"{API_URI}/.default",
        )
        upload = {"object_id": self.app.object_id, "graph": entra.graph_url}
        entries = json.dumps({"default": {"upload": upload}}).encode()
        self.bucket.write("default/clients.json", entries, expected=None)
        self.first, self.second = (replace(each, **DATES) for each in (self.first, self.second))
        self.store(self.first, self.second)

    def told(self) -> Testimony:
        found = self.testimony()
        assert found is not None
        return found

    def der(self, key: Key) -> bytes:
        made = next(each for each in self.told().certificates if each.kid == key.kid)
        return base64.b64decode(made.der)

    def administrate(self) -> None:
        """Do what rotation and an administrator do: name the keys, and register the active one."""
        named = (
            replace(each, thumbprint=certificate.thumbprint(self.der(each)))
            for each in (self.first, self.second)
        )
        self.store(*named, revision=1)
        credential = key_credentials.from_der(self.der(self.first), key_id=clock.unique())
        self.entra.graph.directory.add(self.app, credential, self.now - timedelta(days=1))

    def registered(self) -> list[bytes]:
        held = self.entra.graph.directory.keys(self.app, self.now + timedelta(days=1))
        return [each.der for each in held]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws(), TokenEndpoint([]) as server, KeySetServer({}) as public:
        world = World(server, public, monkeypatch)
        with AuthorizationServer(now=lambda: world.now) as entra:
            world.at(entra)
            yield world


def test_rule_8_a_standby_key_s_certificate_is_brought_to_entra_and_nothing_secret_is_told(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    first = world.prove()
    assert first["uploads"] == [
        {"kid": world.first.kid, "did": "certify"},
        {"kid": world.second.kid, "did": "certify"},
        {
            "client": "default",
            "kid": world.second.kid,
            "did": "add",
            "code": "misconfigured",
        },
    ]
    printed = "".join(capfd.readouterr())
    assert (measured(printed, "UploadsDone"), measured(printed, "UploadsFailed")) == ([2], [1])
    world.administrate()
    world.now += QUARTER
    second = world.prove()
    assert second["uploads"] == [
        {"client": "default", "kid": world.second.kid, "did": "add"},
        {"client": "default", "did": "list", "code": "not_told"},
    ]
    new = "".join(capfd.readouterr())
    assert (measured(new, "UploadsDone"), measured(new, "UploadsFailed")) == ([2], [0])
    printed += new
    assert world.registered() == [world.der(world.first), world.der(world.second)]
    (known,) = world.told().uploads
    assert (known.kid, known.asked, known.added_at) == (world.second.kid, 1, world.now)
    told = printed + json.dumps([first, second])
    ders = [each.der for each in world.told().certificates]
    assert not [each for each in ("eyJ", "Bearer ", *(each[:64] for each in ders)) if each in told]


def test_rule_8_a_key_that_signs_with_pss_has_a_certificate_that_every_reader_takes(
    world: World,
) -> None:
    world.first, world.second = (
        replace(each, jwk={**each.jwk, "alg": "PS256"}) for each in (world.first, world.second)
    )
    world.store(world.first, world.second, revision=1)
    world.prove()
    signed = x509.load_der_x509_certificate(world.der(world.second))
    assert signed.signature_algorithm_oid == SignatureAlgorithmOID.RSA_WITH_SHA256


def test_what_is_done_is_logged_with_the_canary_s_record(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = world.prove()
    lines = [json.loads(line) for line in "".join(capfd.readouterr()).splitlines()]
    (record,) = [line for line in lines if line.get("message") == "canary"]
    assert record["uploads"] == answer["uploads"]


def test_when_nothing_is_to_be_done_nothing_is_told_and_none_is_counted(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    world.prove()
    world.administrate()
    world.now += QUARTER
    world.prove()
    capfd.readouterr()
    world.now += QUARTER
    assert "uploads" not in world.prove()
    printed = "".join(capfd.readouterr())
    assert (measured(printed, "UploadsDone"), measured(printed, "UploadsFailed")) == ([0], [0])


def test_rule_2_a_slip_in_the_upload_of_the_default_client_keeps_it_from_no_trial(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    standing = world.bucket.read("default/clients.json")
    assert standing is not None
    body = b'{"default": {"upload": {"object_id": "7"}}}'
    world.bucket.write("default/clients.json", body, expected=standing.tag)
    assert "default" in {each["client"] for each in world.prove()["trials"]}
    assert measured("".join(capfd.readouterr()), "ClientsFaulty") == [1]


def test_rule_8_a_stranger_s_certificate_in_the_evidence_stops_neither_hand_nor_canary(
    world: World,
) -> None:
    world.prove()
    document = world.bucket.read("default/evidence.json")
    assert document is not None
    members = json.loads(document.body)
    own, other = members["certificates"]
    own["der"], other["der"] = other["der"], base64.b64encode(b"0").decode()
    world.bucket.write(
        "default/evidence.json", json.dumps(members).encode(), expected=document.tag
    )
    world.now += QUARTER
    answer = world.prove()
    assert [each["did"] for each in answer["uploads"][:2]] == ["certify", "certify"]
    assert answer["canary"] == "tried"
    standing = world.bucket.read("default/keyring.json")
    assert standing is not None
    assert keyring.parse(standing.body).active is not None
