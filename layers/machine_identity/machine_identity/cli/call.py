"""``call``: steps 1 to 13 of the story, against any authorization server and API."""

import json
import time
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import click

from machine_identity import clock, providers, transport
from machine_identity.cli import options
from machine_identity.cli.outcome import EXIT_CODES, ApiError, one_sentence
from machine_identity.client_assertion import SigningKey
from machine_identity.client_credentials import AccessToken, object_in, printable
from machine_identity.errors import SettingsError
from machine_identity.key_files import pem_file
from machine_identity.providers import AssertionIssuer, Client
from machine_identity.settings.environment import checked_url
from machine_identity.settings.token import DEFAULT_CLIENT, client
from machine_identity.token_source import TokenSource

API_TIMEOUT: Final = timedelta(seconds=10)


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


@click.command(epilog=EXIT_CODES)
@options.key
@options.algorithm
@options.option("--authorization-server", required=True, help="Its issuer identifier, a URL.")
@options.option("--client-id", required=True, help="The client's name there.")
@options.option("--scope", default="", help="What to ask for, separated by spaces.")
@options.provider
@options.issuer
@options.option("--api", required=True, help="Base URL of the API.")
@options.option("--text", required=True, help="What to send to /api/uppercase.")
@options.as_json
def call(*, as_json: bool, **given: Any) -> None:  # noqa: ANN401 - click's own
    """Get an access token by a signed assertion, and call POST /api/uppercase with it."""
    with one_sentence(as_json=as_json):
        result = _called(_Call(**given))
        click.echo(json.dumps({"result": result}) if as_json else result)


def _called(asked: _Call) -> str:
    """Do steps 1 to 13 and return the result."""
    api = checked_url("--api", asked.api).removesuffix("/")
    signer, registered = _signing_key(asked), _client(asked)
    source = TokenSource(signer=signer, transport=transport.send, clock=clock, sleep=time.sleep)
    token = source.get(registered, registered.scope)
    return _uppercase(api, asked.text, token)


def _signing_key(asked: _Call) -> SigningKey:
    provider = providers.PROVIDERS[asked.provider]
    issuer = checked_url("--issuer", asked.issuer) if asked.issuer else ""
    key = pem_file(asked.key, asked.algorithm, issuer=issuer)
    if key.algorithm not in provider.algorithms:
        accepted = ", ".join(provider.algorithms)
        raise SettingsError(f"{provider.name} takes {accepted}, and the key signs {key.algorithm}")
    if provider.issuer is AssertionIssuer.OURS and not issuer:
        raise SettingsError(f"--issuer is required with --provider {provider.name}")
    return key


def _client(asked: _Call) -> Client:
    fields = {
        "authorization_server": asked.authorization_server,
        "client_id": asked.client_id,
        "scope": asked.scope,
    }
    return client(
        DEFAULT_CLIENT,
        providers.PROVIDERS[asked.provider],
        fields,
        lambda field: "--" + field.replace("_", "-"),
    )


def _uppercase(api: str, text: str, token: AccessToken) -> str:
    """Do steps 9 to 13."""
    answer = transport.send(
        "POST",
        f"{api}/api/uppercase",
        headers={"authorization": f"Bearer {token.value}", "content-type": "application/json"},
        body=json.dumps({"text": text}).encode(),
        timeout=API_TIMEOUT,
    )
    known = object_in(answer.body) or {}
    if answer.status == HTTPStatus.OK and isinstance(known.get("result"), str):
        return str(known["result"])
    message = printable(str(known.get("message", "no message")))
    raise ApiError(f"the API answered with status {answer.status}: {message}")
