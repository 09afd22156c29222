"""The two public documents, as a function of the keyring (RFC 7517 section 5, RFC 8414).

Both are deterministic: the same keyring gives the same bytes, so that what stands in the bucket
is compared, not remembered. The key set carries the ``revision`` at which it last changed: S3's
ETag is a hash of the content and would recur when a set does (rule 6); RFC 7517 section 5 has
readers ignore members that they do not know.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, cast

from machine_identity.evidence import Standing
from machine_identity.jwk import PublicJwk
from machine_identity.keyring import Keyring

JWKS_PATH = "/.well-known/jwks.json"
CONFIGURATION_PATH = "/.well-known/openid-configuration"

_PUBLIC: Final = PublicJwk.__annotations__.keys()


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """What is to stand in the bucket."""

    jwks: bytes = field(repr=False)
    configuration: bytes = field(repr=False)
    cache_control: str
    revision: int


def documents(keyring: Keyring, max_age: timedelta) -> Documents:
    """Return the key set and the discovery document that the keyring asks for.

    Only members that are known to be public get out, whatever the keyring holds (rule 8).
    """
    keys = [
        {name: value for name, value in key.jwk.items() if name in _PUBLIC}
        for key in keyring.published
    ]
    algorithms = sorted({key.jwk["alg"] for key in keyring.published})
    configuration = {
        "issuer": keyring.issuer,
        "jwks_uri": keyring.issuer + JWKS_PATH,
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
    }
    return Documents(
        jwks=_json({"keys": keys, "revision": keyring.published_revision}),
        configuration=_json(configuration),
        cache_control=f"public, max-age={int(max_age.total_seconds())}",
        revision=keyring.published_revision,
    )


def stands(wanted: Documents, standing: Standing) -> bool:
    """Return whether the bucket holds exactly what is wanted."""
    return (wanted.jwks, wanted.configuration, wanted.cache_control) == (
        standing.jwks,
        standing.configuration,
        standing.cache_control,
    )


def standing_revision(standing: Standing) -> int:
    """Return the revision of the key set that stands in the bucket; 0 for none or a broken one."""
    try:
        revision = json.loads(standing.jwks or b"{}").get("revision", 0)
    except (ValueError, AttributeError, RecursionError):
        return 0
    return revision if type(revision) is int else 0


def standing_keys(standing: Standing) -> dict[str, PublicJwk]:
    """Return the keys of the set that stands in the bucket, by name; none of a broken one."""
    try:
        keys = [{**key} for key in json.loads(standing.jwks or b"{}")["keys"]]
        return {str(key["kid"]): cast("PublicJwk", key) for key in keys}
    except (ValueError, TypeError, KeyError):
        return {}


def object_key(identity: str, path: str) -> str:
    """Return where in the bucket the document for a path of the public URL stands."""
    return identity + path


def _json(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, indent=2, sort_keys=True).encode()
