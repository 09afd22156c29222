"""May this access token call this API? The rules of RFC 9068 section 4 and RFC 8725, by number.

1. ``typ`` is one that is allowed, without case, with or without ``application/``; absent is JWT.
2. Nothing in it is another kind of token's: an ID token (OpenID Connect Core), a logout or
   security event token (RFC 8417), or one bound to a key whose proof nobody asks for here (RFC
   7800), which in the hand of a mere bearer may be stolen. Where ``typ`` does not say that it is
   an access token, it names its client, as RFC 9068 has it and an ID token need not: that one may
   be for our audience, by our issuer and with our roles in it.
3. ``iss`` is the issuer whose keys were used, letter for letter.
4. ``aud`` is, or has in its list, one of ours as a whole.
5. ``exp`` is there and has not passed; ``nbf`` and ``iat`` are not ahead; all are integers. The
   leeway, at most five minutes, is for clocks that differ.
6. All required scopes are granted (``scp``, ``scope``), in a string or a list.
7. One of the required roles is assigned (``roles``), in a list: a string has no members.
8. The client is one of those allowed (``client_id``, ``azp``, ``appid``, or else ``cid``); two
   names for it in one token are no name.

A signature is no question here: ``SignedClaims`` has one. A claim that has a rule and is of the
wrong type is refused even where nothing is required of it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from machine_identity.errors import (
    InsufficientScopeError,
    InvalidTokenError,
    Refusal,
    SettingsError,
)
from machine_identity.jws import SignedClaims
from machine_identity.records import record

_ACCESS_TOKEN_TYPES: Final = frozenset({"at+jwt", "application/at+jwt"})
TOKEN_TYPES: Final = _ACCESS_TOKEN_TYPES | {"jwt"}
"""RFC 9068 section 4, and JWT for the many who issue access tokens without a type."""
MOST_LEEWAY: Final = timedelta(minutes=5)

_LATEST: Final = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp())
_FOREIGN: Final = frozenset({"nonce", "at_hash", "c_hash", "s_hash", "events", "cnf"})
_FOREIGN_KINDS: Final = frozenset(
    {"id", "id_token", "refresh", "refresh_token", "offline", "logout", "dpop"}
)
"""Of issuers that write the kind into a claim."""
_KIND_CLAIMS: Final = ("typ", "token_use", "token_type")
"""Keycloak, Cognito, and several others."""
_CLIENT_CLAIMS: Final = ("client_id", "azp", "appid")
"""RFC 9068, OpenID Connect Core, Entra's v1."""
_CLIENT_OF_OKTA: Final = "cid"
"""Others write a customer there, so it counts where nothing else names the client."""


@record
class Expectations:
    """What one issuer's tokens must say. Raises SettingsError if that lets anybody in."""

    issuer: str
    audiences: frozenset[str]
    scopes: frozenset[str] = frozenset()
    """All of them must be granted."""
    roles: frozenset[str] = frozenset()
    """One of them must be assigned."""
    clients: frozenset[str] = frozenset()
    """One of them must have asked for the token."""
    allow_any_client: bool = False
    """Says that any client of the issuer may call, where nothing above says who may."""
    token_types: frozenset[str] = TOKEN_TYPES
    """In lower case, in which they are compared."""
    leeway: timedelta = timedelta(seconds=60)

    def __post_init__(self) -> None:
        """Refuse empty demands: an issuer gives tokens for the asking (facts of Entra)."""
        if not self.issuer or not self.audiences or not self.token_types:
            raise SettingsError("an issuer, an audience and a token type must be expected")
        if not (self.scopes or self.roles or self.clients or self.allow_any_client):
            raise SettingsError("scopes, roles or clients must be required, or any client allowed")
        if "" in self.audiences | self.scopes | self.roles | self.clients:
            raise SettingsError("an empty audience, scope, role or client cannot be expected")
        if any(each != each.lower() for each in self.token_types):
            raise SettingsError("token types must be expected in lower case")
        if not timedelta() <= self.leeway <= MOST_LEEWAY:
            raise SettingsError(f"a leeway of {self.leeway} is not between 0 and {MOST_LEEWAY}")


@record
class VerifiedClaims:
    """Who calls, and what for: signature and claims have been checked."""

    issuer: str
    subject: str
    client: str
    scopes: tuple[str, ...]
    roles: tuple[str, ...]
    valid_from: datetime
    """Before this the same check would refuse, leeway included."""
    valid_until: datetime
    """From this on the same check refuses, leeway included."""

    def context(self) -> dict[str, str]:
        """Return who calls as an authorizer passes it on: strings, lists separated by spaces.

        A role with a space in it, which would there read as two, is left out.
        """
        return {
            "issuer": self.issuer,
            "subject": self.subject,
            "client": self.client,
            "scope": " ".join(each for each in self.scopes if " " not in each),
            "roles": " ".join(each for each in self.roles if " " not in each),
        }


