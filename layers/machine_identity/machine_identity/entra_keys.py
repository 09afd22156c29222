"""Rolling an application's certificates at Entra ID by Microsoft Graph: ``addKey``, ``removeKey``.

Both calls want a token for Graph of the application itself, no permission, and a *proof*: a JWT
signed with the key of a certificate that is registered and valid now. Its claims are those of
Microsoft's "Generate proof of possession tokens for rolling keys": ``aud`` the directory, ``iss``
the application's *object* ID, ``nbf``, and ``exp`` ten minutes after it. Without a valid
certificate there is no proof, and an administrator must register one.

``addKey`` is not idempotent: whoever lost its answer asks what is there (``listing_request``,
which needs a permission) or tries the certificate, before it asks again.

Requests are made here and answers processed in ``entra_answers``; neither does I/O or reads the
clock. Whether a certificate fits a key, and when to roll it, is for others to say.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import jwt

from machine_identity import certificate as certificates
from machine_identity.client_assertion import SigningKey
from machine_identity.errors import SettingsError
from machine_identity.jwk import base64url
from machine_identity.providers import is_guid

PROOF_AUDIENCE: Final = "00000002-0000-0000-c000-000000000000"
"""As the newest text has it; from 2020 to 2023 it was Microsoft Graph's own ID, with a 3."""
PROOF_AUDIENCES: Final = (PROOF_AUDIENCE, "00000003-0000-0000-c000-000000000000")
PROOF_LIFETIME: Final = timedelta(minutes=10)
"""From ``nbf`` to ``exp``: what is documented, and no more is taken."""
PROOF_BACKDATE: Final = timedelta(seconds=60)
"""How far before now ``nbf`` lies, for a reader whose clock is behind ours."""

_ALGORITHMS: Final = ("RS256", "PS256")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRequest:
    """One call of Graph, but for the URL that ``path`` is appended to."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False, default=None)
    secrets: tuple[str, ...] = field(repr=False)
    """What no error may repeat."""


def proof(
    key: SigningKey,
    *,
    certificate: bytes,
    object_id: str,
    now: datetime,
    audience: str = PROOF_AUDIENCE,
) -> str:
    """Return the proof that ``key``, whose certificate is registered, is ours at ``now``.

    ``certificate`` is its DER. Raises SettingsError for a key that Entra takes no signature of.
    """
    if key.algorithm not in _ALGORITHMS:
        accepted = ", ".join(_ALGORITHMS)
        raise SettingsError(f"the key signs with {key.algorithm}; Entra accepts {accepted}")
    starts = int((now - PROOF_BACKDATE).timestamp())
    claims = {
        "aud": audience,
        "iss": _guid(object_id, "the object ID of the application"),
        "nbf": starts,
        "exp": starts + int(PROOF_LIFETIME.total_seconds()),
    }
    # Microsoft's sample names the certificate by kid and x5t; assertions do by x5t#S256.
    sha1 = certificates.sha1(certificate)
    names = {
        "kid": sha1,
        "x5t": base64url(bytes.fromhex(sha1)),
        "x5t#S256": certificates.thumbprint(certificate),
    }
    return jwt.encode(
        claims, key.private_key, algorithm=key.algorithm, headers={"typ": "JWT", **names}
    )


def add_key_request(
    *, object_id: str, certificate: bytes, proof: str, access_token: str, display_name: str = ""
) -> KeyRequest:
    """Return the call that registers a certificate (DER) beside those that are there."""
    credential = {
        "type": "AsymmetricX509Cert",
        "usage": "Verify",
        "key": base64.b64encode(certificate).decode(),
        **({"displayName": display_name} if display_name else {}),
    }
    members = {"keyCredential": credential, "passwordCredential": None, "proof": proof}
    return _post("addKey", object_id, members, proof, access_token)


def remove_key_request(
    *, object_id: str, key_id: str, proof: str, access_token: str
) -> KeyRequest:
    """Return the call that removes the certificate which Graph knows by ``key_id``."""
    members = {"keyId": _guid(key_id, "the ID of the key"), "proof": proof}
    return _post("removeKey", object_id, members, proof, access_token)


def listing_request(*, object_id: str, access_token: str) -> KeyRequest:
    """Return the call that lists the certificates, which needs ``Application.Read.All``."""
    return KeyRequest(
        method="GET",
        path=f"{_path(object_id)}?$select=keyCredentials",
        headers=_headers(access_token),
        secrets=(access_token,),
    )


def _post(
    action: str, object_id: str, members: Mapping[str, Any], proof: str, access_token: str
) -> KeyRequest:
    return KeyRequest(
        method="POST",
        path=f"{_path(object_id)}/{action}",
        headers={**_headers(access_token), "content-type": "application/json"},
        body=json.dumps(members).encode(),
        secrets=(proof, access_token),
    )


def _path(object_id: str) -> str:
    return f"/applications/{_guid(object_id, 'the object ID of the application')}"


def _headers(access_token: str) -> Mapping[str, str]:
    return {"accept": "application/json", "authorization": f"Bearer {access_token}"}


def _guid(text: str, label: str) -> str:
    if not is_guid(text):
        raise SettingsError(f"{label} must be a GUID")
    return text.lower()
