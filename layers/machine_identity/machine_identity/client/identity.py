"""Who a program is: the key that signs for it, wherever that is kept.

Each of the ways to name one imports only what it needs: boto3 is wanted by the three that ask AWS,
which find its region and credentials as every AWS program does.

One that uses the deployment's own keys (``from_keyring``) is bound by rules 3 and 9 as the token
function is: it rereads the keyring every minute, never signs with a copy older than an hour, and
takes the previous key when the active one is refused. What it does not do is write evidence: that
a fallback was needed is in its log, and rotation does not learn of it. The token function's canary
is who tells rotation whether a key works.
"""

import logging
import time
from os import PathLike
from pathlib import Path
from typing import Any, Final, Self

from machine_identity import clock, key_files, transport
from machine_identity.client.tokens import Tokens
from machine_identity.client_assertion import SigningKey
from machine_identity.errors import SettingsError
from machine_identity.key_files import Passphrase
from machine_identity.providers import DEFAULT
from machine_identity.settings.environment import checked_url
from machine_identity.settings.token import DEFAULT_CLIENT, client, provider_from
from machine_identity.token_source import Ahead, Fallback, Signer, TokenSource, in_thread

type FilePath = str | PathLike[str]

_logger: Final = logging.getLogger(__name__)


class Identity:
    """Signs as one party, and gets tokens for any number of its registrations.

    Make one for the life of the program: it keeps the tokens. Threads may share it; a process that
    forks makes one after the fork.
    """

    def __init__(self, signer: Signer, fallback: Fallback | None = None) -> None:
        """Take whoever signs; ``from_…`` makes one of what there is."""
        self.signer: Final = signer
        self._source = TokenSource(
            signer=signer,
            transport=transport.send,
            clock=clock,
            sleep=time.sleep,
            fallback=fallback,
            ahead=Ahead(start=in_thread, chance=clock.chance),
        )

    @classmethod
    def from_pem(  # noqa: PLR0913 - all but the first by name
        cls,
        path: FilePath,
        *,
        algorithm: str | None = None,
        issuer: str = "",
        passphrase: Passphrase | None = None,
        passphrase_variable: str = "",
        certificate: FilePath | None = None,
    ) -> Self:
        """Sign with the key in a PEM file. Raises SettingsError.

        ``algorithm`` is RS256 or the curve's own unless it is named. ``issuer`` is the URL under
        which the public half is published, for providers that trust an issuer; ``certificate`` a
        file with the key's certificate, PEM or DER, for those that know us by one. The passphrase,
        if the key has one, is what the callable returns or the variable of that name holds.
        """
        asked = _passphrase(passphrase, passphrase_variable)
        key = key_files.pem_file(Path(path), algorithm, issuer=_issuer(issuer), passphrase=asked)
        return cls(_certified(key, certificate))

    @classmethod
    def from_pkcs12(
        cls,
        path: FilePath,
        *,
        algorithm: str | None = None,
        issuer: str = "",
        passphrase: Passphrase | None = None,
        passphrase_variable: str = "",
    ) -> Self:
        """Sign with the key in a PKCS#12 file (.p12, .pfx), and by the certificate in it.

        The rest is as with a PEM.
        """
        asked = _passphrase(passphrase, passphrase_variable)
        issuer = _issuer(issuer)
        return cls(key_files.pkcs12_file(Path(path), algorithm, issuer=issuer, passphrase=asked))

    @classmethod
    def from_variable(
        cls,
        name: str,
        *,
        algorithm: str | None = None,
        issuer: str = "",
        certificate: FilePath | None = None,
    ) -> Self:
        """Sign with the key in an environment variable that holds a PEM. Raises SettingsError."""
        key = key_files.variable(name, algorithm, issuer=_issuer(issuer))
        return cls(_certified(key, certificate))

    @classmethod
    def from_kms(
        cls,
        arn: str,
        *,
        algorithm: str | None = None,
        issuer: str = "",
        certificate: FilePath | None = None,
    ) -> Self:
        """Sign with one KMS key; the role needs kms:GetPublicKey and kms:Sign on it.

        Raises SettingsError. KMS is asked with the first token, and only then can it be told that
        ``certificate`` is another key's.
        """
        from machine_identity.aws.clients import client as aws  # noqa: PLC0415 - see above
        from machine_identity.aws.key_signer import KmsKeySigner  # noqa: PLC0415

        given = None if certificate is None else key_files.certificate(Path(certificate))
        issuer = _issuer(issuer)
        return cls(KmsKeySigner(aws("kms"), arn, algorithm, issuer=issuer, certificate=given))

    @classmethod
    def from_keyring(cls, state_bucket: str, *, identity: str = "default") -> Self:
        """Sign with the key that a deployment's keyring calls active, and rotate with it.

        The role needs s3:GetObject on ``{identity}/keyring.json`` in the state bucket, and
        kms:Sign on the keys of that identity.
        """
        from machine_identity.aws.clients import client as aws  # noqa: PLC0415 - see above
        from machine_identity.aws.s3 import Bucket  # noqa: PLC0415
        from machine_identity.aws.signer import KeyringSigner  # noqa: PLC0415

        bucket = Bucket(aws("s3"), state_bucket)
        signer = KeyringSigner(bucket=bucket, kms=aws("kms"), identity=identity)
        return cls(signer, Fallback(previous=signer.previous, told=_tell_of_fallback))

    @classmethod
    def from_web_identity(cls) -> Self:
        """Have AWS sign in the name of the role that this runs as (sts:GetWebIdentityToken).

        For providers that trust an issuer, which is the AWS account's; there is no key to run.
        Raises SettingsError.
        """
        from machine_identity.aws.clients import client as aws  # noqa: PLC0415 - see above
        from machine_identity.aws.web_identity import WebIdentitySigner  # noqa: PLC0415

        return cls(WebIdentitySigner(aws("sts")))

    def tokens(
        self,
        *,
        authorization_server: str,
        client_id: str,
        scope: str = "",
        provider: str | dict[str, Any] = DEFAULT,
        subject: str = "",
    ) -> Tokens:
        """Return the access tokens of one registration of this identity. Raises SettingsError.

        ``authorization_server`` is its issuer identifier, character by character; ``provider``
        what kind it is, by name or as an object of its own; ``subject`` what was registered as
        ``sub`` where that is not the client.
        """
        fields = {
            "authorization_server": authorization_server,
            "client_id": client_id,
            "scope": scope,
        }
        if subject:
            fields["subject"] = subject
        chosen = provider_from(provider, "provider")
        return Tokens(self._source, client(DEFAULT_CLIENT, chosen, fields, str))


def _passphrase(asked: Passphrase | None, name: str) -> Passphrase | None:
    if asked is not None and name:
        raise SettingsError("passphrase and passphrase_variable are two ways of one; choose")
    return key_files.passphrase_in(name) if name else asked


def _certified(key: SigningKey, path: FilePath | None) -> SigningKey:
    return key if path is None else key_files.certified(key, key_files.certificate(Path(path)))


def _issuer(issuer: str) -> str:
    return checked_url("issuer", issuer) if issuer else ""


def _tell_of_fallback() -> None:
    _logger.warning("the active key was refused, and the previous one was taken")
