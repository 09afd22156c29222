"""The key that is to be revoked, as KMS knows it: where it is, and that it is disabled.

What a keyring said of it is never forgotten, whatever becomes of the keyring; without that the
key is looked for by its tags. A key that cannot be asked for its name keeps no other from being
found.

Nothing is recorded here.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from machine_identity.aws import AwsError
from machine_identity.errors import MachineIdentityError
from machine_identity.keyring import Keyring
from machine_identity.rotation.lookout import is_gone
from machine_identity.rotation.world import Keys


class UnknownKeyError(MachineIdentityError):
    """Neither the keyring nor KMS has a key of that name."""


class CompromisedKey:
    """A key by its name, in KMS."""

    def __init__(self, kid: str, keys: Keys, clock: Callable[[], datetime]) -> None:
        self.kid = kid
        self._keys = keys
        self._clock = clock
        self._arn: str | None = None
        self._created_at: datetime | None = None
        self._others: set[str] = set()
        """The ARNs of the keys that go by other names."""
        self.is_disabled = False
        """Whether KMS has answered that it is."""

    def remember(self, keyring: Keyring) -> None:
        """Take note of what a keyring says of it, and of the others."""
        for key in keyring.keys:
            if key.kid == self.kid:
                self._arn, self._created_at = key.arn, key.created_at
            else:
                self._others.add(key.arn)

    def disable(self) -> bool:
        """Have it disabled; False if it is none that can sign, and may be one that cannot.

        Raises AwsError, and UnknownKeyError if no key can be it.
        """
        if self._arn is None:
            self._arn = self._searched()
        if self._arn is None or self.is_disabled:
            return self.is_disabled
        try:
            self._keys.disable(self._arn)
        except AwsError as error:
            if self._created_at is None or not is_gone(error, self._created_at, self._clock()):
                raise
        self.is_disabled = True
        return True

    def disable_if_possible(self) -> None:
        """Have it disabled before anything else is tried; what fails is tried again later."""
        with suppress(AwsError, UnknownKeyError):
            self.disable()

    def _searched(self) -> str | None:
        """Return the ARN of the key of that name; None if it may be one that has none to show."""
        unanswered: AwsError | None = None
        nameless = False
        for arn in self._keys.arns():
            if arn in self._others:
                continue
            try:
                kid = self._keys.kid(arn)
            except AwsError as error:
                unanswered = error
                continue
            if kid == self.kid:
                return arn
            nameless = nameless or kid is None
        if unanswered is not None:
            raise unanswered
        if not nameless:
            raise UnknownKeyError("the keyring has no key of that name")
        return None
