"""What a client is to be at the server: its metadata (RFC 7591 section 2), and what it became.

1. A client of ours authenticates by ``private_key_jwt`` and asks for tokens by
   ``client_credentials`` only; it has no redirect and no response type.
2. Its keys are fetched (``jwks_uri``) or handed over (``jwks``), never both.
3. A key set that is handed over holds public keys for signatures, and every one of them can be
   used: what we would not trust of a stranger we hand to nobody.
4. A server may register other values than it was asked for (section 3.2.1). Another method,
   algorithm, grant or key set, or a scope that is missing, makes the client useless; anything
   else is only told.

A software statement is passed on as it was issued; what it claims is the server's to judge.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from machine_identity import jwk, key_set
from machine_identity.client_credentials import is_scope, is_secure
from machine_identity.encoding import json_object
from machine_identity.errors import KeySetUnavailableError, SettingsError

METHOD: Final = "private_key_jwt"
GRANT: Final = "client_credentials"
SHOWN: Final = (
    "client_name",
    "grant_types",
    "response_types",
    "token_endpoint_auth_method",
    "token_endpoint_auth_signing_alg",
    "jwks_uri",
    "scope",
    "software_id",
    "software_version",
)
"""Members of an answer that anybody may read; the others may be secrets, ``client_secret`` is."""

_FIXED: Final = {
    "token_endpoint_auth_method": METHOD,
    "grant_types": [GRANT],
    "response_types": [],
}
_UNSAID: Final = {
    "token_endpoint_auth_method": "client_secret_basic",  # nosec B105 # a method's name
    "grant_types": ["authorization_code"],
    "scope": "",
}
"""What a member means that the answer leaves out (RFC 7591 section 2)."""
_WORDS: Final = re.compile(r"[ -~]{1,256}")
_URL: Final = re.compile(r"[!-~]{1,2048}")
_STATEMENT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_MOST_STATEMENT: Final = 32 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What is asked for; what is left empty is left to the server, or as it was.

    Raises SettingsError when a member is not what RFC 7591 section 2 says of it.
    """

    client_name: str = ""
    jwks_uri: str = ""
    jwks: Mapping[str, Any] | None = None
    """A JWK Set as ``handed_over`` returns it."""
    algorithm: str = ""
    scope: str = ""
    software_id: str = ""
    software_version: str = ""
    software_statement: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Check each member by itself, and that the keys come in one way."""
        if self.jwks_uri and self.jwks is not None:
            raise SettingsError("a client has a jwks_uri or a jwks, never both (RFC 7591 2)")
        if self.jwks_uri and not (_URL.fullmatch(self.jwks_uri) and is_secure(self.jwks_uri)):
            raise SettingsError("jwks_uri must be an https URL without fragment or user")
        if self.algorithm and self.algorithm not in jwk.ALGORITHMS:
            raise SettingsError(f"the algorithm must be one of {', '.join(jwk.ALGORITHMS)}")
        if self.scope and not is_scope(self.scope):
            raise SettingsError("scope must be words separated by single spaces")
        for name in ("client_name", "software_id", "software_version"):
            if getattr(self, name) and not _WORDS.fullmatch(getattr(self, name)):
                raise SettingsError(f"{name} must be 1 to 256 printable ASCII characters")
        statement = self.software_statement
        if len(statement) > _MOST_STATEMENT or (statement and not _STATEMENT.fullmatch(statement)):
            raise SettingsError("the software statement must be a signed JWT (RFC 7591 2.3)")

    @property
    def members(self) -> dict[str, Any]:
        """The members as they are sent, those that never differ among them."""
        given = {
            "client_name": self.client_name,
            "token_endpoint_auth_signing_alg": self.algorithm,
            "jwks_uri": self.jwks_uri,
            "jwks": self.jwks,
            "scope": self.scope,
            "software_id": self.software_id,
            "software_version": self.software_version,
            "software_statement": self.software_statement,
        }
        return {**_FIXED, **{name: value for name, value in given.items() if value}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A member that the server registered otherwise."""

    name: str
    asked: object
    registered: object
    """None where the answer does not have it."""
    matters: bool
    """Whether a client of ours is of no use with it."""


def handed_over(document: bytes) -> dict[str, Any]:
    """Return a JWK Set to register inline. Raises SettingsError if any key is not fit for it."""
    try:
        members = json_object(document)
        entries = members["keys"]
        known = key_set.parse(document)
    except (ValueError, RecursionError, KeyError, KeySetUnavailableError):
        raise SettingsError(
            "the key set is not a JWK Set with a public key for signatures"
        ) from None
    if len(known) != len(entries):
        raise SettingsError(
            "the key set holds a key that cannot be handed over: one that is private, weak, not "
            "for signatures, without kid or with another's"
        )
    return {"keys": entries}


def merged(registered: Mapping[str, Any], changes: Metadata) -> dict[str, Any]:
    """Return all members of a client with the changes in (RFC 7592 section 2.2).

    What an update leaves out is deleted, so it holds all that is registered; ``null`` counts as
    left out. The client's keys come in one way: the new one ends the other.
    """
    members = {name: value for name, value in registered.items() if value is not None}
    if changes.jwks_uri:
        members.pop("jwks", None)
    if changes.jwks is not None:
        members.pop("jwks_uri", None)
    return {**members, **changes.members}


def differences(asked: Mapping[str, Any], registered: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Return what the server registered otherwise than asked, what matters first (rule 4)."""
    found = [
        Difference(
            name=name,
            asked=value,
            registered=registered.get(name),
            matters=_matters(name, value, registered),
        )
        for name, value in asked.items()
        if name != "software_statement" and not _is_same(name, value, registered.get(name))
    ]
    return tuple(sorted(found, key=lambda each: not each.matters))


def _is_same(name: str, asked: object, registered: object) -> bool:
    if asked == registered:
        return True
    if name == "jwks":
        return _thumbprints(asked) == _thumbprints(registered)
    return _words(asked) == _words(registered) and name in {"scope", "grant_types"}


def _matters(name: str, asked: object, registered: Mapping[str, Any]) -> bool:
    got = registered.get(name, _UNSAID.get(name))
    match name:
        case "token_endpoint_auth_method" | "jwks_uri" | "jwks":
            return True
        case "token_endpoint_auth_signing_alg":
            return got is not None  # left out, any algorithm will do
        case "grant_types":
            return GRANT not in _words(got)
        case "scope":
            return not _words(asked) <= _words(got)
        case _:
            return False


def _words(value: object) -> frozenset[str]:
    words = value.split() if isinstance(value, str) else value
    return frozenset(map(str, words)) if isinstance(words, list) else frozenset()


def _thumbprints(value: object) -> frozenset[str]:
    """Return what keys those are, however they are written down; nothing for what is no set."""
    keys = value.get("keys") if isinstance(value, dict) else None
    try:
        return frozenset(jwk.thumbprint(cast("jwk.PublicJwk", each)) for each in keys or ())
    except (KeyError, TypeError):
        return frozenset()
