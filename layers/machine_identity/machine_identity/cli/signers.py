"""Who signs, by the options of a command: exactly one of a file, a KMS key and a keyring."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from machine_identity.cli import options
from machine_identity.client import Identity
from machine_identity.errors import SettingsError
from machine_identity.token_source import Signer

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_PASSPHRASE: Final = "MACHINE_IDENTITY_PASSPHRASE"  # noqa: S105 - a variable's name

_OPTIONS: Final = (
    options.option("--key", type=_FILE, help="Private key, a PEM file (RSA, P-256 or P-384)."),
    options.option("--pkcs12", type=_FILE, help="Private key, a PKCS#12 file (.p12, .pfx)."),
    options.option(
        "--passphrase-variable",
        default=_PASSPHRASE,
        help="Name of the variable that holds the passphrase of either file, if it has one.",
    ),
    options.option("--kms-key", help="ARN of a KMS key."),
    options.option("--state-bucket", help="A deployment's state bucket: sign with its keyring."),
    options.option("--identity", default="default", help="Which identity's keyring there."),
    options.algorithm,
    options.issuer,
    options.option(
        "--certificate",
        type=_FILE,
        help="The key's certificate, PEM or DER, where it is known by one; --pkcs12 has its own.",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerOptions:
    """The options that say who signs, as they were given."""

    key: Path | None
    pkcs12: Path | None
    passphrase_variable: str
    kms_key: str | None
    state_bucket: str | None
    identity: str
    algorithm: str | None
    issuer: str
    certificate: Path | None

    @property
    def is_of_a_deployment(self) -> bool:
        """Whether rotation counts on what is signed: it publishes the issuer, and bounds times."""
        return bool(self.state_bucket)

    def signer(self) -> Signer:
        """Return who signs. Raises SettingsError unless exactly one is named."""
        ways = {
            "--key": self.key,
            "--pkcs12": self.pkcs12,
            "--kms-key": self.kms_key,
            "--state-bucket": self.state_bucket,
        }
        named = [name for name, value in ways.items() if value]
        if len(named) != 1:
            found = f", and not {' and '.join(named)}" if named else ""
            raise SettingsError(f"name one of {', '.join(ways)}{found}: it says who signs")
        return self._identity().signer

    def _identity(self) -> Identity:
        algorithm, issuer, word = self.algorithm, self.issuer, self.passphrase_variable
        if self.certificate is not None and (self.pkcs12 or self.state_bucket):
            raise SettingsError("--certificate is for --key and --kms-key: the others have theirs")
        if self.key is not None:
            return Identity.from_pem(
                self.key,
                algorithm=algorithm,
                issuer=issuer,
                passphrase_variable=word,
                certificate=self.certificate,
            )
        if self.pkcs12 is not None:
            return Identity.from_pkcs12(
                self.pkcs12, algorithm=algorithm, issuer=issuer, passphrase_variable=word
            )
        if self.kms_key is not None:
            return Identity.from_kms(
                self.kms_key, algorithm=algorithm, issuer=issuer, certificate=self.certificate
            )
        if algorithm or issuer:
            raise SettingsError("a keyring has its own algorithm and issuer: leave them out")
        return Identity.from_keyring(self.state_bucket or "", identity=self.identity)


def signer(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say who signs."""
    for each in reversed(_OPTIONS):
        command = each(command)
    return command
