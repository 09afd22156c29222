"""Our own key set as the public URL serves it: who is in it, and whether a key of ours verifies.

The signature that is verified is thrown away. It is an assertion that nobody takes: of a type of
its own, for ourselves, and expired when it is made; and it never leaves this process.
"""

from datetime import datetime, timedelta
from typing import Final

from machine_identity import jwk, jws
from machine_identity.client_assertion import Draft, SigningError
from machine_identity.client_credentials import Failure
from machine_identity.errors import InvalidTokenError, KeySetUnavailableError, SettingsError
from machine_identity.evidence import Seen
from machine_identity.jwks_cache import Limits
from machine_identity.jwks_client import JwksClient, Location
from machine_identity.probe import Probe
from machine_identity.transport import Transport
from machine_identity.witness.world import Clock, Signer

NOT_SEEN: Final = "not_seen"
"""The code of a set that could not be read."""
_TIMEOUT: Final = timedelta(seconds=5)
_ALGORITHMS: Final = frozenset(jwk.ALGORITHMS)


class PublishedSet:
    """The set under ``issuer``, fetched anew for every question."""

    def __init__(self, issuer: str, transport: Transport, clock: Clock) -> None:
        self._issuer = issuer
        self._transport = transport
        self._clock = clock

    def kids(self) -> frozenset[str] | None:
        """Return the names of all published keys; None if nobody can say."""
        seen = Probe(self._issuer, self._transport, self._clock.now)()
        return seen.kids if isinstance(seen, Seen) else None

    def refusal(self, signer: Signer) -> str | None:
        """Return why the set does not verify what ``signer`` signs, as a code; None if it does."""
        now = self._clock.now()
        try:
            self._verify(signer.sign(self._draft(), now=now, jti=self._clock.unique()), now)
        except SigningError:
            return Failure.TEMPORARILY_UNAVAILABLE.value
        except SettingsError:
            return Failure.MISCONFIGURED.value
        except KeySetUnavailableError:
            return NOT_SEEN
        except InvalidTokenError as error:
            return error.code.value
        return None

    def _verify(self, thrown_away: str, now: datetime) -> None:
        token = jws.parse(jws.octets(thrown_away), _ALGORITHMS)
        keys = JwksClient(
            Location(issuer=self._issuer),
            transport=self._transport,
            limits=Limits(),
            timeout=_TIMEOUT,
        )
        jws.verify(token, keys.key(token.kid, now))

    def _draft(self) -> Draft:
        return Draft(
            issuer=None,
            subject="canary",
            audience=self._issuer,
            typ="canary+jwt",
            algorithms=jwk.ALGORITHMS,
            lifetime=timedelta(),
        )
