"""What the token function is told: by its environment, by ``clients.json``, and by an event.

The client ``default`` comes from the environment; without one the function starts all the same
and answers ``not_configured``, so that a first deploy needs nothing from a provider. Further
clients stand by name in ``{identity}/clients.json`` in the state bucket::

    {"billing": {"provider": "entra-federated", "authorization_server": "https://…",
                 "client_id": "…", "scope": "…", "subject": "…"}}

``subject`` may be left out, ``provider`` may be an object of the operator's own (see
``providers``), and ``upload`` says how our keys are brought there (see ``upload``). Of an entry
``default`` that alone counts if the environment has such a client, else all of it. A fault in one
leaves the others usable.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self

from machine_identity.aws import AwsError
from machine_identity.client_credentials import Failure, is_scope, object_in, printable
from machine_identity.errors import SettingsError, TokenRequestError
from machine_identity.providers import (
    DEFAULT,
    NAMES,
    PROVIDERS,
    Client,
    Grant,
    Provider,
    custom,
)
from machine_identity.settings.environment import Environment, checked_url
from machine_identity.settings.upload import upload

if TYPE_CHECKING:
    from machine_identity.aws.s3 import Bucket

DEFAULT_CLIENT: Final = "default"
CLIENTS_LIFETIME: Final = timedelta(minutes=1)

_OF_DEFAULT: Final = ("AUTHORIZATION_SERVER", "CLIENT_ID", "SCOPE")
_REQUIRED: Final = ("provider", "authorization_server", "client_id", "scope")
_FIELDS: Final = (*_REQUIRED, "subject", "upload")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_IDENTIFIER: Final = re.compile(r"[\x20-\x7e]{1,600}")
"""RFC 6749 appendix A.1; Entra's subjects reach 600, and KMS signs 4096 bytes in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    """The environment of the token function."""

    identity: str
    state_bucket: str
    provider: Provider
    """Whose waits the rotation keeps, whatever clients there are."""
    default: Client | None
    stack: str = ""
    """What tells two deployments in one account apart in what is counted."""

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> Self:
        """Read the variables. Raises SettingsError."""
        environment = Environment(variables)
        return cls(
            identity=environment.identity(),
            stack=environment.text("STACK_NAME", ""),
            state_bucket=environment.text("STATE_BUCKET"),
            provider=_provider(environment),
            default=_default(environment),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What an event asks for."""

    client: str = DEFAULT_CLIENT
    scope: str | None = None

    @classmethod
    def from_event(cls, event: object) -> Self:
        """Read ``{"client": …, "scope": …}``, both optional. Raises TokenRequestError."""
        if not isinstance(event, dict) or not event.keys() <= {"client", "scope"}:
            raise _invalid("the event must be an object with client and scope, or less")
        client, scope = event.get("client", DEFAULT_CLIENT), event.get("scope")
        if not isinstance(client, str) or not _NAME.fullmatch(client):
            raise _invalid("client must be the name of a configured client")
        if "scope" in event and not (isinstance(scope, str) and is_scope(scope)):
            raise _invalid("scope must be a string as RFC 6749 section 3.3 writes it")
        return cls(client=client, scope=scope)


CANARY: Final[Mapping[str, str]] = {"command": "canary"}
"""The event of the canary's schedule, which is no question for a token."""


def is_canary(event: object, identity: str) -> bool:
    """Return whether an event asks for the canary, whether it names the identity or not."""
    return event in (CANARY, {**CANARY, "identity": identity})


class Clients:
    """All clients of this function, by name."""

    def __init__(self, settings: TokenSettings, bucket: "Bucket") -> None:
        self._default = settings.default
        self._document = f"{settings.identity}/clients.json"
        self._bucket = bucket
        self._entries: Mapping[str, object] = {}
        self._read_at: datetime | None = None
        self.faults: tuple[str, ...] = ()
        """What was wrong with the entries when ``usable`` looked last."""

    def named(self, name: str, now: datetime) -> Client:
        """Return the client of that name. Raises TokenRequestError."""
        if name == DEFAULT_CLIENT and self._default is not None:
            return self._default
        entries = self._known(now)
        if name == DEFAULT_CLIENT and name not in entries:
            names = ", ".join(_OF_DEFAULT)
            raise TokenRequestError(Failure.NOT_CONFIGURED, f"{names} are not set")
        if name not in entries:
            raise TokenRequestError(Failure.UNKNOWN_CLIENT, "no client of that name is configured")
        try:
            return _from_entry(name, entries[name])
        except SettingsError as error:
            raise TokenRequestError(Failure.MISCONFIGURED, str(error)) from error

    def usable(self, now: datetime) -> tuple[Client, ...]:
        """Return all clients that a caller could name and get a token for, the default one first.

        An entry with a fault gets no token by any key, and is told in ``faults``. Raises
        TokenRequestError if nobody can say which there are.
        """
        found: list[Client] = []
        faults: list[str] = []
        entries = {DEFAULT_CLIENT: {}, **self._known(now)} if self._default else self._known(now)
        for name, entry in sorted(entries.items(), key=lambda each: each[0] != DEFAULT_CLIENT):
            try:
                found.append(self._usable(name, entry))
            except SettingsError as error:
                faults.append(str(error))
                if name == DEFAULT_CLIENT and self._default is not None:
                    found.append(self._default)
        self.faults = tuple(faults)
        return tuple(found)

    def _usable(self, name: str, entry: object) -> Client:
        if name != DEFAULT_CLIENT or self._default is None:
            return _from_entry(name, entry)
        given = entry.get("upload") if isinstance(entry, dict) else None
        return self._default if given is None else _brought(self._default, given)

    def _known(self, now: datetime) -> Mapping[str, object]:
        if self._read_at is None or not timedelta() <= now - self._read_at < CLIENTS_LIFETIME:
            self._entries, self._read_at = self._read(), now
        return self._entries

    def _read(self) -> Mapping[str, object]:
        try:
            document = self._bucket.read(self._document)
        except AwsError as error:
            raise TokenRequestError(Failure.TEMPORARILY_UNAVAILABLE, str(error)) from error
        entries = object_in(document.body if document else b"{}")
        if entries is None:
            raise TokenRequestError(Failure.MISCONFIGURED, "clients.json is not a JSON object")
        return entries


def provider_from(given: object, label: str) -> Provider:
    """Return the provider of that name, or the operator's own. Raises SettingsError."""
    if isinstance(given, dict):
        return custom(label, given, PROVIDERS)
    if not isinstance(given, str):
        raise SettingsError(f"{label} must be a name, or an object of a provider's fields")
    if given not in NAMES:
        raise SettingsError(f"{label} must be one of {', '.join(NAMES)}")
    return PROVIDERS[given]


def client(
    name: str, provider: Provider, fields: Mapping[str, str], label: Callable[[str], str]
) -> Client:
    """Return a client from its fields; ``label`` gives each the name that its author knows.

    Raises SettingsError, also for a provider that gives machines no token.
    """
    if provider.grant is not Grant.CLIENT_CREDENTIALS:
        why = provider.cannot or "its own SDK takes the assertion instead"
        raise SettingsError(f"{provider.name} gives no token for client credentials: {why}")
    for field in ("client_id", "subject"):
        if field in fields and not _IDENTIFIER.fullmatch(fields[field]):
            raise SettingsError(f"{label(field)} must be 1 to 600 printable ASCII characters")
    if fields["scope"] and not is_scope(fields["scope"]):
        raise SettingsError(f"{label('scope')} must be words separated by single spaces")
    server = label("authorization_server")
    return Client(
        name=name,
        provider=provider,
        authorization_server=checked_url(server, fields["authorization_server"]),
        client_id=fields["client_id"],
        scope=fields["scope"],
        subject=fields.get("subject", ""),
    )


def _default(environment: Environment) -> Client | None:
    provider = _provider(environment)
    fields = {each.lower(): environment.text(each, "") for each in _OF_DEFAULT}
    given = [each for each in _OF_DEFAULT if fields[each.lower()]]
    if not given:
        return None
    for each in _OF_DEFAULT:
        if each not in given:
            raise SettingsError(f"{each} is not set, and it is required with {given[0]}")
    return client(DEFAULT_CLIENT, provider, fields, str.upper)


def _provider(environment: Environment) -> Provider:
    return PROVIDERS[environment.choice("PROVIDER", NAMES, DEFAULT)]


def _from_entry(name: str, entry: object) -> Client:
    where = f"clients.json: {printable(name)}"
    if not _NAME.fullmatch(name):
        raise SettingsError(f"{where} is no name of a client")
    if not isinstance(entry, dict):
        raise SettingsError(f"{where} must be an object")
    fields: dict[str, Any] = {**entry}
    unknown = sorted(fields.keys() - set(_FIELDS))
    if unknown:
        shown = printable(", ".join(unknown))
        raise SettingsError(f"{where} knows {', '.join(_FIELDS)}, and not {shown}")
    missing = [each for each in _REQUIRED if not fields.get(each)]
    if missing:
        raise SettingsError(f"{where}: {missing[0]} is not set, and it is required")
    provider = provider_from(fields.pop("provider"), f"{where}: provider")
    brought = fields.pop("upload", None)
    if not all(isinstance(each, str) for each in fields.values()):
        raise SettingsError(f"{where} must be an object whose values are strings")
    made = client(name, provider, fields, lambda field: f"{where}: {field}")
    return made if brought is None else _brought(made, brought)


def _brought(made: Client, given: object) -> Client:
    label = f"clients.json: {made.name}: upload"
    return replace(made, upload=upload(given, made.provider, label))


def _invalid(sentence: str) -> TokenRequestError:
    return TokenRequestError(Failure.INVALID_REQUEST, sentence)
