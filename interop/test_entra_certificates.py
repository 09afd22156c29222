"""MSAL, azure-identity and our token source prove themselves at Entra by certificates of ours.

Each certificate is what ``machine-identity export`` writes of its key, which lies in a file or in
KMS. Entra and Graph are the stand-in, over TLS. It takes one algorithm of an app at a time where a
row names one, and it remembers by which name of a certificate it was found.
"""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from azure.identity import CertificateCredential
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from interop.deployment import Deployment
from interop.microsoft import (
    BY_ASSERTION,
    ROLE,
    Asked,
    asked_by_azure_identity,
    asked_by_msal,
    host_of,
)
from interop.recording import Shown
from interop.trials import Party, from_pypi
from local import key_credentials, tokens
from local.authorization_server import Decision
from local.entra_errors import Fault
from local.registrations import GRAPH, TENANT, App, Certificates
from local.stack import SCOPE
from machine_identity import certificate, clock, entra_answers, entra_keys, transport
from machine_identity.cli import main
from machine_identity.client_assertion import SigningKey
from machine_identity.entra_keys import KeyRequest
from machine_identity.errors import InvalidClientError
from machine_identity.http1 import Response
from machine_identity.key_files import pem_file
from machine_identity.providers import PROVIDERS, Client
from machine_identity.token_source import TokenSource

APP = "6f0d3f0a-0f3b-4a39-9a3c-5d7f5b1f7c21"
ENTRA = PROVIDERS["entra-certificate"]
GRAPH_SCOPE = f"{GRAPH.app_id_uri}/.default"
NOT_TAKEN = ("", 700027)
OURS = Party(name="our token source", version="this code")

