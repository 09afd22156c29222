"""What the authorizer is told: by its environment, by an event, and by Lambda of its time.

Lists are separated by spaces. ``JWKS_URI`` may be left out; else there are as many as issuers, in
the same order. Of ``REQUIRED_SCOPES``, ``REQUIRED_ROLES`` and ``ALLOWED_CLIENTS`` all that are set
must hold, and one must be set, or ``ALLOW_ANY_CLIENT=true`` says that no one is kept out.

What is denied: all tokens that name a key of ``DENIED_KEY_IDS``, whoever's it is, and those named
by ``DENIED_TOKEN_IDS``. ``JWKS_BUNDLED`` names files to begin with, as many as issuers, in the
same order, looked for where the function runs, which on Lambda is beside its code; each is a JWK
Set with ``fetched_at`` in it (ISO 8601, with its zone), and counts as old as that says.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Self

from machine_identity import jws, key_set
from machine_identity.access_token import Expectations
from machine_identity.errors import (
    InvalidTokenError,
    KeySetUnavailableError,
    Refusal,
    SettingsError,
)
from machine_identity.jwks_cache import Cache, Limits
from machine_identity.jwks_client import Location
from machine_identity.records import record
from machine_identity.settings.environment import Environment, checked_url

FOR_THE_ANSWER: Final = timedelta(milliseconds=200)
"""Of an invocation's time, kept for what follows a fetch: a check, a record, and the way back."""

NOTHING_KNOWN: Final = Cache()

_ACCESS: Final = ("REQUIRED_SCOPES", "REQUIRED_ROLES", "ALLOWED_CLIENTS")
_TYPES: Final = "at+jwt application/at+jwt JWT"
_BEARER: Final = "bearer"


@record
class Issuer:
    """One issuer: where its keys are, what its tokens must say, and what is known before."""

    location: Location
    expectations: Expectations
    known: Cache = NOTHING_KNOWN


@record
class AuthorizerSettings:
    """The environment of the authorizer."""

    issuers: tuple[Issuer, ...]
    algorithms: frozenset[str]
    limits: Limits
    jwks_timeout: timedelta
    denied_key_ids: frozenset[str] = frozenset()
    denied_token_ids: frozenset[str] = frozenset()
    stack: str = ""

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> Self:
        """Read the variables. Raises SettingsError."""
        environment = Environment(variables)
        locations = _locations(environment)
        return cls(
            issuers=tuple(
                Issuer(
                    location=each,
                    expectations=_expectations(environment, each.issuer),
                    known=known,
                )
                for each, known in zip(locations, _known(environment, len(locations)), strict=True)
            ),
            algorithms=_algorithms(environment),
            limits=_limits(environment),
            jwks_timeout=environment.seconds("JWKS_TIMEOUT_SECONDS", 2, least=1, most=9),
            denied_key_ids=frozenset(environment.words("DENIED_KEY_IDS")),
            denied_token_ids=frozenset(environment.words("DENIED_TOKEN_IDS")),
            stack=environment.text("STACK_NAME", ""),
        )


def bearer_token(event: object) -> str:
    """Return the bearer token of a payload-2.0 event (RFC 6750 section 2.1).

    Raises InvalidTokenError if there is not exactly one. That it is a token is not looked at: what
    has a second one behind a space or a comma is not one.
    """
    headers = event.get("headers") if isinstance(event, dict) else None
    if not isinstance(headers, dict):
        raise InvalidTokenError(Refusal.NO_TOKEN)
    values = [
        value
        for name, value in headers.items()
        if isinstance(name, str) and name.lower() == "authorization"
    ]
    if len(values) != 1 or not isinstance(values[0], str):
        raise InvalidTokenError(Refusal.NO_TOKEN)
    scheme, _, token = values[0].partition(" ")
    token = token.lstrip(" ")
    if scheme.lower() != _BEARER or not token:
        raise InvalidTokenError(Refusal.NO_TOKEN)
    return token


def correlation_id(event: object) -> str:
    """Return the request id that API Gateway gave the call, or nothing."""
    context = event.get("requestContext") if isinstance(event, dict) else None
    request_id = context.get("requestId") if isinstance(context, dict) else None
    return request_id if isinstance(request_id, str) else ""


