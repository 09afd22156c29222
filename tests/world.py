"""A world in which whole lives of keys are lived through in a second: real rotation, real keys.

Only the outside is simulated (see ``outside``), and the clock. What must be true at every instant
is checked round every single call; the numbers are derived here once more, from the inputs of the
policy.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, cast

import jwt

from machine_identity import keyring as keyrings
from machine_identity import publication
from machine_identity import testimony as testimonies
from machine_identity.aws import AwsError
from machine_identity.aws.s3 import Document
from machine_identity.aws.signer import KeyringSigner
from machine_identity.client_assertion import SigningError
from machine_identity.errors import ConflictError, InvalidClientError
from machine_identity.http1 import Response
from machine_identity.keyring import Key, Keyring, State
from machine_identity.policy import CanaryTimes, Policy
from machine_identity.probe import Probe
from machine_identity.providers import PROVIDERS, Client
from machine_identity.rotation import Rotation, Run
from machine_identity.rotation import World as Outside
from machine_identity.steps import Step, Wait
from machine_identity.testimony import Testimony
from machine_identity.witness import Sight, Signer, Witness
from machine_identity.witness import World as SignersOutside
from tests.outside import KeyService, Meddler, PublicUrl, SigningService, Store

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

    from machine_identity.aws.s3 import Bucket

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
ISSUER = "https://identity.example"
TICK = timedelta(minutes=15)
PAUSE = timedelta(minutes=10)
"""Between two runs of the canary at least."""
SECOND = timedelta(seconds=1)
NOTHING = timedelta()
POLICY = Policy(
    algorithm="ES256",
    rotation_interval=timedelta(hours=12),
    key_set_cache=timedelta(hours=1),
    canary=CanaryTimes(apart=NOTHING),
)
"""Compressed as far as the inequalities allow with an hour of signer's bound: see ``Times``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The waits of rules 1 and 3 as the design writes them, apart from the code under test."""

    policy: Policy

    @property
    def publication(self) -> timedelta:
        p = self.policy
        theirs = NOTHING if p.uploads else p.key_set_cache
        return p.origin_staleness + p.edge_staleness + max(p.max_age, theirs) + p.clock_skew

    @property
    def retirement(self) -> timedelta:
        p = self.policy
        fallback = p.origin_staleness + p.edge_staleness + max(p.max_age, p.key_set_cache)
        last_signature = p.run_bound + p.signer_bound + fallback + p.clock_skew
        return last_signature + p.assertion_lifetime + p.max_age + p.provider_leeway + p.clock_skew


