"""Rule 8: the signer as the hand that brings keys to servers, exactly as the keyring orders.

What to do is ``uploads``'; here it is done, and written down round every call: that a server is
about to be asked before it is, and what came of it after. A run does what it can for one client
after the other, and leaves whoever fails to the next run. Two runs at once meet in the testimony:
who finds that another has begun the same thing leaves it to that one.

It can neither create, publish, promote nor end a key.
"""

import base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, assert_never

from machine_identity import certificate, certification, uploads
from machine_identity.aws import AwsError
from machine_identity.client_assertion import SigningError
from machine_identity.errors import ConflictError, UploadError
from machine_identity.keyring import Key, Keyring
from machine_identity.providers import ByGraph, ByManagement, Client
from machine_identity.sites.opening import Holders
from machine_identity.testimony import Certified, Testimony, Upload
from machine_identity.uploads import Act, Add, List, Remove, Site
from machine_identity.witness.document import TestimonyDocument
from machine_identity.witness.world import Clock, Store

ENOUGH: Final = timedelta(seconds=10)
"""The latest into a run that a server is asked anything."""
_TURN: Final = timedelta(minutes=15)
"""How often there is a run."""
_MOST_ACTS: Final = 10
_UNKNOWN_KEY: Final = "unknown_key"
_NOT_CERTIFIED: Final = "no_certificate"
_NOT_TOLD: Final = "not_told"


class Server(Protocol):
    """A server to which keys are brought; every verb may raise UploadError."""

    def publish(self, known: Upload, certificate: bytes) -> str:
        """Have it take the key, and return what it calls it, if it has a name of its own."""
        ...

    def observe(self) -> dict[str, str] | None:
        """Return its names of the keys that it has, by certificate; None if it does not tell."""
        ...

    def withdraw(self, known: Upload) -> None:
        """Have it drop the key; one that it does not know is ``unknown_key``."""
        ...


type Open = Callable[[Client, Keyring, Testimony], Server]
"""Return the server of a client, ready to be asked. Raises UploadError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What was done, and the code of what came of it; none is that all is well."""

    client: str
    kid: str
    did: str
    code: str = ""

    @property
    def is_failed(self) -> bool:
        """Whether it came to nothing; a server that does not tell what it has need not."""
        return self.code not in {"", _NOT_TOLD}

    def row(self) -> dict[str, Any]:
        """Return it as JSON."""
        members = {"client": self.client, "kid": self.kid, "did": self.did, "code": self.code}
        return {name: value for name, value in members.items() if value}


class Hand:
    """What one identity's signer does at servers to which keys are brought."""

    def __init__(
        self, *, identity: str, keys: Holders, store: Store, clock: Clock, open_server: Open
    ) -> None:
        self._identity = identity
        self._keys = keys
        self._clock = clock
        self._open = open_server
        self._document = TestimonyDocument(store, identity=identity)
        self.again_at: datetime | None = None
        """When there may be more to do though the keyring does not change, after ``work``."""

    def work(self, clients: Iterable[Client], *, is_certified: bool = False) -> tuple[Errand, ...]:
        """Make the certificates that are wanted, and do what is due at each client's server.

        ``is_certified`` wants them though no client does yet. Raises SigningError without a
        keyring, and AwsError, ConflictError or NewerTestimonyError for the testimony's sake.
        """
        clients = tuple(clients)
        began_at = self._clock.now()
        keyring = self._keys.reread(began_at)
        # Of two clients at one application the first will do: each key is registered there once.
        first = {each.registration: each for each in reversed(clients) if each.upload is not None}
        sites = {each.name: site(each) for each in first.values()}
        standing = self._document.change(lambda told: _settled(told, keyring, sites.values()))
        if uploads.is_outdated(keyring, standing):
            return ()
        done: list[Errand] = []
        if is_certified or any(_is_certified(each) for each in clients):
            done += self._certify(keyring, standing)
        for each in _in_turn(tuple(first.values()), began_at):
            done += self._visit(keyring, each, sites[each.name], began_at)
        standing = self._document.read() if done else standing
        self.again_at = uploads.again_at(standing, self._clock.now())
        return tuple(done)

    def _certify(self, keyring: Keyring, standing: Testimony) -> list[Errand]:
        """Make each certificate that is not there, and keep it (rule 1 of ``uploads``)."""
        keys = certification.uncertified(keyring, standing)
        return [self._certified(key, keyring) for key in keys]

    def _certified(self, key: Key, keyring: Keyring) -> Errand:
        """Make one; what KMS does not sign is tried again by the next run."""
        try:
            signing = self._keys.with_key(key, keyring).signing_key()
            der = certificate.self_signed(certification.terms(key, self._identity), signing)
        except (AwsError, SigningError):
            return Errand(client="", kid=key.kid, did="certify", code="not_signed")
        made = Certified(kid=key.kid, der=base64.b64encode(der).decode())
        self._document.change(lambda standing: certification.with_certificate(standing, key, made))
        return Errand(client="", kid=key.kid, did="certify")

    def _visit(
        self, keyring: Keyring, client: Client, at: Site, began_at: datetime
    ) -> list[Errand]:
        done: list[Errand] = []
        visit = _Visit(self._document, keyring, at, self._clock)
        server: Server | None = None
        while len(done) < _MOST_ACTS and self._clock.now() - began_at <= ENOUGH:
            testimony = self._document.read()
            act = uploads.next_act(keyring, testimony, at, self._clock.now())
            if act is None:
                break
            try:
                server = server or self._open(client, keyring, testimony)
                done.append(visit.do(act, server, testimony))
            except UploadError as error:
                done.append(visit.failed(act, error, testimony))
                break
        return done


