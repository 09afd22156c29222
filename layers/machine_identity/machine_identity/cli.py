"""The client of the story on a laptop or a server: a key in a PEM file instead of KMS.

``call`` does steps 1 to 13 against any configured authorization server and API; ``jwks`` prints
what to register there. A user's mistake gets one sentence and an exit code, never a traceback.
Neither the key, nor an assertion, nor a token is ever printed.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import click
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from machine_identity import clock, jwk, providers, transport
from machine_identity.client_assertion import PrivateKey, SigningKey
from machine_identity.client_credentials import AccessToken, printable
from machine_identity.errors import (
    MachineIdentityError,
    SettingsError,
    TokenRequestError,
    TransportError,
)
from machine_identity.providers import AssertionIssuer, Client
from machine_identity.settings.environment import checked_url
from machine_identity.settings.token import DEFAULT_CLIENT, client
from machine_identity.token_source import TokenSource

API_TIMEOUT: Final = timedelta(seconds=10)
LEAST_RSA_BITS: Final = 2048
"""RFC 7518 section 3.3."""

_EXIT_CODES: Final = """\b
Exit codes:
  0  it worked
  2  an option, a variable or the key file is wrong
  3  the authorization server gave no token
  4  the API gave no answer, or refused
"""
_UNUSABLE, _NO_TOKEN, _NO_ANSWER = 2, 3, 4


class ApiError(MachineIdentityError):
    """The API answered, but not with a result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """The options of ``call``, as they were given."""

    key: Path
    algorithm: str | None
    authorization_server: str
    client_id: str
    scope: str
    provider: str
    issuer: str
    api: str
    text: str


def _option(name: str, **details: Any) -> Callable[[Any], Any]:  # noqa: ANN401 - click's own
    variable = "MACHINE_IDENTITY_" + name.removeprefix("--").replace("-", "_").upper()
    return click.option(name, envvar=variable, show_envvar=True, show_default=True, **details)


_key = _option(
    "--key",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Private key, a PEM file (RSA, P-256 or P-384), not encrypted.",
)
_algorithm = _option(
    "--algorithm",
    type=click.Choice(jwk.ALGORITHMS),
    help="What the key signs with.  [default: RS256, or the curve's own]",
)


@click.group(epilog=_EXIT_CODES)
def main() -> None:
    """Prove who this machine is with a JWT that it signs itself, and call an API."""


@main.command(epilog=_EXIT_CODES)
@_key
@_algorithm
@_option("--authorization-server", required=True, help="Its issuer identifier, a URL.")
@_option("--client-id", required=True, help="The client's name there.")
@_option("--scope", default="", help="What to ask for, separated by spaces.")
@_option(
    "--provider",
    type=click.Choice(providers.NAMES),
    default=providers.DEFAULT,
    help="What kind of authorization server it is.",
)
@_option(
    "--issuer", default="", help="The URL under which the public key is published, if it is asked."
)
@_option("--api", required=True, help="Base URL of the API.")
@_option("--text", required=True, help="What to send to /api/uppercase.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, errors too.")
def call(*, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - click's own
    """Get an access token by a signed assertion, and call POST /api/uppercase with it."""
    with _one_sentence(as_json=as_json):
        result = _called(_Call(**options))
        click.echo(json.dumps({"result": result}) if as_json else result)


@main.command(epilog=_EXIT_CODES)
@_key
@_algorithm
def jwks(key: Path, algorithm: str | None) -> None:
    """Print the JWK Set to register at an authorization server; it is public."""
    with _one_sentence(as_json=False):
        click.echo(json.dumps({"keys": [public_jwk(key, algorithm)]}, indent=2))


def public_jwk(key: Path, algorithm: str | None = None) -> jwk.PublicJwk:
    """Return the public half of the key in a PEM file. Raises SettingsError."""
    private_key, chosen = _private_key(key, algorithm)
    return jwk.from_public_key(private_key.public_key(), chosen)


@contextmanager
def _one_sentence(*, as_json: bool) -> Iterator[None]:
    """Turn what is expected to go wrong into one sentence, or one object, and an exit code."""
    try:
        yield
    except SettingsError as error:
        code, sentence, status = "settings", str(error), _UNUSABLE
    except TokenRequestError as error:
        code, sentence, status = error.code, error.description, _NO_TOKEN
    except (TransportError, ApiError) as error:
        code, sentence, status = "api", str(error), _NO_ANSWER
    else:
        return
    if as_json:
        click.echo(json.dumps({"error": code, "error_description": sentence}))
    else:
        click.echo(f"Error: {code}: {sentence}", err=True)
    raise click.exceptions.Exit(status)


def _called(options: _Call) -> str:
    """Do steps 1 to 13 and return the result."""
    api = checked_url("--api", options.api).removesuffix("/")
    signer, registered = _signing_key(options), _client(options)
    source = TokenSource(signer=signer, transport=transport.send, clock=clock, sleep=time.sleep)
    token = source.get(registered, registered.scope)
    return _uppercase(api, options.text, token)


def _signing_key(options: _Call) -> SigningKey:
    provider = providers.PROVIDERS[options.provider]
    private_key, algorithm = _private_key(options.key, options.algorithm)
    if algorithm not in provider.algorithms:
        accepted = ", ".join(provider.algorithms)
        raise SettingsError(f"{provider.name} takes {accepted}, and the key signs {algorithm}")
    if provider.issuer is AssertionIssuer.OURS and not options.issuer:
        raise SettingsError(f"--issuer is required with --provider {provider.name}")
    return SigningKey(
        kid=jwk.from_public_key(private_key.public_key(), algorithm)["kid"],
        algorithm=algorithm,
        private_key=private_key,
        issuer=checked_url("--issuer", options.issuer) if options.issuer else "",
    )


def _client(options: _Call) -> Client:
    fields = {
        "provider": options.provider,
        "authorization_server": options.authorization_server,
        "client_id": options.client_id,
        "scope": options.scope,
    }
    return client(DEFAULT_CLIENT, fields, lambda field: "--" + field.replace("_", "-"))


def _private_key(path: Path, algorithm: str | None) -> tuple[PrivateKey, str]:
    """Return the key in the file and what it signs with."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except TypeError:
        raise SettingsError(f"{path} is encrypted, and no passphrase is asked for") from None
    except (OSError, ValueError, UnsupportedAlgorithm):
        raise SettingsError(f"{path} is not a readable PEM file with a private key") from None
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key, algorithm or ("ES384" if key.curve.name == "secp384r1" else "ES256")
    if not isinstance(key, rsa.RSAPrivateKey):
        raise SettingsError(f"{path} is neither an RSA nor a P-256 or P-384 key")
    if key.key_size < LEAST_RSA_BITS:
        raise SettingsError(f"{path} has {key.key_size} bits, fewer than {LEAST_RSA_BITS}")
    return key, algorithm or "RS256"


def _uppercase(api: str, text: str, token: AccessToken) -> str:
    """Do steps 9 to 13."""
    answer = transport.send(
        "POST",
        f"{api}/api/uppercase",
        headers={"authorization": f"Bearer {token.value}", "content-type": "application/json"},
        body=json.dumps({"text": text}).encode(),
        timeout=API_TIMEOUT,
    )
    try:
        members = json.loads(answer.body)
    except (ValueError, RecursionError):
        members = None
    known = members if isinstance(members, dict) else {}
    if answer.status == HTTPStatus.OK and isinstance(known.get("result"), str):
        return str(known["result"])
    message = printable(str(known.get("message", "no message")))
    raise ApiError(f"the API answered with status {answer.status}: {message}")
