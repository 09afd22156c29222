"""Registers, reads, changes and deletes clients at authorization servers (RFC 7591, RFC 7592).

Nothing is sent before it is written down, and no answer is used before what it brought is kept:

1. The intent is a write to the store. So a store that takes no writes stops a command before the
   server changes anything, two commands at once meet there, and what dies afterwards leaves word.
2. A registration is never repeated unseen: each makes one more client. After one without an answer
   ``register`` refuses until it is told ``again``.
3. A new token is kept beside the one before it. If the newest is refused, the one before is tried
   once: the answer that brought the newest may have been about a change that was undone.
4. A token that cannot be kept is not worth having: a new client is deleted again, at best effort.
5. A deletion that finds the token refused, after an earlier one without an answer, is done.
6. Each request is sent once. Curity and oidc-provider end a token with the answer that brings the
   next, so a repetition by ourselves would use up what the first answer might still bring.

What no order of writes can save is a new token whose answer never came: then the client goes on
working, nobody manages it, and the error says so.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final, Protocol

from machine_identity.client_credentials import DISCOVERY_PATH, process_metadata
from machine_identity.client_registration.answers import (
    Failure,
    RegisteredClient,
    RegistrationError,
    RejectedError,
    Request,
    TokenRefusedError,
    check_uri,
    process_client,
    process_deletion,
    process_registration,
    request,
)
from machine_identity.client_registration.metadata import Metadata, differences, merged
from machine_identity.client_registration.record import (
    Registered,
    Registering,
    Vacant,
    with_token,
)
from machine_identity.errors import SettingsError, TokenRequestError, TransportError
from machine_identity.http1 import Response
from machine_identity.registrar.entry import Entry, Store
from machine_identity.registrar.outcome import (
    Outcome,
    already_registered,
    check_free,
    check_useful,
    lost,
    perhaps_registered,
)
from machine_identity.transport import Transport

REQUEST_TIMEOUT: Final = timedelta(seconds=10)


class Clock(Protocol):
    """Time; the module ``clock`` is one."""

    def now(self) -> datetime:
        """Return the present instant."""
        ...


class Registrar:
    """The clients that one store has the tokens of."""

    def __init__(
        self,
        *,
        transport: Transport,
        store: Store,
        clock: Clock,
        sleep: Callable[[float], None],
        origin: str = "",
    ) -> None:
        """Make one; ``origin`` is another that tokens may go to (see ``answers.check_uri``)."""
        self._transport = transport
        self._store = store
        self._clock = clock
        self._sleep = sleep
        self._origin = origin

    def endpoint_of(self, issuer: str) -> str:
        """Return the registration endpoint that the pinned issuer's discovery document names."""
        url = issuer.removesuffix("/") + DISCOVERY_PATH
        answer = self._sent(request("GET", url, token="", members=None))  # nosec B106 # none
        try:
            return process_metadata(
                answer.status, answer.body, issuer=issuer, member="registration_endpoint"
            )
        except TokenRequestError as error:
            raise RegistrationError(error.code, error.description) from None

    def register(
        self,
        name: str,
        asked: Metadata,
        *,
        endpoint: str,
        initial_access_token: str = "",
        again: bool = False,
    ) -> Outcome:
        """Register a client under ``name`` (RFC 7591 section 3). Raises RegistrationError.

        ``again`` is the operator's word that a registration without an answer left no client, or
        one that may be left alone.
        """
        if not (asked.client_name and (asked.jwks_uri or asked.jwks is not None)):
            raise SettingsError("a registration needs a client_name and a jwks_uri or jwks")
        secrets = (initial_access_token, asked.software_statement)
        entry = Entry(self._store, name)
        check_free(entry.state, name, again=again)
        entry.write(Registering(endpoint=endpoint, since=self._clock.now()))
        sent = request("POST", endpoint, token=initial_access_token, members=asked.members)
        try:
            answer = self._sent(sent)
            client = process_registration(answer.status, answer.body, secrets=secrets)
        except RejectedError:
            entry.put_back(Vacant())
            raise
        except RegistrationError as error:
            raise perhaps_registered(error, asked.client_name) from error
        self._keep_new(entry, endpoint, client)
        outcome = Outcome(
            client=client,
            changed=differences(asked.members, client.members),
            secrets=(*secrets, client.token),
        )
        check_useful(outcome)
        return outcome

    def read(self, name: str) -> Outcome:
        """Return the client as the server has it now (RFC 7592 section 2.1).

        Raises RegistrationError.
        """
        return self._managed(name, "read", "GET", None)

    def update(self, name: str, changes: Metadata) -> Outcome:
        """Change the client and leave the rest of it as it is (RFC 7592 section 2.2).

        An update says all that is registered, so the client is read first. Raises
        RegistrationError.
        """
        before = self.read(name).client
        members = {**merged(before.members, changes), "client_id": before.client_id}
        outcome = self._managed(name, "update", "PUT", members)
        outcome = replace(outcome, changed=differences(members, outcome.client.members))
        check_useful(outcome)
        return outcome

    def delete(self, name: str) -> str:
        """Delete the client at the server (RFC 7592 section 2.3) and return its client_id.

        Raises RegistrationError.
        """
        entry = Entry(self._store, name)
        registered = entry.registered()
        asked = self._asked(entry, registered, "delete")
        try:
            answer, _ = self._authorized(asked, "DELETE", None)
            process_deletion(answer.status, answer.body, secrets=registered.tokens)
        except TokenRefusedError as error:
            if registered.unanswered != "delete":  # rule 5
                entry.put_back(registered)
                raise lost(error, registered) from error
        except RejectedError:
            entry.put_back(registered)
            raise
        entry.write(Vacant())
        return registered.client_id

    def forget(self, name: str) -> str:
        """Forget the registration, whatever the server has, and return its client_id if known.

        Raises RegistrationError.
        """
        entry = Entry(self._store, name)
        known = entry.state.client_id if isinstance(entry.state, Registered) else ""
        entry.write(Vacant())
        return known

    def adopt(self, name: str, *, endpoint: str, uri: str, client_id: str, token: str) -> Outcome:
        """Keep a token that the server's operator gave for a client, if the server takes it.

        ``name`` has no client yet, or this one and tokens that are of no use any more. Raises
        RegistrationError.
        """
        entry = Entry(self._store, name)
        before = entry.state
        match before:
            case Registered(client_id=known) if known != client_id:
                raise already_registered(name, known)
            case Registered(tokens=tokens):
                kept = with_token(tokens, token)
            case _:
                kept = (token,)
        given = Registered(endpoint=endpoint, client_id=client_id, uri=uri, tokens=kept)
        check_uri(uri, endpoint=endpoint, origin=self._origin)
        entry.write(given)
        try:
            return self.read(name)
        except TokenRefusedError:
            Entry(self._store, name).put_back(before)
            raise

    def _managed(
        self, name: str, operation: str, method: str, members: Mapping[str, Any] | None
    ) -> Outcome:
        """Send a request of RFC 7592 that a client comes back from, and keep what it brings."""
        entry = Entry(self._store, name)
        registered = entry.registered()
        asked = self._asked(entry, registered, operation)
        known = _secrets(registered, members)
        try:
            answer, used = self._authorized(asked, method, members)
            client = process_client(
                answer.status, answer.body, client_id=registered.client_id, secrets=known
            )
        except TokenRefusedError as error:
            entry.put_back(registered)
            raise lost(error, registered) from error
        except RejectedError:
            entry.put_back(registered)
            raise
        newest = client.token or used
        uri = client.uri or registered.uri
        settled = replace(registered, uri=uri, tokens=(newest,), unanswered="", unanswered_at=None)
        entry.keep(settled, self._sleep)
        return Outcome(client=client, secrets=(*known, newest))

    def _asked(self, entry: Entry, registered: Registered, operation: str) -> Registered:
        """Write down what is about to be asked, unless an older question is still open."""
        uri = registered.uri if registered.tokens else ""
        check_uri(uri, endpoint=registered.endpoint, origin=self._origin)
        asked = registered
        if not registered.unanswered:
            now = self._clock.now()
            asked = replace(registered, unanswered=operation, unanswered_at=now)
        entry.write(asked)
        return asked

    def _authorized(
        self, registered: Registered, method: str, members: Mapping[str, Any] | None
    ) -> tuple[Response, str]:
        """Return the answer to the first token that is taken, or to the last; and that token."""
        newest, *older = registered.tokens
        answer = self._sent(request(method, registered.uri, token=newest, members=members))
        for token in older:
            if answer.status != HTTPStatus.UNAUTHORIZED:
                break
            newest = token
            answer = self._sent(request(method, registered.uri, token=token, members=members))
        return answer, newest

    def _keep_new(self, entry: Entry, endpoint: str, client: RegisteredClient) -> None:
        """Keep a client that was just registered, or undo it (rule 4)."""
        state = Registered(
            endpoint=endpoint,
            client_id=client.client_id,
            uri=client.uri,
            tokens=with_token((), client.token),
        )
        try:
            entry.keep(state, self._sleep)
        except RegistrationError as error:
            is_undone = self._is_undone(state)
            end = "was deleted again" if is_undone else "is there, and nobody can manage it"
            sentence = f"{error.description}; the client {client.client_id} {end}"
            raise RegistrationError(error.code, sentence) from error

    def _is_undone(self, state: Registered) -> bool:
        uri = state.uri if state.tokens else ""
        try:
            check_uri(uri, endpoint=state.endpoint, origin=self._origin)
            answer, _ = self._authorized(state, "DELETE", None)
            process_deletion(answer.status, answer.body)
        except RegistrationError:
            return False
        return True

    def _sent(self, asked: Request) -> Response:
        try:
            return self._transport(
                asked.method,
                asked.url,
                headers=asked.headers,
                body=asked.body,
                timeout=REQUEST_TIMEOUT,
            )
        except TransportError as error:
            raise RegistrationError(Failure.NO_ANSWER, str(error)) from error


def _secrets(registered: Registered, members: Mapping[str, Any] | None) -> tuple[str, ...]:
    statement = (members or {}).get("software_statement")
    return (*registered.tokens, statement) if isinstance(statement, str) else registered.tokens
