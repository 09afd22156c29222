"""The signer's hand at a server that is small: it keeps what it is given, and can be told to fail.

The keys and the certificates are real; ``tests/uploads`` has the stand-in for Entra instead.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from machine_identity import certificate
from machine_identity.client_assertion import PrivateKey, SigningError, SigningKey
from machine_identity.errors import UploadError
from machine_identity.keyring import Key, Keyring
from machine_identity.providers import PROVIDERS, ByGraph, Client
from machine_identity.testimony import Certified, Testimony, Upload
from machine_identity.witness.document import TestimonyDocument
from machine_identity.witness.hand import Hand
from tests.certificates import DER, KID, PRIVATE, certified
from tests.keyrings import START, ring
from tests.outside import Store

HOUR = timedelta(hours=1)
QUARTER = timedelta(minutes=15)
CLIENT = Client(
    name="default",
    provider=PROVIDERS["entra-certificate"],
    authorization_server="https://as.example",
    client_id="client-1",
    scope="read",
    upload=ByGraph(object_id="0f1d2c3b-0000-4000-8000-000000000001"),
)
THERE = CLIENT.registration
ONE = ring(certified("standby"))
CERTIFIED = Certified(kid=KID, der=base64.b64encode(DER).decode())


@dataclass(slots=True)
class Server:
    """Keeps certificates under names of its own; does not mind to have one twice."""

    held: dict[str, bytes] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    errors: list[UploadError] = field(default_factory=list)
    """What the next calls come to, one after the other."""
    is_done: bool = False
    """Whether they are carried out all the same."""
    tells: bool = True
    cannot_list: bool = False
    is_behind: bool = False
    """Whether a listing shows nothing of what is there."""
    meanwhile: Callable[[], None] = lambda: None
    """What happens while it is asked."""

    def publish(self, known: Upload, certificate: bytes) -> str:
        return self._answered(f"add {known.kid}", lambda: self._add(certificate))

    def observe(self) -> dict[str, str] | None:
        self._answered("list", str)
        if self.cannot_list:
            raise UploadError("invalid_response")
        if not self.tells:
            return None
        held = {} if self.is_behind else self.held
        return {certificate.sha1(der): name for name, der in held.items()}

    def withdraw(self, known: Upload) -> None:
        self._answered(f"remove {known.key_id}", lambda: self._remove(known.key_id))

    def _add(self, der: bytes) -> str:
        name = f"id-{len(self.calls)}"
        self.held[name] = der
        return name

    def _remove(self, name: str) -> str:
        if self.held.pop(name, None) is None:
            raise UploadError("unknown_key")
        return ""

    def _answered(self, call: str, act: Callable[[], str]) -> str:
        self.calls.append(call)
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        error = self.errors.pop(0) if self.errors else None
        if error is not None and not self.is_done:
            raise error
        answer = act()
        if error is not None:
            raise error
        return answer


@dataclass(slots=True)
class World:
    """A keyring, the keys in it, the testimony's store and a server."""

    keyring: Keyring
    private: dict[str, PrivateKey] = field(default_factory=lambda: {KID: PRIVATE})
    server: Server = field(default_factory=Server)
    now: datetime = START
    clients: tuple[Client, ...] = (CLIENT,)
    opened: list[str] = field(default_factory=list)
    opening_takes: timedelta = timedelta()
    closed: UploadError | None = None
    """Why no server can be opened."""
    store: Store = field(init=False)
    passing: Callable[[], None] = lambda: None
    """What happens before the testimony is written."""

    def __post_init__(self) -> None:
        self.store = Store("token", self._called)

    def _called(self, moment: Literal["before", "after"], call: str) -> None:
        if (moment, call) == ("before", "token.write"):
            passing, self.passing = self.passing, lambda: None
            passing()

    def hand(self) -> Hand:
        clock, keys = _Clock(self), _Keys(self)
        return Hand(
            identity="default", keys=keys, store=self.store, clock=clock, open_server=self._open
        )

    def work(self, **asked: Any) -> list[tuple[str, str]]:
        return [(each.did, each.code) for each in self.hand().work(self.clients, **asked)]

    def _open(self, client: Client, keyring: Keyring, testimony: Testimony) -> Server:
        del keyring, testimony
        self.opened.append(client.name)
        self.now += self.opening_takes
        if self.closed is not None:
            raise self.closed
        return self.server

    def testimony(self) -> Testimony:
        return TestimonyDocument(self.store, identity="default").read()

    def tell(self, **members: Any) -> None:
        document = TestimonyDocument(self.store, identity="default")
        document.change(lambda standing: replace(standing, **members))

    def upload(self) -> Upload:
        (found,) = self.testimony().uploads
        return found


@dataclass(slots=True)
class _Clock:
    world: World

    def now(self) -> datetime:
        return self.world.now

    def unique(self) -> str:
        return "unique"


@dataclass(slots=True)
class _Keys:
    world: World

    def reread(self, now: datetime) -> Keyring:
        del now
        return self.world.keyring

    def with_key(self, key: Key, keyring: Keyring) -> "Holder":
        del keyring
        return Holder(self.world.private.get(key.kid), key)


@dataclass(slots=True)
class Holder:
    private: PrivateKey | None
    key: Key

    def signing_key(self) -> SigningKey:
        if self.private is None:
            raise SigningError("KMS does not sign")
        return SigningKey(
            kid=self.key.kid, algorithm=self.key.jwk["alg"], private_key=self.private
        )


def begun() -> World:
    """Return a world whose standby key has its certificate, and is nowhere yet."""
    world = World(ONE)
    world.tell(certificates=(CERTIFIED,))
    return world


def record(**members: Any) -> Upload:
    """Return the record of its key."""
    return Upload(client="default", kid=KID, registration=THERE, **members)
