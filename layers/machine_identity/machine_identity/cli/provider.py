"""``provider``: what to type or click at a provider, and whether it would find what it needs.

The steps stand beside the facts of ``providers``, in ``howto/``; nothing here knows a provider by
name. ``--check`` looks at both sides as a stranger would, without credentials; those are used for
``--stack`` only, which asks CloudFormation what was deployed. boto3 is imported only then.
"""

import json
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Final

import click

from machine_identity import checkup, providers, transport
from machine_identity.checkup import Deployment, Fetched, Finding
from machine_identity.cli import options
from machine_identity.cli.outcome import EXIT_CODES, one_sentence
from machine_identity.client_credentials import DISCOVERY_PATH
from machine_identity.errors import SettingsError, TransportError
from machine_identity.providers import Provider
from machine_identity.publication import JWKS_PATH
from machine_identity.settings.environment import checked_url

if TYPE_CHECKING:
    from machine_identity.aws.stack import Stack

TIMEOUT: Final = timedelta(seconds=10)
FAULTY: Final = 6
"""The exit code of a check that found a fault."""
_HOWTO: Final = Path(providers.__file__).with_name("howto")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The options, as they were given; what was not given is a word in capitals."""

    issuer: str
    authorization_server: str
    client_id: str
    subject: str
    scope: str
    algorithm: str | None
    kid: str

    def values(self, provider: Provider) -> dict[str, str]:
        """Return what stands for each name in the steps."""
        issuer, server = self.issuer or "ISSUER_URL", self.authorization_server
        client_id = self.client_id or "CLIENT_ID"
        endpoint = "TOKEN_ENDPOINT"
        audience = provider.audience_for(issuer=server or "ISSUER", token_endpoint=endpoint)
        return {
            "issuer": issuer,
            "jwks_uri": issuer + JWKS_PATH,
            "authorization_server": server or "AUTHORIZATION_SERVER",
            "client_id": client_id,
            "subject": self.subject or client_id,
            "audience": audience or "AUDIENCE",
            "scope": self.scope or "SCOPE",
            "algorithm": self.algorithm or provider.algorithms[0],
            "certificate": "CERTIFICATE_FILE",
            "jwks": "JWKS_JSON",
        }


@click.command(epilog=EXIT_CODES + "  6  a check found a fault\n")
@click.argument("name", type=click.Choice(tuple(providers.PROVIDERS)))
@options.option("--stack", default="", help="Take what is not given here from this stack.")
@options.option("--issuer", default="", help="IssuerUrl of the stack's outputs.")
@options.option("--authorization-server", default="", help="Its issuer identifier, a URL.")
@options.option("--client-id", default="", help="The client's name there.")
@options.option("--subject", default="", help="What is registered as sub.  [default: client ID]")
@options.option("--scope", default="", help="What is asked for.")
@options.algorithm
@options.option("--kid", default="", help="A key that must be in the key set, for --check.")
@click.option("--check", is_flag=True, help="Look at both sides from outside, and say what fails.")
@options.as_json
def provider(*, name: str, stack: str, check: bool, as_json: bool, **given: Any) -> None:  # noqa: ANN401 - click's own
    """Print what to type or click at a provider, with this deployment's values in it."""
    with one_sentence(as_json=as_json):
        asked, entry = _Asked(**given), providers.PROVIDERS[name]
        _check_urls(asked, issuer="--issuer", server="--authorization-server")
        if stack:
            asked = _completed(asked, entry, stack)
        if check:
            _print_findings(_findings(entry, asked), as_json=as_json)
        else:
            click.echo(_as_json(entry, asked) if as_json else _text(entry, asked))


def steps(entry: Provider, values: dict[str, str]) -> str:
    """Return what to do at the provider, with the values in it."""
    text = (_HOWTO / f"{entry.name}.md").read_text(encoding="utf-8")
    return Template(text).safe_substitute(values).rstrip()


def _check_urls(asked: _Asked, *, issuer: str, server: str) -> None:
    """Refuse what is no URL, by the name of what says it."""
    for name, url in ((issuer, asked.issuer), (server, asked.authorization_server)):
        if url:
            checked_url(name, url)