def time_left(context: object) -> timedelta | None:
    """Return how long keys may be waited for in this invocation; None if it has no end."""
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    return None if remaining is None else timedelta(milliseconds=remaining()) - FOR_THE_ANSWER


def _locations(environment: Environment) -> tuple[Location, ...]:
    issuers = environment.words("ISSUER")
    if not issuers:
        raise SettingsError("ISSUER is not set, and it is required")
    if len(set(issuers)) < len(issuers):
        raise SettingsError("ISSUER must not name an issuer twice")
    for each in issuers:
        checked_url("ISSUER", each)
    uris = environment.words("JWKS_URI")
    if uris and len(uris) != len(issuers):
        raise SettingsError(
            "JWKS_URI must hold as many URLs as ISSUER, in the same order, or none"
        )
    for each in uris:
        _check_jwks_uri(each)
    return tuple(
        Location(issuer=issuer, jwks_uri=uri)
        for issuer, uri in zip(issuers, uris or (None,) * len(issuers), strict=True)
    )


def _check_jwks_uri(uri: str) -> None:
    # Entra's signing keys of a single application are behind a query (?appid=…).
    address, _, query = uri.partition("?")
    checked_url("JWKS_URI", address)
    if not (query.isascii() and query.isprintable()) or "#" in query:
        raise SettingsError("JWKS_URI must be printable ASCII, and without fragment")


def _known(environment: Environment, issuers: int) -> tuple[Cache, ...]:
    names = environment.words("JWKS_BUNDLED")
    if names and len(names) != issuers:
        raise SettingsError(
            "JWKS_BUNDLED must name as many files as ISSUER, in the same order, or none"
        )
    return tuple(map(_bundled, names)) or (NOTHING_KNOWN,) * issuers


def _bundled(name: str) -> Cache:
    from pathlib import Path  # noqa: PLC0415 - a cold start without such a file need not know it

    try:
        document = Path(name).read_bytes()
        keys = key_set.parse(document)
        fetched_at = datetime.fromisoformat(json.loads(document)["fetched_at"])
    except KeySetUnavailableError as error:
        raise SettingsError(f"JWKS_BUNDLED, {name}: {error}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = type(error).__name__
        raise SettingsError(
            f"JWKS_BUNDLED, {name}: must be a file with an instant fetched_at ({reason})"
        ) from None
    if fetched_at.utcoffset() is None:
        raise SettingsError(f"JWKS_BUNDLED, {name}: fetched_at must be given with its zone")
    return Cache(keys=keys, fetched_at=fetched_at)


def _expectations(environment: Environment, issuer: str) -> Expectations:
    audiences = environment.words("AUDIENCE")
    if not audiences:
        raise SettingsError("AUDIENCE is not set, and it is required")
    scopes, roles, clients = map(environment.words, _ACCESS)
    any_client = environment.flag("ALLOW_ANY_CLIENT")
    if not (scopes or roles or clients or any_client):
        raise SettingsError(f"{', '.join(_ACCESS)}: one must be set, or ALLOW_ANY_CLIENT=true")
    if any_client and clients:
        raise SettingsError("ALLOW_ANY_CLIENT must not be true where ALLOWED_CLIENTS is set")
    return Expectations(
        issuer=issuer,
        audiences=frozenset(audiences),
        scopes=frozenset(scopes),
        roles=frozenset(roles),
        clients=frozenset(clients),
        allow_any_client=any_client,
        token_types=frozenset(environment.text("TOKEN_TYPES", _TYPES).lower().split()),
        leeway=environment.seconds("LEEWAY_SECONDS", 60, least=0, most=300),
    )


def _algorithms(environment: Environment) -> frozenset[str]:
    algorithms = frozenset(environment.words("ALLOWED_ALGORITHMS", "RS256"))
    if not algorithms <= set(jws.ALGORITHMS):
        raise SettingsError(f"ALLOWED_ALGORITHMS must be some of {', '.join(jws.ALGORITHMS)}")
    return algorithms


def _limits(environment: Environment) -> Limits:
    return Limits(
        refresh_interval=environment.seconds("JWKS_REFRESH_SECONDS", 3600, least=1, most=86400),
        max_age=environment.seconds("JWKS_MAX_AGE_SECONDS", 86400, least=1, most=604800),
        cooldown=environment.seconds("JWKS_COOLDOWN_SECONDS", 30, least=1, most=3600),
    )