class _Visit:
    """Does one thing after the other at one site, and writes it down."""

    def __init__(
        self, document: TestimonyDocument, keyring: Keyring, site: Site, clock: Clock
    ) -> None:
        self._document = document
        self._keyring = keyring
        self._site = site
        self._clock = clock

    def do(self, act: Act, server: Server, testimony: Testimony) -> Errand:
        """Do it. Raises UploadError when it fails before the server was asked, or by its word."""
        match act:
            case Add(kid=kid):
                return self._add(kid, server, testimony)
            case Remove(kid=kid):
                return self._remove(kid, server, testimony)
            case List():
                return self._list(server)
            case _:
                assert_never(act)

    def failed(self, act: Act, error: UploadError, testimony: Testimony) -> Errand:
        """Write down that nothing came of it; an answer that was lost leaves the question open."""
        if isinstance(act, List):
            return self._errand("", act, error.code)
        known = uploads.upload(testimony, self._site, act.kid)
        if not error.is_lost or isinstance(act, Remove):
            self._fail(known, known, error)
        return self._errand(act.kid, act, error.code)

    def _add(self, kid: str, server: Server, testimony: Testimony) -> Errand:
        made = certification.certified(self._keyring.key(kid), testimony)
        if made is None and not self._site.is_repeatable:
            raise UploadError(_NOT_CERTIFIED)
        before = uploads.upload(testimony, self._site, kid)
        asked = uploads.asking(before, self._clock.now())
        self._begin(before, asked)
        try:
            der = b"" if made is None else made.der
            key_id = server.publish(before, der)
        except UploadError as error:
            if not error.is_lost or self._site.is_repeatable:
                # Refused is as good as not asked: nothing is there that was not before.
                self._fail(asked, asked if self._site.is_repeatable else before, error)
            return self._errand(kid, Add(kid=kid), error.code)
        self._write(uploads.added(asked, key_id, self._clock.now()))
        return self._errand(kid, Add(kid=kid))

    def _remove(self, kid: str, server: Server, testimony: Testimony) -> Errand:
        known = uploads.upload(testimony, self._site, kid)
        try:
            server.withdraw(known)
        except UploadError as error:
            is_settled = uploads.is_settled(known, self._clock.now())
            if error.code != _UNKNOWN_KEY or not is_settled:
                raise
        self._write(uploads.ended(known, self._clock.now()))
        return self._errand(kid, Remove(kid=kid))

    def _list(self, server: Server) -> Errand:
        names, now = server.observe(), self._clock.now()
        keyring, at = self._keyring, self._site
        if names is None:
            self._document.change(lambda told: uploads.untold(keyring, told, at, now))
            return self._errand("", List(), _NOT_TOLD)
        self._document.change(lambda told: uploads.listed(keyring, told, at, names, now))
        return self._errand("", List())

    def _begin(self, before: Upload, asked: Upload) -> None:
        """Write down that the server is about to be asked, unless another run was quicker."""

        def begun(standing: Testimony) -> Testimony:
            if uploads.upload(standing, self._site, asked.kid) != before:
                raise ConflictError("another run of the token function is at the same thing")
            return uploads.with_upload(standing, asked)

        self._document.change(begun)

    def _fail(self, standing: Upload, before: Upload, error: UploadError) -> None:
        """Write down that nothing came of it, unless another run has got further meanwhile.

        Where asking twice is harmless the last word counts, and has it asked for again.
        """
        after = uploads.failed(before, error.code, self._clock.now())

        def failed(told: Testimony) -> Testimony:
            is_stale = uploads.upload(told, self._site, after.kid) != standing
            is_overtaken = is_stale and not self._site.is_repeatable
            return told if is_overtaken else uploads.with_upload(told, after)

        self._document.change(failed)

    def _write(self, known: Upload) -> None:
        self._document.change(lambda standing: uploads.with_upload(standing, known))

    def _errand(self, kid: str, act: Act, code: str = "") -> Errand:
        did = type(act).__name__.lower()
        return Errand(client=self._site.client, kid=kid, did=did, code=code)


def site(client: Client) -> Site:
    """Return what ``uploads`` goes by of a client."""
    return Site(
        client=client.name,
        registration=client.registration,
        unknown=client.provider.key_unknown,
        is_repeatable=isinstance(client.upload, ByManagement),
    )


def _in_turn(clients: tuple[Client, ...], at: datetime) -> tuple[Client, ...]:
    """Begin with another client each time: who has a slow server keeps none waiting for ever."""
    first = int(at.timestamp() / _TURN.total_seconds()) % max(len(clients), 1)
    return (*clients[first:], *clients[:first])


def _is_certified(client: Client) -> bool:
    """Whether our keys are known there by certificates."""
    return client.provider.wants_certificates or isinstance(client.upload, ByGraph)


def _settled(testimony: Testimony, keyring: Keyring, sites: Iterable[Site]) -> Testimony:
    sites = tuple(sites)
    testimony = uploads.kept(testimony, keyring, sites)
    for each in sites:
        testimony = uploads.settled(testimony, each)
    return testimony