class World:
    """One identity's outside, the rotation in it, and what must be true at every instant."""

    def __init__(self, *, policy: Policy = POLICY, has_cdn: bool = False) -> None:
        self.now = START
        self.policy = policy
        self.issuer = ISSUER
        """The one that the settings ask for."""
        self.times = Times(policy=policy)
        self.calls: list[str] = []
        self.meddler: Meddler | None = None
        self.steps: list[tuple[datetime, Step]] = []
        self.clock_error = NOTHING
        """How far the clock of a run is ahead of everybody else's."""
        self.state = Store("state", self._called, self.clock)
        self.published = Store("published", self._called, self.clock)
        self.kms = KeyService(self.clock, self._called)
        self.token_state = Store("token", self._called)
        """The same documents, as the token function reaches them."""
        self.token_state.documents = self.state.documents
        self.providers: list[Provider] = []
        """Where the token function has a client; each is asked in a trial."""
        self.url = PublicUrl(store=self.published, clock=self.clock, has_cdn=has_cdn)
        self._names = 0
        self._sets: list[tuple[datetime, frozenset[str]]] = []
        self._rings: list[tuple[datetime, Keyring]] = []
        self._retired_at: dict[str, datetime] = {}
        self._signed: set[str] = set()
        """The kids of all keys that were ever active."""
        self.meddled: set[str] = set()
        """The ARNs of the keys that an operator disabled, ended or untagged in KMS by hand."""
        self._hastened: str | None = None
        """The kid of the last key that took the place of a revoked one."""
        self._is_born = False
        self.is_unsafe = False
        """Whether an operator said so, and rule 1 is not to be asserted any more."""

    def clock(self) -> datetime:
        return self.now

    def rotation(self, policy: Policy | None = None) -> Rotation:
        """Return the rotation of a process just started."""
        outside = Outside(
            keys=self.kms,
            state=self.state,
            published=self.published,
            probe=lambda issuer: Probe(issuer, self.fetch, self._run_s_clock)(),
            clock=self._run_s_clock,
            unique=self._name,
            report=lambda step, _: self.steps.append((self.now, step)),
        )
        return Rotation(
            identity="default", issuer=self.issuer, policy=policy or self.policy, world=outside
        )

    def tick(self, at: datetime | None = None) -> Run:
        """Run a tick at an instant, which must not lie behind; the canary runs up to it."""
        assert at is None or at >= self.now
        if at is not None:
            self._prove_up_to(at)
        return self.rotation().tick()

    def live(self, duration: timedelta, every: timedelta = TICK) -> None:
        """Let the time pass, with ticks and trials as their schedules have them."""
        until = self.now + duration
        while self.now + every <= until:
            self.now += every
            self._prove_if_possible()
            self.rotation().tick()
            self.check()
        self.now = until

    def witness(self, prove: Callable[[Client, Signer], None] | None = None) -> Witness:
        """Return the witness of a token function just started."""
        outside = SignersOutside(
            keys=self.signer(),
            store=self.token_state,
            prove=prove or self._proven_to_provider,
            transport=self.fetch,
            clock=_TokenClock(self),
        )
        return Witness(identity="default", world=outside, times=self.policy.canary)

    def signer(self) -> KeyringSigner:
        """Return the signer of a token function just started."""
        kms = SigningService(self.kms, self._called)
        return KeyringSigner(
            bucket=cast("Bucket", self.token_state), kms=cast("KMSClient", kms), identity="default"
        )

    def fetch(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout: timedelta,
    ) -> Response:
        """Fetch from the public URL, as a transport does."""
        with self.call(f"{method} {url.rpartition('/')[2]}"):
            return self.url(method, url, headers=headers, body=body, timeout=timeout)

    @contextmanager
    def call(self, name: str) -> Iterator[None]:
        """Count as a call to the outside what is done meanwhile."""
        self._called("before", name)
        yield
        self._called("after", name)

    def prove(self) -> Sight:
        """Run the canary, with a client at each provider."""
        return self.witness().look([client(str(each)) for each in range(len(self.providers))])

    def testimony(self) -> Testimony:
        document = self.state.documents.get("default/evidence.json")
        return Testimony() if document is None else testimonies.parse(document.body)

    def _proven_to_provider(self, at: Client, signer: Signer) -> None:
        provider = self.providers[int(at.name)]
        draft = at.draft("https://as.example/token")
        if not provider.accepts(signer.sign(draft, now=self.now, jti="jti")):
            raise InvalidClientError("invalid_client", "the key is not known")

    def _prove_up_to(self, at: datetime) -> None:
        """Run the canary whenever it wants to, on the last day: a proof lives no longer."""
        wanted = max(self.now, at - self.policy.canary.lifetime)
        while wanted <= at:
            self.now = wanted
            until = self._prove_if_possible()
            wanted = until if until is not None and until > wanted else wanted + PAUSE
        self.now = at

    def _prove_if_possible(self) -> datetime | None:
        try:
            return self.prove().until
        except (AwsError, ConflictError, SigningError):
            return None

    def _name(self) -> str:
        self._names += 1
        return f"intent-{self._names - 1}"

    def _run_s_clock(self) -> datetime:
        return self.now + self.clock_error

    def keyring(self) -> Keyring:
        document = self.state.documents.get("default/keyring.json")
        assert document is not None
        return _parsed(document.body)

    def replace_keyring(self, keyring: Keyring) -> None:
        """Write a keyring by hand, as an operator might."""
        for key in keyring.in_state(State.REMOVED):
            self._retired_at.setdefault(key.kid, START - self.times.retirement)
        body = keyrings.serialise(keyring)
        tag = hashlib.sha256(body).hexdigest()
        self.state.documents["default/keyring.json"] = Document(body=body, tag=tag)

    def active(self) -> Key:
        active = self.keyring().active
        assert active is not None
        return active

    def standby(self) -> Key:
        standby = self.keyring().standby
        assert standby is not None
        return standby

    def taken(self) -> list[str]:
        """Return the names of all steps so far, the waits apart."""
        return [type(step).__name__ for _, step in self.steps if not isinstance(step, Wait)]

    def orphans(self) -> set[str]:
        """Return the keys that the key service keeps and the keyring has forgotten."""
        known = {key.arn for key in self.keyring().keys}
        return {arn for arn, key in self.kms.keys.items() if key.deletion_at is None} - known

    def signed(self, lifetime: timedelta, copy_age: timedelta | None = None) -> str:
        """Sign by a copy of the keyring; by default the oldest with which the signer may."""
        age = self.policy.signer_bound if copy_age is None else copy_age
        oldest = [ring for at, ring in self._rings if at <= self.now - age]
        first = next(ring for _, ring in self._rings if ring.active)
        active = (oldest[-1] if oldest else first).active or first.active
        assert active is not None
        claims = {"exp": int((self.now + lifetime).timestamp())}
        private = self.kms.keys[active.arn].private
        return jwt.encode(claims, private, algorithm="ES256", headers={"kid": active.kid})

    def is_emergency(self) -> bool:
        """Whether a key signs that had to before its wait was over, for want of any other.

        Rule 10: a cache may not know it yet, and the answer to the operator says until when.
        """
        active = self._rings[-1][1].active if self._rings else None
        if active is None or active.kid != self._hastened:
            return False
        ready_at = (active.first_seen_at or self.now) + self.times.publication
        return active.since < ready_at and self.now < ready_at

    def check(self) -> None:
        """Assert what must be true at every instant."""
        if not self._rings or not self._sets:
            return
        keyring, published = self._rings[-1][1], self._sets[-1][1]
        active = keyring.in_state(State.ACTIVE)
        born = self._is_born = self._is_born or bool(active)
        revoked = {key.kid for key in keyring.keys if key.revoked_at is not None}
        is_bereft = not active and (bool(revoked) or self.is_unsafe)
        assert is_bereft or len(active) == int(born), "exactly one key signs"
        assert all(key.kid not in revoked for key in keyring.published), "rule 10"
        for key in active if not (self.is_unsafe or self.is_emergency()) else ():
            known = self._known_since(self.now - self.times.publication)
            assert all(key.kid in kids for kids in known), "rule 1: some cache lacks the key"
        for key in keyring.in_state(State.RETIRED):
            assert key.kid in published, "rule 3: what the key signed may be valid"
        for key in keyring.in_state(State.REMOVED):
            if key.kid in self._signed - revoked:
                until = self._retired_at[key.kid] + self.times.retirement
                assert self.now >= until, "rule 3: removed too early"
        for key in (key for key in keyring.published if key.arn not in self.meddled):
            assert self.kms.keys[key.arn].enabled, "a key in use is disabled"
            assert self.kms.keys[key.arn].deletion_at is None, "a key in use will be deleted"

    def past(self) -> Iterator[tuple[datetime, frozenset[str]]]:
        """Yield what of the past is still judged by, each with its instant and its keys."""
        signing = [
            (at, frozenset(k.kid for k in ring.in_state(State.ACTIVE))) for at, ring in self._rings
        ]
        yield from _since(self._sets, self.now - self.times.publication)
        yield from _since(signing, self.now - self.policy.signer_bound)
        yield from ((at, frozenset({kid})) for kid, at in self._retired_at.items())

    def _known_since(self, at: datetime) -> list[frozenset[str]]:
        """Return every set that some cache may hold which is filled at ``at`` or later."""
        return [kids for _, kids in _since(self._sets, at)]

    def _called(self, moment: Literal["before", "after"], call: str) -> None:
        if moment == "before":
            self.calls.append(call)
        if moment == "after" and call in {"state.write", "published.write"}:
            self._record()
        self.check()
        if self.meddler is not None:
            self.meddler(moment, call)

    def _record(self) -> None:
        document = self.published.documents.get("default/.well-known/jwks.json")
        if document is not None:
            kids = frozenset(key["kid"] for key in json.loads(document.body)["keys"])
            if not self._sets or self._sets[-1][1] != kids:
                self._sets.append((self.now, kids))
        standing = self.state.documents.get("default/keyring.json")
        if standing is not None:
            self._record_keyring(_parsed(standing.body))

    def _record_keyring(self, ring: Keyring) -> None:
        if self._rings and self._rings[-1][1] == ring:
            return
        assert not self._rings or ring.revision > self._rings[-1][1].revision, "rule 6"
        if self._rings and _is_hastened(self._rings[-1][1], ring):
            self._hastened = None if ring.active is None else ring.active.kid
        self._rings.append((self.now, ring))
        self._signed |= {key.kid for key in ring.in_state(State.ACTIVE)}
        for key in ring.in_state(State.RETIRED):
            self._retired_at.setdefault(key.kid, self.now)


