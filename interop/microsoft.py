"""MSAL and azure-identity as they ship: a token of the Entra stand-in's, or the number of why not.

Each is made anew for one question, so that no token comes out of a cache. What they look up of
an authority at Microsoft, to whom this host is unknown, is left out by their own option.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msal
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CertificateCredential, ClientAssertionCredential

from local.authorization_server import AuthorizationServer
from local.registrations import TENANT
from local.stack import SCOPE

ROLE: Final = "client of the Entra stand-in"

type Assertion = Callable[[], str]
type Asked = tuple[str, int]
"""The access token, or the number of the AADSTS error."""


def host_of(server: AuthorizationServer) -> str:
    """Return the address under which the stand-in's directory is."""
    return server.issuer.partition(f"/{TENANT}")[0]


def asked_by_msal(
    host: str, client_id: str, credential: Mapping[str, Any], scope: str = SCOPE
) -> Asked:
    """Have MSAL ask, with any of the shapes of a ``client_credential``."""
    app = msal.ConfidentialClientApplication(
        client_id,
        authority=f"{host}/{TENANT}",
        client_credential=credential,
        instance_discovery=False,
    )
    answer = app.acquire_token_for_client(scopes=[scope])
    return answer.get("access_token", ""), *answer.get("error_codes", [0])


def asked_by_azure_identity(
    credential: ClientAssertionCredential | CertificateCredential,
) -> Asked:
    """Have a credential of azure-identity ask."""
    with credential:
        try:
            return credential.get_token(SCOPE).token, 0
        except ClientAuthenticationError as error:
            (code,) = set(re.findall(r"AADSTS(\d+)", str(error)))
            return "", int(code)


def _msal(host: str, client_id: str, assertion: Assertion) -> Asked:
    return asked_by_msal(host, client_id, {"client_assertion": assertion})


def _azure_identity(host: str, client_id: str, assertion: Assertion) -> Asked:
    credential = ClientAssertionCredential(
        TENANT, client_id, assertion, authority=host, disable_instance_discovery=True
    )
    return asked_by_azure_identity(credential)


BY_ASSERTION: Final[Mapping[str, Callable[[str, str, Assertion], Asked]]] = {
    "msal": _msal,
    "azure-identity": _azure_identity,
}
"""Those that ask a callback for the assertion, by package."""