def _completed(asked: _Asked, entry: Provider, name: str) -> _Asked:
    """Fill in what was not given from a stack; its client is another's at another provider."""
    told, source = _stack(name), f"of stack {name}"
    values = {"issuer": told.issuer, "algorithm": told.algorithm}
    client = {
        "authorization_server": told.authorization_server,
        "client_id": told.client_id,
        "scope": told.scope,
    }
    if told.provider == entry.name:
        values |= client
    elif any(client.values()):
        click.echo(f"provider: the client {source} is {told.provider}'s, and left out", err=True)
    missing = {field: value for field, value in values.items() if not getattr(asked, field)}
    whole = replace(asked, **missing)
    _check_urls(whole, issuer=f"IssuerUrl {source}", server=f"AuthorizationServer {source}")
    return whole


def _stack(name: str) -> "Stack":
    try:
        from machine_identity.aws import stack  # noqa: PLC0415 - see above
    except ModuleNotFoundError:
        raise SettingsError("--stack needs boto3: pip install '.[aws]'") from None
    return stack.read(name)


def _text(entry: Provider, asked: _Asked) -> str:
    values = asked.values(entry)
    facts = {
        "keys": f"by {' or '.join(entry.registration)}",
        "aud": values["audience"],
        "typ": entry.typ,
        "signed with": ", ".join(entry.algorithms),
        "lives": f"{int(entry.assertion_lifetime.total_seconds())} s",
        "set kept": f"up to {_hours(entry.key_set_cache)} h, whatever our max-age says",
        "scope": entry.scope,
        **({"cannot": entry.cannot} if entry.cannot else {}),
        **({} if values["algorithm"] in entry.algorithms else {"refuses": _refused(values)}),
    }
    rows = [f"  {name:<12} {value}" for name, value in facts.items()]
    known = [
        f"  {each.kind:<10} {', '.join(each.of)}: {each.says}"
        + (f" ({each.where}, {each.on})" if each.where else "")
        for each in entry.sources
    ]
    return "\n".join(
        [entry.title, "", *rows, "", steps(entry, values), "", "How this is known:", *known]
    )


def _refused(values: dict[str, str]) -> str:
    return f"{values['algorithm']}, which our keys sign: deploy with another SigningAlgorithm"


def _hours(duration: timedelta) -> str:
    return f"{duration / timedelta(hours=1):.3g}"


def _as_json(entry: Provider, asked: _Asked) -> str:
    values = asked.values(entry)
    return json.dumps(
        {"provider": entry.name, "values": values, "steps": steps(entry, values)}, indent=2
    )


def _findings(entry: Provider, asked: _Asked) -> list[Finding]:
    """Look at our two documents and, if it is known, at the server's."""
    if not asked.issuer:
        raise SettingsError("--check needs --issuer or --stack: whose documents to look at")
    deployment = Deployment(provider=entry, issuer=asked.issuer, kid=asked.kid)
    configuration, jwks = (_fetched(url) for url in checkup.urls(asked.issuer))
    found = [
        *checkup.of_configuration(deployment, configuration),
        *checkup.of_key_set(deployment, jwks),
    ]
    if server := asked.authorization_server:
        fetched = _fetched(server.removesuffix("/") + DISCOVERY_PATH)
        found.extend(checkup.of_server(deployment, server, fetched))
    return found


def _fetched(url: str) -> Fetched:
    headers = {"accept": "application/json"}
    moments, response, why = [time.monotonic()], None, ""
    try:
        response = transport.send(
            "GET",
            url,
            headers=headers,
            timeout=TIMEOUT,
            at_first_byte=lambda: moments.append(time.monotonic()),
        )
    except TransportError as error:
        why = str(error)
    moments.append(time.monotonic())
    first, whole = (timedelta(seconds=moments[each] - moments[0]) for each in (1, -1))
    return Fetched(url=url, response=response, why=why, first_byte_after=first, whole_after=whole)


def _print_findings(found: list[Finding], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {"check": each.what, "good": each.is_good, "fault": each.fault, "mend": each.mend}
            for each in found
        ]
        click.echo(json.dumps({"checks": rows}, indent=2))
    else:
        for each in found:
            mark = click.style("✓", fg="green") if each.is_good else click.style("✗", fg="red")
            click.echo(f"{mark} {each.what}")
            if not each.is_good:
                click.echo(f"    {each.fault}\n    {each.mend}")
    if not all(each.is_good for each in found):
        raise click.exceptions.Exit(FAULTY)