def check(signed: SignedClaims, expectations: Expectations, now: datetime) -> VerifiedClaims:
    """Return who calls, if the token is meant for us and valid ``now``.

    Raises InvalidTokenError with the first rule that does not hold, or InsufficientScopeError.
    """
    claims = signed.claims
    _check_type(signed, expectations.token_types)
    if claims.get("iss") != expectations.issuer:
        raise InvalidTokenError(Refusal.ISSUER)
    _check_audience(claims, expectations.audiences)
    valid_from, valid_until = _check_times(claims, expectations.leeway, now)
    verified = VerifiedClaims(
        issuer=expectations.issuer,
        subject=_text(claims, "sub"),
        client=_client(claims),
        scopes=_scopes(claims),
        roles=_strings(claims.get("roles", [])),
        valid_from=valid_from,
        valid_until=valid_until,
    )
    if not verified.client and _type(signed) not in _ACCESS_TOKEN_TYPES:
        raise InvalidTokenError(Refusal.TYPE)
    _text(claims, "jti")  # RFC 7519 section 4.1.7: a string, though nothing is done with it
    _check_rights(verified, expectations)
    return verified


def _check_type(signed: SignedClaims, allowed: frozenset[str]) -> None:
    # RFC 8725 section 3.11.
    if _type(signed) not in allowed or _is_foreign(signed.claims):
        raise InvalidTokenError(Refusal.TYPE)


def _type(signed: SignedClaims) -> str:
    # An empty typ is not an absent one.
    return "jwt" if signed.typ is None else signed.typ.lower()


def _is_foreign(claims: Mapping[str, Any]) -> bool:
    if not _FOREIGN.isdisjoint(claims):
        return True
    return not _FOREIGN_KINDS.isdisjoint([_kind(claims, name) for name in _KIND_CLAIMS])


def _kind(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    return value.lower() if isinstance(value, str) else ""


def _check_audience(claims: Mapping[str, Any], expected: frozenset[str]) -> None:
    audience = claims.get("aud", [])
    audiences = (audience,) if isinstance(audience, str) else _strings(audience)
    if expected.isdisjoint(audiences):
        raise InvalidTokenError(Refusal.AUDIENCE)


def _check_times(
    claims: Mapping[str, Any], leeway: timedelta, now: datetime
) -> tuple[datetime, datetime]:
    """Return from when until when rule 5 holds."""
    if "exp" not in claims:
        raise InvalidTokenError(Refusal.CLAIM_TYPE)
    expires_at = _seconds(claims["exp"])
    not_before, issued_at = _seconds(claims.get("nbf", 0)), _seconds(claims.get("iat", 0))
    valid_from = datetime.fromtimestamp(max(not_before, issued_at), UTC) - leeway
    valid_until = datetime.fromtimestamp(expires_at, UTC) + leeway
    if now >= valid_until:
        raise InvalidTokenError(Refusal.EXPIRED)
    if now < valid_from:
        is_early = not_before >= issued_at
        raise InvalidTokenError(Refusal.NOT_YET_VALID if is_early else Refusal.ISSUED_IN_FUTURE)
    return valid_from, valid_until


def _check_rights(verified: VerifiedClaims, expectations: Expectations) -> None:
    if not expectations.scopes.issubset(verified.scopes):
        raise InsufficientScopeError(Refusal.SCOPE)
    if expectations.roles and expectations.roles.isdisjoint(verified.roles):
        raise InsufficientScopeError(Refusal.ROLE)
    if expectations.clients and verified.client not in expectations.clients:
        raise InsufficientScopeError(Refusal.CLIENT)


def _seconds(seconds: object) -> int:
    """Read a NumericDate (RFC 7519 section 2), whole seconds only; a boolean is no number."""
    if type(seconds) is not int or not 0 <= seconds <= _LATEST:
        raise InvalidTokenError(Refusal.CLAIM_TYPE)
    return seconds


def _scopes(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what is granted, by either name; a string is split at spaces (RFC 6749 3.3)."""
    granted: list[str] = []
    for name in ("scp", "scope"):
        if name in claims:
            value = claims[name]
            granted += value.split(" ") if isinstance(value, str) else _strings(value)
    return tuple(dict.fromkeys(filter(None, granted)))


def _client(claims: Mapping[str, Any]) -> str:
    names = {_text(claims, name) for name in _CLIENT_CLAIMS if name in claims}
    if len(names) > 1:
        raise InsufficientScopeError(Refusal.CLIENT)
    return names.pop() if names else _text(claims, _CLIENT_OF_OKTA)


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name, "")
    if not isinstance(value, str):
        raise InvalidTokenError(Refusal.CLAIM_TYPE)
    return value


def _strings(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InvalidTokenError(Refusal.CLAIM_TYPE)
    return tuple(value)
