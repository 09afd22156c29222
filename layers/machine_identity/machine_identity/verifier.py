"""Steps 10 to 12: whether a bearer token is to be believed, and who it says is calling.

The procedure, in this order, ends at the first thing that is wrong:

1. A token seen before, by its SHA-256, is as good as it was, while its time lasts and its
   issuer's set still has the very key that verified it. That costs a look-up.
2. Read it strictly, believing nothing (``jws.parse``).
3. Choose the issuer by ``iss``, letter for letter; nobody else's keys are looked at or fetched.
4. Get that issuer's key by ``kid``, unless the operator denies it; this may fetch its set, once
   for all who ask.
5. Check the signature (``jws.verify``), then the claims (``access_token.check``), then that the
   operator does not deny this very token, by its ``jti`` or Entra's name for it, ``uti``.

A refusal is InvalidTokenError. KeySetUnavailableError says that nobody can judge: neither let in
nor turn away, but answer as a server that failed. No token is kept, only digests and what was
verified, and nothing is kept of a token that was refused.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol, Self

from machine_identity import access_token, jws, transport
from machine_identity.access_token import Expectations, VerifiedClaims
from machine_identity.errors import InvalidTokenError, Refusal, SettingsError
from machine_identity.jwks_cache import Limits
from machine_identity.jwks_client import JwksClient, Location
from machine_identity.jws import SignedClaims
from machine_identity.key_set import TrustedKey
from machine_identity.records import record

MOST_KEPT: Final = 1024
"""Of tokens seen before: about one kilobyte each, and callers decide how many there are."""
PATIENCE: Final = timedelta(seconds=2)
"""With an issuer, where nothing else is said."""

_TOKEN_ID_CLAIMS: Final = ("jti", "uti")


class KeySource(Protocol):
    """Keys of one issuer, by name."""

    def key(self, kid: str, now: datetime, patience: timedelta | None = None) -> TrustedKey:
        """Return the key, waiting for it no longer than ``patience``.

        Raises InvalidTokenError or KeySetUnavailableError.
        """
        ...


@record
class TrustedIssuer:
    """Whose tokens are taken: what they must say, and where the keys come from."""

    expectations: Expectations
    keys: KeySource


@record
class _Seen:
    """A token that was verified before, by which key, and what it says."""

    issuer: TrustedIssuer
    key: TrustedKey
    claims: VerifiedClaims


class Verifier:
    """Judges access tokens of one or several issuers; safe to share between threads.

    Whatever names a key of ``denied_key_ids``, whoever's it is, is refused, and so is each token
    of ``denied_token_ids``: nothing that was refused is ever a token seen before.
    """

    def __init__(
        self,
        issuers: Sequence[TrustedIssuer],
        *,
        algorithms: Collection[str] = ("RS256",),
        denied_key_ids: Collection[str] = (),
        denied_token_ids: Collection[str] = (),
    ) -> None:
        _check_lists("what is allowed and denied", algorithms, denied_key_ids, denied_token_ids)
        self._issuers = {each.expectations.issuer: each for each in issuers}
        self._algorithms = frozenset(algorithms)
        self._denied_keys = frozenset(denied_key_ids)
        self._denied_tokens = frozenset(denied_token_ids)
        if not self._issuers or len(self._issuers) < len(issuers):
            raise SettingsError("there must be an issuer to trust, and none of them twice")
        if not self._algorithms or not self._algorithms <= set(jws.ALGORITHMS):
            raise SettingsError(f"algorithms must be some of {', '.join(jws.ALGORITHMS)}")
        jws.prepare(self._algorithms)
        self._seen: OrderedDict[bytes, _Seen] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def trusting(  # noqa: PLR0913 - settings, each by its name and most of them left out
        cls,
        issuer: str,
        *,
        audience: str | Collection[str],
        scopes: Collection[str] = (),
        roles: Collection[str] = (),
        clients: Collection[str] = (),
        jwks_uri: str | None = None,
        algorithms: Collection[str] = ("RS256",),
    ) -> Self:
        """Return a verifier of one issuer's tokens, whose keys it fetches when it needs them.

        All ``scopes`` must be granted, one of the ``roles`` assigned, one of the ``clients`` have
        asked: of each that is given, and one must be. Raises SettingsError.
        """
        _check_lists("scopes, roles and clients", scopes, roles, clients)
        expectations = Expectations(
            issuer=issuer,
            audiences=frozenset([audience] if isinstance(audience, str) else audience),
            scopes=frozenset(scopes),
            roles=frozenset(roles),
            clients=frozenset(clients),
        )
        for url in filter(None, (issuer, jwks_uri)):
            transport.check(url)
        keys = JwksClient(
            Location(issuer=issuer, jwks_uri=jwks_uri),
            transport=transport.send,
            limits=Limits(),
            timeout=PATIENCE,
        )
        return cls([TrustedIssuer(expectations=expectations, keys=keys)], algorithms=algorithms)

    @property
    def scopes(self) -> frozenset[str]:
        """Return the scopes that must be granted, of whatever issuer."""
        every = (each.expectations.scopes for each in self._issuers.values())
        return frozenset().union(*every)

    def verify(
        self, token: str, now: datetime, *, patience: timedelta | None = None
    ) -> VerifiedClaims:
        """Return who is calling, within about ``patience`` if keys must be fetched for it.

        Raises InvalidTokenError with a code if the token is refused, KeySetUnavailableError if
        nobody can say.
        """
        octets = jws.octets(token)
        digest = hashlib.sha256(octets).digest()
        seen = self._seen.get(digest)
        if seen is None or not _still_holds(seen, now, patience):
            seen = self._judged(octets, now, patience)
        self._keep(digest, seen)
        return seen.claims

    def _judged(self, octets: bytes, now: datetime, patience: timedelta | None) -> _Seen:
        token = jws.parse(octets, self._algorithms)
        name = token.claims.get("iss")
        issuer = self._issuers.get(name) if isinstance(name, str) else None
        if issuer is None:
            raise InvalidTokenError(Refusal.ISSUER)
        if token.kid in self._denied_keys:
            raise InvalidTokenError(Refusal.DENIED_KEY)
        key = issuer.keys.key(token.kid, now, patience)
        signed = jws.verify(token, key)
        claims = access_token.check(signed, issuer.expectations, now)
        if self._denied_tokens and self._is_denied(signed):
            raise InvalidTokenError(Refusal.DENIED_TOKEN)
        return _Seen(issuer=issuer, key=key, claims=claims)

    def _is_denied(self, signed: SignedClaims) -> bool:
        names = [signed.claims.get(name) for name in _TOKEN_ID_CLAIMS]
        return any(isinstance(each, str) and each in self._denied_tokens for each in names)

    def _keep(self, digest: bytes, seen: _Seen) -> None:
        """Remember it as the one used last, and forget the one unused for longest."""
        with self._lock:
            self._seen[digest] = seen
            self._seen.move_to_end(digest)
            if len(self._seen) > MOST_KEPT:
                self._seen.popitem(last=False)


def _check_lists(what: str, *given: Collection[str]) -> None:
    """Refuse a string, which would be taken for a list of its letters."""
    if any(isinstance(each, str) for each in given):
        raise SettingsError(f"{what} are lists, and a string is none")


def _still_holds(seen: _Seen, now: datetime, patience: timedelta | None) -> bool:
    claims = seen.claims
    if not claims.valid_from <= now < claims.valid_until:
        return False
    return seen.issuer.keys.key(seen.key.kid, now, patience) is seen.key
