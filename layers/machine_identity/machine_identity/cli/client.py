"""``client``: a client registered by itself at a server that allows it, and what follows.

The registration's own token is kept where ``--store`` says and is never printed. What a server
answers is printed as far as everybody may read it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from machine_identity import jwk
from machine_identity.cli import options, registrations
from machine_identity.cli.outcome import EXIT_CODES, one_sentence
from machine_identity.client_registration.answers import legible
from machine_identity.client_registration.metadata import SHOWN, Metadata
from machine_identity.client_registration.places import FORMS
from machine_identity.errors import SettingsError
from machine_identity.registrar import Outcome

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_WIDTH: Final = max(map(len, SHOWN)) + 2

_name = click.argument("name")
_store = options.option("--store", required=True, help=f"Where the registration is kept: {FORMS}.")
_origin = options.option(
    "--management-origin",
    default="",
    help="Another origin that the registration's token may go to than its endpoint's.",
)
_jwks = click.option("--jwks", type=_FILE, help="A file with the JWK Set to hand over instead.")
_statement = click.option(
    "--software-statement", type=_FILE, help="A file with a software statement (RFC 7591 2.3)."
)


@click.group(epilog=EXIT_CODES)
def client() -> None:
    """Register a client by RFC 7591; read, change and delete it by RFC 7592."""


@client.command(epilog=EXIT_CODES)
@_name
@_store
@options.option("--registration-endpoint", default="", help="Where to register, if known.")
@options.option(
    "--authorization-server", default="", help="Its issuer identifier; else that is looked up."
)
@options.provider
@options.option("--jwks-uri", default="", help="Where the server fetches the keys.")
@_jwks
@options.option("--client-name", default="", help="A name to be read there.  [default: NAME]")
@options.option("--scope", default="", help="What it may ask for, separated by spaces.")
@options.algorithm
@options.option("--software-id", default="", help="The software's own name there.")
@options.option("--software-version", default="", help="And its version.")
@_statement
@click.option(
    "--initial-access-token-env",
    default="",
    metavar="VARIABLE",
    help="The environment variable that holds the initial access token.",
)
@click.option(
    "--again", is_flag=True, help="Register although an earlier registration had no answer."
)
@_origin
@options.as_json
def register(*, as_json: bool, **given: Any) -> None:  # noqa: ANN401 - click's own
    """Register a client and keep its token; print what to configure."""
    with one_sentence(as_json=as_json):
        name = registrations.checked_name(given["name"])
        token = registrations.token_in(
            given["initial_access_token_env"], "--initial-access-token-env"
        )
        asked = _metadata({**given, "client_name": given["client_name"] or name}, is_first=True)
        service = registrations.registrar(given["store"], given["management_origin"])
        endpoint = registrations.endpoint(
            service,
            given=given["registration_endpoint"],
            authorization_server=given["authorization_server"],
        )
        outcome = service.register(
            name, asked, endpoint=endpoint, initial_access_token=token, again=given["again"]
        )
        _print(outcome, as_json=as_json, entry=_entry(name, outcome, asked, given))
        if not as_json and not asked.scope and given["authorization_server"]:
            click.echo("the entry needs a scope: put in what to ask for")
        if not as_json and not (outcome.client.uri and outcome.client.token):
            click.echo("the server gave no token to manage it with (RFC 7592)")


@client.command(epilog=EXIT_CODES)
@_name
@_store
@_origin
@options.as_json
def read(*, name: str, store: str, management_origin: str, as_json: bool) -> None:
    """Print what the server has of the client now."""
    with one_sentence(as_json=as_json):
        service = registrations.registrar(store, management_origin)
        _print(service.read(registrations.checked_name(name)), as_json=as_json)


@client.command(epilog=EXIT_CODES)
@_name
@_store
@click.option("--jwks-uri", default="", help="Where the server fetches the keys from now on.")
@_jwks
@click.option("--client-name", default="", help="A name to be read there.")
@click.option("--scope", default="", help="What it may ask for from now on.")
@click.option("--algorithm", type=click.Choice(jwk.ALGORITHMS), help="What its keys sign with.")
@click.option("--software-version", default="", help="The version of the software.")
@_statement
@_origin
@options.as_json
def update(*, as_json: bool, **given: Any) -> None:  # noqa: ANN401 - click's own
    """Change what is named and leave the rest of the client as it is."""
    with one_sentence(as_json=as_json):
        changes = _metadata(given, is_first=False)
        if changes == Metadata():
            raise SettingsError("an update needs something to change")
        service = registrations.registrar(given["store"], given["management_origin"])
        outcome = service.update(registrations.checked_name(given["name"]), changes)
        _print(outcome, as_json=as_json)


@client.command(epilog=EXIT_CODES)
@_name
@_store
@_origin
@click.option(
    "--forget", is_flag=True, help="Only drop what is kept here, whatever the server has."
)
@options.as_json
def delete(*, name: str, store: str, management_origin: str, forget: bool, as_json: bool) -> None:
    """Delete the client at the server, and then what is kept of it here."""
    with one_sentence(as_json=as_json):
        service = registrations.registrar(store, management_origin)
        checked = registrations.checked_name(name)
        client_id = service.forget(checked) if forget else service.delete(checked)
        done = "forgotten" if forget else "deleted"
        click.echo(json.dumps({done: client_id}) if as_json else f"{done}  {client_id}")


@client.command(epilog=EXIT_CODES)
@_name
@_store
@options.option("--registration-endpoint", required=True, help="Where it was registered.")
@click.option("--registration-client-uri", required=True, help="Where the server manages it.")
@options.option("--client-id", required=True, help="The client's name there.")
@click.option(
    "--registration-access-token-env",
    required=True,
    metavar="VARIABLE",
    help="The environment variable that holds the registration's token.",
)
@_origin
@options.as_json
def adopt(*, as_json: bool, **given: Any) -> None:  # noqa: ANN401 - click's own
    """Keep a token that the server's operator gave for a client, if the server takes it."""
    with one_sentence(as_json=as_json):
        service = registrations.registrar(given["store"], given["management_origin"])
        outcome = service.adopt(
            registrations.checked_name(given["name"]),
            endpoint=registrations.endpoint(
                service, given=given["registration_endpoint"], authorization_server=""
            ),
            uri=given["registration_client_uri"],
            client_id=given["client_id"],
            token=registrations.token_in(
                given["registration_access_token_env"], "--registration-access-token-env"
            ),
        )
        _print(outcome, as_json=as_json)


