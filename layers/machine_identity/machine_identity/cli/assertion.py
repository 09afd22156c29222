"""``assertion``: one for programs that take theirs from a file, or for a pipe.

``AZURE_FEDERATED_TOKEN_FILE``, ``AWS_WEB_IDENTITY_TOKEN_FILE`` and the ``credential_source`` of
Google's workload identity federation each name a file with a JWT of an issuer that the provider
trusts, and read it again as they need it. ``--write FILE --keep-fresh`` is what keeps it good.

An assertion is a credential for as long as it lives, so it is printed into a pipe or a file and
never on a terminal.
"""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from machine_identity import clock, jwk, providers
from machine_identity.cli import options
from machine_identity.cli.fresh_file import FreshFile
from machine_identity.cli.outcome import EXIT_CODES, one_sentence
from machine_identity.cli.signers import SignerOptions, signer
from machine_identity.client_assertion import Draft, SigningError
from machine_identity.client_credentials import Failure
from machine_identity.errors import SettingsError, TokenRequestError
from machine_identity.providers import ASSERTION_LIFETIME, PROVIDERS, Audience, Client
from machine_identity.settings.environment import checked_url
from machine_identity.token_source import Signer

_SHORTEST, _LONGEST = 60, 3600
_SIGNER: Final = frozenset(each.name for each in fields(SignerOptions))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the assertion is to say, as it was given."""

    provider: str | None
    authorization_server: str
    audience: str
    subject: str
    client_id: str
    lifetime: int | None


@click.command(epilog=EXIT_CODES)
@signer
@options.option(
    "--provider",
    type=click.Choice(providers.NAMES),
    help="Whose rules it follows.  [default: none, an issuer that is trusted]",
)
@options.option("--authorization-server", default="", help="Its issuer identifier, a URL.")
@options.option("--audience", default="", help="aud, where the provider does not settle it.")
@options.option("--subject", default="", help="sub, where it is not the client's name.")
@options.option("--client-id", default="", help="The client's name there.")
@options.option(
    "--lifetime",
    type=click.IntRange(_SHORTEST, _LONGEST),
    help="Seconds.  [default: 300, or less where the provider wants less]",
)
@click.option("--write", type=click.Path(dir_okay=False, path_type=Path), help="Into this file.")
@click.option("--keep-fresh", is_flag=True, help="Write it anew in time, until SIGTERM or Ctrl-C.")
def assertion(*, write: Path | None, keep_fresh: bool, **given: Any) -> None:  # noqa: ANN401 - click's own
    """Sign an assertion, for a pipe or for a file that others read it from."""
    with one_sentence(as_json=False):
        who = SignerOptions(**{name: each for name, each in given.items() if name in _SIGNER})
        asked = _Asked(**{name: each for name, each in given.items() if name not in _SIGNER})
        draft = _draft(asked, who)
        sign = partial(_signed, who.signer(), draft)
        if write is None:
            _print(sign, keep_fresh=keep_fresh)
            return
        file = FreshFile(path=write, lifetime=draft.lifetime, sign=sign, say=_say, clock=clock)
        if not keep_fresh:
            _once(partial(file.renew, clock.now()))
            return
        with _until_told() as stop:
            file.keep(stop)


def _draft(asked: _Asked, who: SignerOptions) -> Draft:
    """Return what is to be signed. Raises SettingsError."""
    subject = asked.subject or asked.client_id
    if not subject:
        raise SettingsError("--subject or --client-id is required: it becomes sub")
    draft = _of_provider(asked, asked.provider) if asked.provider else _of_trusted_issuer(subject)
    draft = replace(draft, audience=asked.audience or draft.audience)
    if not draft.audience:
        is_issuer = asked.provider and PROVIDERS[asked.provider].audience is Audience.ISSUER
        also = " or --authorization-server" if is_issuer else ""
        raise SettingsError(f"--audience{also} is required: it becomes aud")
    if draft.issuer is None and not (who.issuer or who.is_of_a_deployment):
        raise SettingsError("--issuer is required: it becomes iss, and its keys are fetched")
    lifetime = draft.lifetime if asked.lifetime is None else timedelta(seconds=asked.lifetime)
    if who.is_of_a_deployment and lifetime > draft.lifetime:
        counted = f"{draft.lifetime.total_seconds():.0f} s"
        raise SettingsError(f"--lifetime: rotation counts on assertions of {counted} at most")
    limit = PROVIDERS[asked.provider].lifetime_limit if asked.provider else lifetime
    if lifetime > limit:
        taken = f"{limit.total_seconds():.0f} s"
        raise SettingsError(f"--lifetime: {asked.provider} takes assertions of {taken} at most")
    return replace(draft, lifetime=lifetime)


def _of_provider(asked: _Asked, provider: str) -> Draft:
    server = asked.authorization_server
    registered = Client(
        name="",
        provider=PROVIDERS[provider],
        authorization_server=checked_url("--authorization-server", server) if server else "",
        client_id=asked.client_id or asked.subject,
        scope="",
        subject=asked.subject,
    )
    return registered.draft("")  # where the token endpoint is the audience, it must be said


def _of_trusted_issuer(subject: str) -> Draft:
    return Draft(
        issuer=None,
        subject=subject,
        audience="",
        typ="JWT",
        algorithms=jwk.ALGORITHMS,
        lifetime=ASSERTION_LIFETIME,
    )


def _signed(signs: Signer, draft: Draft, now: datetime) -> str:
    return signs.sign(draft, now=now, jti=clock.unique())


def _print(sign: "partial[str]", *, keep_fresh: bool) -> None:
    if keep_fresh:
        raise SettingsError("--keep-fresh is for a file: name it with --write")
    if sys.stdout.isatty():
        raise SettingsError(
            "an assertion is a credential and not for a terminal: use a pipe, or --write FILE"
        )
    click.echo(_once(partial(sign, clock.now())))


def _once[T](work: "partial[T]") -> T:
    try:
        return work()
    except SigningError as error:
        raise TokenRequestError(Failure.TEMPORARILY_UNAVAILABLE, str(error)) from error


def _say(sentence: str) -> None:
    click.echo(f"machine-identity: {sentence}", err=True)


@contextmanager
def _until_told() -> Iterator[threading.Event]:
    """Have an event that SIGTERM and Ctrl-C set."""
    stop = threading.Event()
    before = {
        each: signal.signal(each, lambda *_: stop.set())
        for each in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
