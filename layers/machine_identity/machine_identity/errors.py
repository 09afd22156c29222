"""Everything that can go wrong, as classes on which a caller branches and codes that never change.

A class stands here only where some caller treats it apart; what is merely worth telling apart in
a log is a ``code`` from a closed enumeration. No message ever holds a token, an assertion, a key
or a claim that nobody has verified.
"""

from enum import StrEnum


class MachineIdentityError(Exception):
    """The root of all errors that this package raises on purpose."""


class SettingsError(MachineIdentityError):
    """A setting is missing or contradictory; the sentence names the variable and the rule."""


class PolicyError(SettingsError):
    """A timing rule does not hold; the sentence prints the inequality with its numbers."""


class ConflictError(MachineIdentityError):
    """A conditional write lost: somebody wrote first, so what we decided on is out of date."""


class TransportError(MachineIdentityError):
    """No answer, or none that can be used: refused, timed out, too large, redirected."""


class KeySetUnavailableError(MachineIdentityError):
    """The issuer's keys are not to be had, so a token can be neither accepted nor refused."""


class Refusal(StrEnum):
    """Why a token was refused: short, stable, safe to log and to count."""

    NO_TOKEN = "no_token"  # nosec B105 # noqa: S105 - a code, and the word token in it
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    ALGORITHM = "algorithm"
    HEADER = "header"
    TYPE = "type"
    KEY_ID = "key_id"
    DENIED_KEY = "denied_key"
    UNKNOWN_KEY = "unknown_key"
    KEY_MISMATCH = "key_mismatch"
    SIGNATURE = "signature"
    CLAIM_TYPE = "claim_type"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    ISSUED_IN_FUTURE = "issued_in_future"
    SCOPE = "scope"
    ROLE = "role"
    CLIENT = "client"
    DENIED_TOKEN = "denied_token"  # nosec B105 # noqa: S105 - as above


class InvalidTokenError(MachineIdentityError):
    """The bearer token is not to be trusted (RFC 6750 section 3.1, ``invalid_token``)."""

    def __init__(self, code: Refusal) -> None:
        super().__init__(code.value)
        self.code = code


class InsufficientScopeError(InvalidTokenError):
    """The token is good, but not for this (RFC 6750 section 3.1, ``insufficient_scope``)."""


class TokenRequestError(MachineIdentityError):
    """The authorization server gave no access token.

    ``code`` is the server's ``error`` (RFC 6749 section 5.2) or one of ours where it named none.
    """

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description


class InvalidClientError(TokenRequestError):
    """The server did not accept the assertion: the key, the registration or a claim in it."""


class UploadError(MachineIdentityError):
    """A server to which a key was brought, or whoever stands before it, said no, or nothing."""

    def __init__(self, code: str, *, is_lost: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.is_lost = is_lost
        """Whether it may have been done all the same."""
