"""MSAL, azure-identity and our token function as clients of Entra's federated credentials.

Entra itself is the stand-in, over TLS; the clients are the real ones. Each asks a callback for the
assertion, and the callback is our signer: KMS signs.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from interop.deployment import Deployment
from interop.microsoft import BY_ASSERTION, ROLE, host_of
from interop.recording import Shown
from interop.trials import Party, from_pypi
from local import tokens
from local.registrations import app_for
from local.stack import SCOPE
from machine_identity import clock
from machine_identity.client_assertion import SigningKey
from machine_identity.providers import PROVIDERS

APP = "2b7d1c7e-90d5-4d0f-8b8e-1b6a4f0a6d55"
FEDERATED = PROVIDERS["entra-federated"]

pytestmark = pytest.mark.parametrize("deployment", ["RS256"], indirect=True)


@pytest.fixture
def host(deployment: Deployment) -> str:
    """Register the app, and return the address under which its directory is."""
    server = deployment.stack.authorization_server
    server.register(app_for(FEDERATED, client_id=APP, public_url=deployment.issuer))
    return host_of(server)


def good(deployment: Deployment, **fields: Any) -> str:
    said = {"subject": APP, "audience": FEDERATED.fixed_audience, **fields}
    return deployment.assertion(**said)


def by_a_stranger(deployment: Deployment) -> str:
    private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key = SigningKey(
        kid="stranger", algorithm="RS256", private_key=private_key, issuer=deployment.issuer
    )
    draft = replace(deployment.draft(), subject=APP, audience=FEDERATED.fixed_audience)
    return key.sign(draft, now=clock.now(), jti=clock.unique())


def expired(deployment: Deployment) -> str:
    hour = timedelta(hours=1)
    draft = replace(deployment.draft(), subject=APP, audience=FEDERATED.fixed_audience)
    return deployment.signer.sign(draft, now=clock.now() - hour, jti=clock.unique())


REFUSED: Mapping[str, tuple[int, Callable[[Deployment], str]]] = {
    "issuer": (700211, lambda deployment: good(deployment, issuer=deployment.issuer + "/")),
    "subject": (700213, lambda deployment: good(deployment, subject=APP.upper())),
    "audience": (700212, lambda deployment: good(deployment, audience="api://other")),
    "kid": (7000272, by_a_stranger),
    "time": (700024, expired),
}
"""What is wrong, the number by which Entra is documented to say so, and an assertion like that."""


@pytest.mark.parametrize("name", BY_ASSERTION)
def test_a_client_of_microsoft_s_gets_a_token_by_our_signer_and_the_api_takes_it(
    name: str, deployment: Deployment, host: str, shown: Shown
) -> None:
    token, _ = BY_ASSERTION[name](host, APP, lambda: good(deployment))
    answer = deployment.upper("hello world", token)

    assert tokens.claims(token)["azp"] == APP
    assert (answer.status, answer.members) == (200, {"result": "HELLO WORLD"})
    shown(from_pypi(name), ROLE, "gets a token by our signer, and the API takes it", "RS256")


@pytest.mark.parametrize("wrong", REFUSED)
@pytest.mark.parametrize("name", BY_ASSERTION)
def test_what_is_wrong_with_an_assertion_comes_out_as_entra_s_number(
    name: str, wrong: str, deployment: Deployment, host: str, shown: Shown
) -> None:
    documented, make = REFUSED[wrong]

    token, code = BY_ASSERTION[name](host, APP, lambda: make(deployment))

    assert (token, code) == ("", documented)
    shown(from_pypi(name), ROLE, f"is told AADSTS{code} of a wrong {wrong}, and says so", "RS256")


def test_our_token_function_gets_one_from_the_same_server_and_the_api_takes_it(
    deployment: Deployment, host: str, shown: Shown
) -> None:
    issuer = deployment.stack.authorization_server.issuer
    assert issuer.startswith("https://")
    assert host in issuer
    with deployment.client_of(FEDERATED, issuer, APP, SCOPE):
        token = deployment.token()["access_token"]
    answer = deployment.upper("hello world", token)

    assert tokens.claims(token)["azp"] == APP
    assert (answer.status, answer.members) == (200, {"result": "HELLO WORLD"})
    ours = Party(name="our token function", version="this code")
    shown(ours, ROLE, "gets a token, and the API takes it", "RS256")
