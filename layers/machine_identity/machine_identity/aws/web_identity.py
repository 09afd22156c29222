"""Assertions that AWS itself signs: ``sts:GetWebIdentityToken``, outbound identity federation.

The token says who the caller is in AWS: ``iss`` is the account's own issuer, which publishes keys
that AWS rotates, and ``sub`` the ARN of the role. So there is no key to run, and it fits only an
authorization server that trusts an issuer: it can never be the assertion of RFC 7523 section 3, in
which a client names itself in ``iss`` and ``sub``. What is registered there is that issuer and the
role's ARN; the draft's subject, its ``typ`` and its ``jti`` are not ours to say.

STS wants a region (its global endpoint does not know the operation), and an account in which the
feature was switched on. Tried against a stand-in that answers as the API reference says; AWS's own
was not asked.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from machine_identity.aws import AwsError
from machine_identity.aws.clients import translated
from machine_identity.client_assertion import Draft, SigningError
from machine_identity.errors import SettingsError

if TYPE_CHECKING:
    from mypy_boto3_sts import STSClient

ALGORITHMS: Final = ("RS256", "ES384")
SHORTEST: Final = timedelta(seconds=60)
LONGEST: Final = timedelta(hours=1)
"""The API reference of GetWebIdentityToken, as botocore has it."""

_OPERATION: Final = "sts:GetWebIdentityToken"
_DISABLED: Final = "OutboundWebIdentityFederationDisabledException"


class WebIdentitySigner:
    """Has AWS sign in the name of the role that this program runs as."""

    def __init__(self, sts: "STSClient") -> None:
        """Take the client. Raises SettingsError if this boto3 is too old for it."""
        if not hasattr(sts, "get_web_identity_token"):
            raise SettingsError(f"the boto3 that is installed is too old for {_OPERATION}")
        self._sts = sts

    def sign(self, draft: Draft, *, now: datetime, jti: str) -> str:  # noqa: ARG002 - see above
        """Return a token of AWS's for that audience. Raises SigningError, or SettingsError."""
        if draft.issuer is not None:
            raise SettingsError(
                f"{_OPERATION} names the AWS account in iss, and this provider wants the client: "
                "use one that trusts an issuer, or a key of your own"
            )
        usable = [each for each in ALGORITHMS if each in draft.algorithms]
        if not usable:
            raise SettingsError(f"{_OPERATION} signs {' or '.join(ALGORITHMS)}, and neither fits")
        lifetime = min(max(draft.lifetime, SHORTEST), LONGEST)
        try:
            with translated(_OPERATION):
                answer = self._sts.get_web_identity_token(
                    Audience=[draft.audience],
                    DurationSeconds=int(lifetime.total_seconds()),
                    SigningAlgorithm=usable[0],
                )
        except AwsError as error:
            if error.code == _DISABLED:
                raise SettingsError(
                    "outbound identity federation is not switched on in this AWS account"
                ) from error
            raise SigningError(str(error)) from error
        return answer["WebIdentityToken"]