def _is_hastened(before: Keyring, after: Keyring) -> bool:
    """Whether a revocation took the key that signed, or left none before."""
    revoked = {key.kid for key in after.keys if key.revoked_at is not None}
    was = before.active
    return bool(revoked) if was is None else was.kid in revoked


def _since(
    past: list[tuple[datetime, frozenset[str]]], at: datetime
) -> list[tuple[datetime, frozenset[str]]]:
    """Return what stood at ``at`` and what came after it."""
    before = [each for each in past if each[0] <= at]
    return [*before[-1:], *(each for each in past if each[0] > at)]


class _TokenClock:
    """The world's time, and names, as the token function takes them."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> datetime:
        return self._world.now

    def unique(self) -> str:
        return "jti"


@lru_cache
def _parsed(body: bytes) -> Keyring:
    return keyrings.parse(body)


def client(name: str) -> Client:
    """Return a client as a token function may have it."""
    return Client(
        name=name,
        provider=PROVIDERS["rfc10070"],
        authorization_server="https://as.example",
        client_id="client-1",
        scope="read",
    )


class Provider:
    """Keeps our key set as long as it was promised to, and never fetches for an unknown key.

    The token function has a client there.
    """

    def __init__(self, world: World, first_fetch: timedelta) -> None:
        self._world = world
        world.providers.append(self)
        self._fetched_at = START + first_fetch - world.policy.key_set_cache
        self._keys: dict[str, jwt.PyJWK] = {}
        self._is_begun = False

    def accepts(self, token: str) -> bool:
        """Whether the token is verified by the copy of our set that is held at this instant."""
        world = self._world
        if not self._keys or world.now >= self._fetched_at + world.policy.key_set_cache:
            document = world.url.document(publication.JWKS_PATH)
            assert document is not None, "nothing is published"
            keys = json.loads(document.body)["keys"]
            self._keys = {key["kid"]: jwt.PyJWK(key) for key in keys}
            if self._is_begun:
                self._fetched_at = world.now
            self._is_begun = True
        key = self._keys.get(jwt.get_unverified_header(token)["kid"])
        if key is None:
            return False
        options: Any = dict.fromkeys(("verify_exp", "verify_iat", "verify_aud"), False)
        jwt.decode(token, key, algorithms=["ES256"], options=options)
        return True