with_rsa = pytest.mark.parametrize("deployment", ["RS256", "PS256"], indirect=True)
with_one = pytest.mark.parametrize("deployment", ["RS256"], indirect=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """A key, and the certificate that was exported of it."""

    key: SigningKey = field(repr=False)
    pem: str

    @property
    def der(self) -> bytes:
        return ssl.PEM_cert_to_DER_cert(self.pem)

    @property
    def private_pem(self) -> str:
        shape = Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        return self.key.private_key.private_bytes(*shape).decode()


def exported(key: SigningKey, output: Path, *words: str) -> Certified:
    """Export the certificate of a key, of which ``words`` say where it is."""
    with pytest.raises(SystemExit) as ended:
        main(["export", "--format", "x509", "--output", str(output), *words])
    assert ended.value.code == 0
    pem = output.read_text()
    thumbprint = certificate.thumbprint(ssl.PEM_cert_to_DER_cert(pem))
    return Certified(key=replace(key, thumbprint=thumbprint), pem=pem)


def in_file(folder: Path, *words: str) -> Certified:
    """Return a new key in a file, with its certificate."""
    private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path = folder / clock.unique()
    path.write_bytes(private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return exported(pem_file(path), path.with_suffix(".crt"), "--key", str(path), *words)


@pytest.fixture
def in_kms(deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Certified:
    """Return the key in KMS with which the deployment signs, with its certificate."""
    for name, value in deployment.stack.aws.environment.items():
        monkeypatch.setenv(name, value)
    keyring = deployment.signer.keyring(clock.now())
    assert keyring.active is not None
    key = deployment.signer.with_key(keyring.active, keyring).signing_key()
    words = "--kms-key", keyring.active.arn, "--algorithm", deployment.algorithm
    return exported(key, tmp_path / "kms.crt", *words)


def register(
    deployment: Deployment, *certified: Certified, algorithms: tuple[str, ...] = ENTRA.algorithms
) -> App:
    keys = tuple(key_credentials.from_der(each.der, key_id=clock.unique()) for each in certified)
    app = App(
        client_id=APP,
        provider=replace(ENTRA, algorithms=algorithms),
        credential=Certificates(keys=keys),
    )
    deployment.stack.authorization_server.register(app)
    return app


@pytest.fixture
def host(deployment: Deployment) -> str:
    return host_of(deployment.stack.authorization_server)


def decided(deployment: Deployment) -> Decision:
    """Return what the stand-in decided last about the app."""
    decisions = deployment.stack.authorization_server.decisions
    return next(each for each in reversed(decisions) if each.client_id == APP)


def check_that_the_api_takes(token: str, deployment: Deployment) -> None:
    answer = deployment.upper("hello world", token)
    assert tokens.claims(token)["azp"] == APP
    assert (answer.status, answer.members) == (200, {"result": "HELLO WORLD"})


# The libraries sign, with a key in a file


def by_msal(host: str, certified: Certified, scope: str = SCOPE) -> Asked:
    credential = {"private_key": certified.private_pem, "public_certificate": certified.pem}
    return asked_by_msal(host, APP, credential, scope)


def by_msal_with_thumbprint(host: str, certified: Certified) -> Asked:
    thumbprint = certificate.sha1(certified.der)
    credential = {"private_key": certified.private_pem, "thumbprint": thumbprint}
    return asked_by_msal(host, APP, credential)


def by_azure_identity(host: str, certified: Certified) -> Asked:
    credential = CertificateCredential(
        TENANT,
        APP,
        certificate_data=(certified.private_pem + certified.pem).encode(),
        authority=host,
        disable_instance_discovery=True,
    )
    return asked_by_azure_identity(credential)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a library proves itself by a certificate: who, how it signs, and what it names."""

    package: str
    ask: Callable[[str, Certified], Asked]
    algorithm: str
    name: str


WAYS: Mapping[str, Way] = {
    "msal": Way(package="msal", ask=by_msal, algorithm="PS256", name="x5t#S256"),
    "msal with a thumbprint": Way(
        package="msal", ask=by_msal_with_thumbprint, algorithm="RS256", name="x5t"
    ),
    "azure-identity": Way(
        package="azure-identity", ask=by_azure_identity, algorithm="RS256", name="x5t"
    ),
}


@with_one
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_client_of_microsoft_s_gets_a_token_by_our_certificate_and_the_api_takes_it(
    way: Way, deployment: Deployment, host: str, tmp_path: Path, shown: Shown
) -> None:
    certified = in_file(tmp_path)
    app = register(deployment, in_file(tmp_path), certified, algorithms=(way.algorithm,))
    assert isinstance(app.credential, Certificates)

    token, _ = way.ask(host, certified)

    check_that_the_api_takes(token, deployment)
    assert decided(deployment).kid == app.credential.keys[1].names[way.name]
    said = f"gets a token by a certificate of ours, which it names by `{way.name}`"
    shown(from_pypi(way.package), ROLE, f"{said}, and the API takes it", way.algorithm)


LONG_AGO = "--not-before", "2020-01-01", "--days", "1"


@with_one
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_certificate_that_is_not_registered_or_has_expired_comes_out_as_entra_s_number(
    way: Way, deployment: Deployment, host: str, tmp_path: Path, shown: Shown
) -> None:
    old = in_file(tmp_path, *LONG_AGO)
    register(deployment, in_file(tmp_path), old, algorithms=(way.algorithm,))
    for certified, fault, wrong in (
        (in_file(tmp_path), Fault.UNKNOWN_CERTIFICATE, "is not registered"),
        (old, Fault.EXPIRED_CERTIFICATE, "has expired"),
    ):
        assert way.ask(host, certified) == NOT_TAKEN
        assert decided(deployment).fault is fault
        said = f"is told AADSTS700027 of a certificate that {wrong}, and says so"
        shown(from_pypi(way.package), ROLE, said, way.algorithm)


# Our signer signs, with a key in KMS

SIGNED_IN_KMS = (
    "gets a token by our signer with a key in KMS and its certificate, and the API takes it"
)


def registration(deployment: Deployment) -> Client:
    """Return the app as a client of ours is told of it."""
    return Client(
        name="billing",
        provider=ENTRA,
        authorization_server=deployment.stack.authorization_server.issuer,
        client_id=APP,
        scope=SCOPE,
    )


@with_rsa
@pytest.mark.parametrize("name", BY_ASSERTION)
def test_a_client_of_microsoft_s_gets_a_token_by_our_signer_with_a_certificate(
    name: str, deployment: Deployment, host: str, in_kms: Certified, shown: Shown
) -> None:
    register(deployment, in_kms, algorithms=(deployment.algorithm,))
    server = deployment.stack.authorization_server
    draft = registration(deployment).draft(server.token_endpoint)

    def assertion() -> str:
        return in_kms.key.sign(draft, now=clock.now(), jti=clock.unique())

    token, _ = BY_ASSERTION[name](host, APP, assertion)

    check_that_the_api_takes(token, deployment)
    assert decided(deployment).kid == in_kms.key.thumbprint
    shown(from_pypi(name), ROLE, SIGNED_IN_KMS, deployment.algorithm)


def asked_by_our_token_source(deployment: Deployment, key: SigningKey) -> str:
    """Get a token as the token function does, which itself has no keys with certificates."""
    source = TokenSource(signer=key, transport=transport.send, clock=clock, sleep=lambda _: None)
    return source.get(registration(deployment), SCOPE).value


@with_rsa
def test_our_token_source_gets_a_token_by_a_certificate_and_is_told_when_none_is_registered(
    deployment: Deployment, in_kms: Certified, tmp_path: Path, shown: Shown
) -> None:
    algorithm = deployment.algorithm
    register(deployment, in_kms, algorithms=(algorithm,))
    check_that_the_api_takes(asked_by_our_token_source(deployment, in_kms.key), deployment)
    assert decided(deployment).kid == in_kms.key.thumbprint

    stranger = replace(in_file(tmp_path).key, algorithm=algorithm)
    with pytest.raises(InvalidClientError, match="AADSTS700027"):
        asked_by_our_token_source(deployment, stranger)
    assert decided(deployment).fault is Fault.UNKNOWN_CERTIFICATE
    shown(OURS, ROLE, SIGNED_IN_KMS, algorithm)
    said = "is told AADSTS700027 of a certificate that is not registered, and says so"
    shown(OURS, ROLE, said, algorithm)


# A roll: the tokens are MSAL's, the calls of Graph are ours


def sent(deployment: Deployment, call: KeyRequest) -> Response:
    return transport.send(
        call.method,
        deployment.stack.authorization_server.graph_url + call.path,
        headers=call.headers,
        body=call.body,
        timeout=timedelta(seconds=10),
    )


def proof(certified: Certified, app: App) -> str:
    return entra_keys.proof(
        certified.key, certificate=certified.der, object_id=app.object_id, now=clock.now()
    )


@with_one
def test_a_certificate_is_rolled_by_graph_with_the_tokens_that_msal_gets(
    deployment: Deployment, host: str, tmp_path: Path, shown: Shown
) -> None:
    first, second = in_file(tmp_path), in_file(tmp_path)
    app = register(deployment, first, algorithms=("PS256",))
    assert isinstance(app.credential, Certificates)
    (registered,) = app.credential.keys
    assert by_msal(host, second) == NOT_TAKEN

    token, _ = by_msal(host, first, GRAPH_SCOPE)
    add = entra_keys.add_key_request(
        object_id=app.object_id,
        certificate=second.der,
        proof=proof(first, app),
        access_token=token,
    )
    answer = sent(deployment, add)
    added = entra_answers.process_added(answer.status, answer.body, secrets=add.secrets)
    assert added != registered.key_id
    for certified in (first, second):
        check_that_the_api_takes(by_msal(host, certified)[0], deployment)

    token, _ = by_msal(host, second, GRAPH_SCOPE)
    remove = entra_keys.remove_key_request(
        object_id=app.object_id,
        key_id=registered.key_id,
        proof=proof(second, app),
        access_token=token,
    )
    answer = sent(deployment, remove)
    entra_answers.process_removed(answer.status, answer.body, secrets=remove.secrets)
    assert by_msal(host, first) == NOT_TAKEN
    assert decided(deployment).fault is Fault.UNKNOWN_CERTIFICATE
    check_that_the_api_takes(by_msal(host, second)[0], deployment)
    shown(
        from_pypi("msal"),
        ROLE,
        "gets the tokens for Graph by which our calls add a second certificate and remove the "
        "first; then gets one for the API by the second only",
        "PS256",
    )
