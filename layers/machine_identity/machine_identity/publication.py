"""The two public documents, as a function of the keyring (RFC 7517 section 5, RFC 8414).

The same keyring gives the same bytes, so that what stands in the bucket is compared, not
remembered. The key set carries the ``revision`` at which it last changed: S3's ETag is a hash of
the content and would recur when a set does (rule 6); RFC 7517 section 5 has readers ignore members
that they do not know. While the keys have a second URL the discovery document names it too, in
members that are for ``as_served`` and never leave.

Readers for whom the discovery document is an OpenID provider's insist on an authorization endpoint
(OpenID Connect Discovery 1.0 section 3), and on a token endpoint unless the implicit grant is the
only one. We have neither: nobody signs in here. So the document says what requires least, the
grant that goes with the ``id_token`` of its response types, and an authorization endpoint whose
name says that there is none: it is no route of the API, which answers 404. The section also wants
RS256 among the algorithms; that is there if a key signs with it, and else it would be a lie.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, cast
from urllib.parse import urlsplit

from machine_identity import jwk
from machine_identity.evidence import Seen, Standing
from machine_identity.jwk import PublicJwk
from machine_identity.keyring import Keyring

JWKS_PATH = "/.well-known/jwks.json"
CONFIGURATION_PATH = "/.well-known/openid-configuration"
AUTHORIZATION_PATH: Final = "/no-authorization-endpoint"
"""Where nothing is, and nothing of anybody's under the same domain is likely to be."""

_PUBLIC: Final = PublicJwk.__annotations__.keys()
_MATERIAL: Final = ("kty", "n", "e", "crv", "x", "y")
_OTHER_ISSUERS: Final = "other_issuers"
_ELSEWHERE: Final = "issuer_elsewhere"
_MOST: Final = 2**62
"""Beyond any revision; a number of any length would be read, and not written again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """What is to stand in the bucket."""

    jwks: bytes = field(repr=False)
    configuration: bytes = field(repr=False)
    cache_control: str
    revision: int


def documents(keyring: Keyring, max_age: timedelta) -> Documents:
    """Return the key set and the discovery document that the keyring asks for."""
    keys = entries(keyring)
    algorithms = sorted({key.jwk["alg"] for key in keyring.published})
    issuer, *others = keyring.issuers
    configuration = {
        **_leading_to(issuer),
        **({_OTHER_ISSUERS: others} if others else {}),
        **({_ELSEWHERE: keyring.outgoing[0].url} if keyring.outgoing else {}),
        "grant_types_supported": ["implicit"],
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


def entries(keyring: Keyring) -> list[dict[str, Any]]:
    """Return the keys of the set that the keyring asks for, wherever it is to be known.

    Only members that are known to be public get out, whatever the keyring holds (rule 8).
    """
    return [
        {name: value for name, value in key.jwk.items() if name in _PUBLIC}
        for key in keyring.published
    ]


def as_served(configuration: dict[str, Any], host: str) -> dict[str, Any]:
    """Return the discovery document as it is to be served to whoever asks ``host``.

    ``host`` chooses among the issuers that were published, and nothing else comes of it. An
    unknown one, such as that by which a CDN asks, is told of the issuer that was in use before, as
    long as there is one: the new one has shown that it is told apart by its own host.
    """
    hidden = {_OTHER_ISSUERS, _ELSEWHERE}
    served = {name: value for name, value in configuration.items() if name not in hidden}
    others = configuration.get(_OTHER_ISSUERS)
    if _host(str(configuration.get("issuer"))) == host or not isinstance(others, list):
        return served
    asked = (each for each in others if isinstance(each, str) and _host(each) == host)
    elsewhere = configuration.get(_ELSEWHERE)
    issuer = next(asked, elsewhere if isinstance(elsewhere, str) else None)
    return served if issuer is None else {**served, **_leading_to(issuer)}


def _host(url: str) -> str:
    """Return the host as API Gateway tells it; the port only where it is not the scheme's own."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").removesuffix("."), parts.port
    except ValueError:
        return ""
    return host if port in {None, 443} else f"{host}:{port}"


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
    return revision if type(revision) is int and 0 <= revision < _MOST else 0


def standing_keys(standing: Standing) -> dict[str, PublicJwk]:
    """Return the keys of the set that stands in the bucket, by name; none of a broken one."""
    return {str(key["kid"]): cast("PublicJwk", key) for key in standing_entries(standing)}


def standing_entries(standing: Standing) -> list[dict[str, Any]]:
    """Return all that has a name in the set that stands in the bucket; none of a broken one."""
    try:
        keys = [{**key} for key in json.loads(standing.jwks or b"{}")["keys"]]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
    return [key for key in keys if "kid" in key]


def standing_issuers(standing: Standing) -> tuple[str, ...]:
    """Return whose discovery document stands in the bucket, the issuer in use first."""
    try:
        document = json.loads(standing.configuration or b"{}")
        others = document.get(_OTHER_ISSUERS, [])
        urls = [document["issuer"], *(others if isinstance(others, list) else [])]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ()
    return tuple(str(url) for url in urls)


def is_shown(seen: Seen, standing: Standing, kid: str) -> bool:
    """Return whether the public URL shows the key, and will go on as far as the bucket tells.

    A key that a set in the bucket lacks will be missing in some copy, though none was met yet.
    """
    keys = standing_keys(standing)
    return kid in seen.kids and (kid in keys or not keys)


def foreign(standing: Standing, keyring: Keyring) -> tuple[str, ...]:
    """Return what in the set in the bucket is no key of the keyring, whatever it calls itself.

    Each is named by its thumbprint, if that tells, or as it calls itself.
    """
    known = {key.kid: key.jwk for key in keyring.keys}
    entries = standing_entries(standing)
    strangers = (each for each in entries if not _is_same(each, known.get(each["kid"])))
    named = ((str(each["kid"]), jwk.true_name(each)) for each in strangers)
    return tuple(sorted(claimed if name in known else name for claimed, name in named))


def object_key(identity: str, path: str) -> str:
    """Return where in the bucket the document for a path of the public URL stands."""
    return identity + path


def _is_same(entry: dict[str, Any], known: PublicJwk | None) -> bool:
    return known is not None and all(entry.get(name) == known.get(name) for name in _MATERIAL)


def _leading_to(issuer: str) -> dict[str, object]:
    return {
        "issuer": issuer,
        "jwks_uri": issuer + JWKS_PATH,
        "authorization_endpoint": issuer + AUTHORIZATION_PATH,
    }


def _json(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, indent=2, sort_keys=True).encode()
