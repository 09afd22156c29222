"""npm's oidc-provider takes our assertions, and the API takes its tokens."""

from interop.deployment import CLIENT_ID, SCOPE, Deployment
from interop.oidc_provider import OidcProvider
from interop.recording import Shown
from interop.trials import from_npm
from local import tokens
from machine_identity.providers import PROVIDERS

ROLE = "authorization server"
PROVIDER = PROVIDERS["oidc-provider"]


def test_an_assertion_signed_by_kms_brings_a_token_and_the_token_opens_the_api(
    deployment: Deployment, oidc_provider: OidcProvider, shown: Shown
) -> None:
    issuer, algorithm = oidc_provider.issuer, deployment.algorithm
    with (
        deployment.client_of(PROVIDER, issuer, CLIENT_ID, SCOPE),
        deployment.trusting(issuer, algorithm),
    ):
        given = deployment.token()
        (decision,) = oidc_provider.decisions(1)
        assert decision["accepted"], decision["why"]
        token = given["access_token"]
        answer = deployment.upper("hello world", token)
        forged = tokens.with_claims(token, {**tokens.claims(token), "scope": f"{SCOPE} more"})
        refused = deployment.upper("hello world", forged)

    assert given["scope"] == SCOPE
    assert tokens.header(token)["typ"] == "at+jwt"
    assert tokens.header(token)["alg"] == algorithm
    assert (answer.status, answer.members) == (200, {"result": "HELLO WORLD"})
    assert refused.status == 403
    party = from_npm("oidc-provider")
    shown(party, ROLE, "gives a token for an assertion that KMS signed", algorithm)
    shown(party, ROLE, "its access token, a JWT, opens the uppercase API", algorithm)


def test_the_audience_is_the_issuer_and_an_assertion_is_good_once(
    deployment: Deployment, oidc_provider: OidcProvider, shown: Shown
) -> None:
    token_endpoint = f"{oidc_provider.issuer}/token"
    fields = {"issuer": CLIENT_ID, "audience": oidc_provider.issuer}
    assertion = deployment.assertion(**fields)

    status, first = deployment.asked(token_endpoint, assertion)
    again, second = deployment.asked(token_endpoint, assertion)
    elsewhere, third = deployment.asked(
        token_endpoint, deployment.assertion(**{**fields, "audience": "https://other.example"})
    )

    assert (status, first["token_type"]) == (200, "Bearer")
    assert (again, second["error"]) == (401, "invalid_client")
    assert (elsewhere, third["error"]) == (401, "invalid_client")
    _, replayed, other = oidc_provider.decisions(3)
    assert "once" in replayed["why"]
    assert "aud" in other["why"]
    party, algorithm = from_npm("oidc-provider"), deployment.algorithm
    shown(party, ROLE, "takes its issuer as `aud`, and no other server's", algorithm)
    shown(party, ROLE, "refuses the same assertion a second time (`jti`)", algorithm)