def _metadata(given: Mapping[str, Any], *, is_first: bool) -> Metadata:
    keys = registrations.key_set_in(given["jwks"])
    default = _algorithm_of(keys) if is_first else ""
    return Metadata(
        client_name=given["client_name"],
        jwks_uri=given["jwks_uri"],
        jwks=keys,
        algorithm=given["algorithm"] or default,
        scope=given["scope"],
        software_id=given.get("software_id", ""),
        software_version=given["software_version"],
        software_statement=registrations.statement_in(given["software_statement"]),
    )


def _algorithm_of(keys: Mapping[str, Any] | None) -> str:
    """Return what all keys of a set say that they sign with, else RS256."""
    said = {each.get("alg") for each in (keys or {}).get("keys", [])} & set(jwk.ALGORITHMS)
    return str(said.pop()) if len(said) == 1 else "RS256"


def _entry(
    name: str, outcome: Outcome, asked: Metadata, given: Mapping[str, Any]
) -> dict[str, dict[str, str]] | None:
    """Return what ``clients.json`` of the token function needs, if the server has a name."""
    if not given["authorization_server"]:
        return None
    return {
        name: {
            "provider": given["provider"],
            "authorization_server": given["authorization_server"],
            "client_id": outcome.client.client_id,
            "scope": asked.scope,
        }
    }


def _print(outcome: Outcome, *, as_json: bool, entry: Mapping[str, Any] | None = None) -> None:
    registered, secrets = outcome.client, outcome.secrets
    shown = {
        name: legible(registered.members[name], secrets)
        for name in SHOWN
        if name in registered.members
    }
    changed = [
        {
            "name": each.name,
            "asked": legible(each.asked, secrets),
            "registered": legible(each.registered, secrets),
        }
        for each in outcome.changed
    ]
    if as_json:
        answer = {"client_id": registered.client_id, "registered": shown, "changed": changed}
        click.echo(json.dumps(answer | ({"clients.json": entry} if entry else {})))
        return
    for name, value in {"client_id": registered.client_id, **shown}.items():
        click.echo(f"{name:{_WIDTH}}{value}")
    for each in changed:
        click.echo(f"the server changed {each['name']}: {each['asked']} -> {each['registered']}")
    if entry:
        click.echo(f"\nclients.json of the token function:\n{json.dumps(entry, indent=2)}")
