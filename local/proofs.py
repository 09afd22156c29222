"""Whether a proof of possession is the application's own and good now.

As "Generate proof of possession tokens for rolling keys" has it: a JWT signed with the key of one
of the application's certificates that is valid now, ``aud`` that of the directory, ``iss`` the
object ID of the application, ``nbf``, and ``exp`` no more than ten minutes after it. The header
names the certificate as an assertion's does.

Whether the proof was used before is not looked at: nothing says that Graph does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from local import assertions, key_credentials
from local.entra_errors import EntraError
from local.graph_errors import GraphError, GraphFault
from local.key_credentials import KeyCredential
from local.registrations import Expectations

AUDIENCE: Final = "00000002-0000-0000-c000-000000000000"
"""What the newest text asks for; one of 2020 to 2023 had Microsoft Graph's own, with a 3."""
LONGEST: Final = timedelta(minutes=10)
ALGORITHMS: Final = ("RS256", "PS256")
"""Microsoft's sample signs with the first; the second is what Entra asks of an assertion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofRules:
    """What a proof must say, whoever's it is."""

    audience: str = AUDIENCE
    leeway: timedelta
    """For clocks that differ, not for the ten minutes."""


def check(
    proof: str, keys: Sequence[KeyCredential], object_id: str, rules: ProofRules, now: datetime
) -> None:
    """Raise GraphError unless the proof is by one of ``keys``, for that application, and now."""
    expected = Expectations(
        issuer=object_id,
        subject="",
        audience=rules.audience,
        typ="JWT",
        algorithms=ALGORITHMS,
        lifetime_limit=LONGEST,
        leeway=rules.leeway,
        by_certificate=True,
    )
    try:
        read = assertions.read(proof, expected)
        signer = key_credentials.signer(keys, read.header, now)
        claims = assertions.verify(read, signer.key, expected)
    except EntraError:
        raise GraphError(GraphFault.PROOF) from None
    if (claims.get("iss"), claims.get("aud")) != (object_id, rules.audience):
        raise GraphError(GraphFault.PROOF)
    _check_times(claims.get("nbf"), claims.get("exp"), rules.leeway, now)


def _check_times(not_before: Any, expires: Any, leeway: timedelta, now: datetime) -> None:  # noqa: ANN401 - any JSON
    if type(not_before) is not int or type(expires) is not int:  # JSON's true is no date
        raise GraphError(GraphFault.PROOF)
    at, slack = now.timestamp(), leeway.total_seconds()
    if not_before > at + slack or at >= expires + slack:
        raise GraphError(GraphFault.PROOF)
    if not 0 < expires - not_before <= LONGEST.total_seconds():
        raise GraphError(GraphFault.PROOF)
