"""``export``: the public half of a key, in the shape in which a server wants it uploaded.

What is printed can be registered as it stands; what is to be known about it (which key it is, and
the ``x5t#S256`` of a certificate) goes to the standard error, or with ``--json`` into one object.
A deployment's certificate is the one that its token function made, which assertions name, unless
other dates are asked for; any other is signed here by its own key, which takes the right to sign.
All else only reads.
"""

import base64
import json
import ssl
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click
import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from machine_identity import certificate, clock
from machine_identity.certificate import Terms
from machine_identity.cli import exported, files, options
from machine_identity.cli.exported import Certified, Exported
from machine_identity.cli.outcome import EXIT_CODES, one_sentence
from machine_identity.errors import SettingsError
from machine_identity.settings.environment import checked_identity

FORMATS: Final = ("pem", "jwk", "jwks", "x509")
DAYS: Final = 365
LATE_CLOCK: Final = timedelta(hours=1)
"""How far behind a reader's clock may be that finds a certificate of today valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Export:
    """The options of ``export``, as they were given."""

    format: str
    key: Path | None
    kms_key: str
    state_bucket: str
    identity: str
    kid: str
    algorithm: str | None
    der: bool
    days: int | None
    not_before: datetime | None

    @property
    def has_terms(self) -> bool:
        """Whether the dates of a certificate are asked for, whatever the keyring orders."""
        return self.days is not None or self.not_before is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Product:
    """What is written, and what a certificate tells about itself."""

    content: bytes
    about: dict[str, str]
    note: str = ""


@click.command(epilog=EXIT_CODES)
@options.option("--format", type=click.Choice(FORMATS), default="pem", help="What to write.")
@options.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Export this private key's public half; a PEM file, not encrypted.",
)
@options.option("--kms-key", default="", help="Export this KMS key's; its ARN.")
@options.option("--state-bucket", default="", help="Export a key of the deployment that has it.")
@options.option("--identity", default="default", help="Whose keys, in that bucket.")
@options.option(
    "--kid",
    default="",
    help='Which of them, by name or "active".  [default: standby; jwks: the whole set]',
)
@options.algorithm
@options.option("--der", is_flag=True, help="Write a certificate as octets instead of PEM.")
@options.option(
    "--days",
    type=click.IntRange(1, 3650),
    help=f"How long it is valid.  [default: {DAYS}; of a deployment as ordered]",
)
@options.option(
    "--not-before",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Since when.  [default: today, UTC; of a deployment as ordered]",
)
@click.option("--output", type=click.Path(path_type=Path), help="Write to this file.")
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
@options.as_json
def export(*, output: Path | None, force: bool, as_json: bool, **given: Any) -> None:  # noqa: ANN401 - click's own
    """Write a public key as PEM, JWK, JWKS or a self-signed certificate, to be uploaded.

    The key is --key, --kms-key, or of a deployment by --state-bucket. Nothing private is written.
    """
    with one_sentence(as_json=as_json):
        asked = _Export(**given)
        _check(asked)
        source = _source(asked)
        product = _product(asked, source)
        if output is not None:
            files.write(output, product.content, may_replace=force)
        if as_json:
            click.echo(json.dumps(_members(asked, source, product, output)))
            return
        about = (f"{name} {value}" for name, value in product.about.items())
        for line in filter(None, (source.told, *about, product.note)):
            click.echo(f"export: {line}", err=True)
        if output is None:
            _print(product.content, is_text=not asked.der)


def _check(asked: _Export) -> None:
    """Refuse options that contradict each other, by the rule that they break."""
    checked_identity("--identity", asked.identity)
    if sum(map(bool, (asked.key, asked.kms_key, asked.state_bucket))) != 1:
        raise SettingsError("exactly one of --key, --kms-key and --state-bucket names the key")
    if asked.kid and not asked.state_bucket:
        raise SettingsError("--kid chooses among the keys of --state-bucket")
    if asked.algorithm and asked.state_bucket:
        raise SettingsError("--algorithm is the keyring's to say with --state-bucket")
    if asked.der and asked.format != "x509":
        raise SettingsError("--der is for --format x509")


def _source(asked: _Export) -> Exported:
    if asked.key is not None:
        return exported.from_file(asked.key, asked.algorithm)
    if asked.kms_key:
        return exported.from_kms(asked.kms_key, asked.algorithm)
    whole_set = asked.format == "jwks"
    return exported.from_keyring(
        asked.state_bucket, asked.identity, asked.kid, whole_set=whole_set
    )


def _product(asked: _Export, source: Exported) -> _Product:
    match asked.format:
        case "jwk":
            return _Product(content=_json(source.jwks[0]), about={})
        case "jwks":
            return _Product(content=_json({"keys": source.jwks}), about={})
        case "x509":
            return _certificate(asked, source)
        case _:
            public_key = jwt.PyJWK({**source.jwks[0]}).key
            pem = public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            return _Product(content=pem, about={})


def _certificate(asked: _Export, source: Exported) -> _Product:
    """Return the certificate that is ordered, or one by the dates that are asked for."""
    found = None if asked.has_terms else source.as_ordered()
    found = found or Certified(der=source.certificate(_terms(asked, source.jwks[0]["kid"])))
    read = certificate.parse(found.der)
    about = {
        "x5t#S256": read.thumbprint,
        "not_before": read.not_before.isoformat(),
        "not_after": read.not_after.isoformat(),
    }
    content = found.der if asked.der else ssl.DER_cert_to_PEM_cert(found.der).encode()
    return _Product(content=content, about=about, note=found.note)


def _terms(asked: _Export, kid: str) -> Terms:
    """Return terms of which every one can be asked for again, to get the same certificate."""
    began = asked.not_before or clock.now() - LATE_CLOCK
    not_before = datetime(began.year, began.month, began.day, tzinfo=UTC)
    not_after = not_before + timedelta(days=asked.days or DAYS)
    serial = certificate.serial_number(kid, not_before, not_after)
    return Terms(
        identity=asked.identity, serial=serial, not_before=not_before, not_after=not_after
    )


def _members(
    asked: _Export, source: Exported, product: _Product, output: Path | None
) -> dict[str, object]:
    """Return the one object that says it all; octets are in base64, as Graph takes them."""
    text = base64.b64encode(product.content) if asked.der else product.content
    return {
        "format": asked.format,
        "key": source.told,
        "kids": [key["kid"] for key in source.jwks],
        **product.about,
        **({"note": product.note} if product.note else {}),
        **({"content": text.decode()} if output is None else {"output": str(output)}),
    }


def _print(content: bytes, *, is_text: bool) -> None:
    if is_text:
        click.echo(content.decode().rstrip("\n"))
    elif sys.stdout.isatty():
        raise SettingsError("--der writes octets, and this is a terminal; name a file by --output")
    else:
        click.echo(content, nl=False)


def _json(document: object) -> bytes:
    return json.dumps(document, indent=2).encode() + b"\n"
