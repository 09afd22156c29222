"""Clients' key sets as the authorization server has them: fetched over HTTP, and kept for long.

A set is kept for a fixed time whatever its ``Cache-Control`` says, and an unknown ``kid`` fetches
nothing before that, unless asked for: the worst that a provider does, so that a rotation which is
too quick is refused here and not first in production. A failed fetch is not kept, and a set that
is past its time is not used.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from threading import Lock
from typing import Any, Final, assert_never

from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import Key, KeySet

from local.entra_errors import EntraError, Fault
from local.registrations import FederatedCredential, Fetched, PrivateKeyJwt
from machine_identity.errors import TransportError
from machine_identity.publication import CONFIGURATION_PATH
from machine_identity.transport import Transport

FETCH_TIMEOUT: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    keys: KeySet
    url: str
    fetched_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A key, where it was found, and since when the copy in which it was found is kept."""

    key: Key = field(repr=False)
    url: str
    fetched_at: datetime
    kids: tuple[str, ...]
    """All that the copy holds, in its order."""


class KeySets:
    """Fetches and keeps the key set behind each credential."""

    def __init__(self, transport: Transport, *, refetches_on_unknown_kid: bool) -> None:
        self._transport = transport
        self._refetches = refetches_on_unknown_kid
        self._kept: dict[Fetched, _Kept] = {}
        self._fetches: Counter[str] = Counter()
        self._lock = Lock()

    @property
    def fetches(self) -> dict[str, int]:
        """How often each URL was asked for, failures included."""
        return dict(self._fetches)

    def find(self, credential: Fetched, kid: str, *, lifetime: timedelta, now: datetime) -> Found:
        """Return the key of that name, from a copy no older than ``lifetime``. Raises EntraError.

        Requests wait for one another here, also while one of them fetches.
        """
        with self._lock:
            kept = self._kept.get(credential)
            if kept is None or not self._will_do(kept, kid, lifetime, now):
                kept = self._fetched(credential, now)
        try:
            key = kept.keys.get_by_kid(kid)
        except InvalidKeyIdError:
            raise EntraError(Fault.UNKNOWN_KEY) from None
        kids = tuple(str(each.kid) for each in kept.keys)
        return Found(key=key, url=kept.url, fetched_at=kept.fetched_at, kids=kids)

    def _will_do(self, kept: _Kept, kid: str, lifetime: timedelta, now: datetime) -> bool:
        is_young = timedelta() <= now - kept.fetched_at < lifetime
        return is_young and (not self._refetches or any(key.kid == kid for key in kept.keys))

    def _fetched(self, credential: Fetched, now: datetime) -> _Kept:
        url = self._key_set_url(credential)
        document = self._document(url)
        try:
            keys = KeySet.import_key_set(document)  # type: ignore[arg-type] # it looks itself
        except (JoseError, KeyError, TypeError, ValueError, AttributeError):
            raise EntraError(Fault.UNUSABLE) from None
        self._kept[credential] = _Kept(keys=keys, url=url, fetched_at=now)
        return self._kept[credential]

    def _key_set_url(self, credential: Fetched) -> str:
        match credential:
            case PrivateKeyJwt(jwks_uri=url):
                return url
            case FederatedCredential(issuer=issuer):
                document = self._document(issuer.removesuffix("/") + CONFIGURATION_PATH)
                named = document.get("jwks_uri")
                # Who answers for an issuer must say that it is this one (RFC 8414 section 3.3).
                if document.get("issuer") != issuer or not isinstance(named, str):
                    raise EntraError(Fault.UNUSABLE)
                return named
            case _:
                assert_never(credential)

    def _document(self, url: str) -> dict[str, Any]:
        self._fetches[url] += 1
        try:
            response = self._transport("GET", url, headers={}, timeout=FETCH_TIMEOUT)
        except TransportError:
            raise EntraError(Fault.UNREACHABLE) from None
        try:
            document = json.loads(response.body)
        except (ValueError, RecursionError):
            document = None
        if response.status != HTTPStatus.OK or not isinstance(document, dict):
            raise EntraError(Fault.UNUSABLE)
        return document
