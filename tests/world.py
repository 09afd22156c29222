"""A world in which whole lives of keys are lived through in a second: real rotation, real keys.

Only the outside is simulated (see ``outside``), and the clock. What must be true at every instant
is checked round every single call; the numbers are derived here once more, from the inputs of the
policy.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Literal

import jwt

from machine_identity import keyring as keyrings
from machine_identity import publication
from machine_identity.aws.s3 import Document
from machine_identity.keyring import Key, Keyring, State
from machine_identity.policy import Policy
from machine_identity.probe import Probe
from machine_identity.rotation import Rotation, Run
from machine_identity.rotation import World as Outside
from machine_identity.steps import Step, Wait
from tests.outside import KeyService, Meddler, PublicUrl, Store

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
ISSUER = "https://identity.example"
TICK = timedelta(minutes=15)
SECOND = timedelta(seconds=1)
NOTHING = timedelta()
POLICY = Policy(
    algorithm="ES256",
    rotation_interval=timedelta(hours=12),
    key_set_cache=timedelta(hours=1),
)
"""Compressed as far as the inequalities allow with an hour of signer's bound: see ``Times``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The waits of rules 1 and 3 as the design writes them, apart from the code under test."""

    policy: Policy

    @property
    def publication(self) -> timedelta:
        p = self.policy
        return (
            p.origin_staleness + p.edge_staleness + max(p.max_age, p.key_set_cache) + p.clock_skew
        )

    @property
    def retirement(self) -> timedelta:
        p = self.policy
        last_signature = p.run_bound + p.signer_bound + self.publication
        return last_signature + p.assertion_lifetime + p.max_age + p.provider_leeway + p.clock_skew


class World:
    """One identity's outside, the rotation in it, and what must be true at every instant."""

    def __init__(self, *, policy: Policy = POLICY, has_cdn: bool = False) -> None:
        self.now = START
        self.policy = policy
        self.times = Times(policy=policy)
        self.calls: list[str] = []
        self.meddler: Meddler | None = None
        self.steps: list[tuple[datetime, Step]] = []
        self.state = Store("state", self._called)
        self.published = Store("published", self._called)
        self.kms = KeyService(self.clock, self._called)
        self.url = PublicUrl(
            store=self.published, clock=self.clock, has_cdn=has_cdn, issuer=ISSUER
        )
        self._names = count()
        self._sets: list[tuple[datetime, frozenset[str]]] = []
        self._rings: list[tuple[datetime, Keyring]] = []
        self._retired_at: dict[str, datetime] = {}
        self._is_born = False
        self.is_unsafe = False
        """Whether an operator said so, and rule 1 is not to be asserted any more."""

    def clock(self) -> datetime:
        return self.now

    def rotation(self, policy: Policy | None = None, issuer: str = ISSUER) -> Rotation:
        """Return the rotation of a process just started."""
        outside = Outside(
            keys=self.kms,
            state=self.state,
            published=self.published,
            probe=Probe(issuer, self.url, self.clock),
            clock=self.clock,
            unique=lambda: f"intent-{next(self._names)}",
            report=lambda step, _: self.steps.append((self.now, step)),
        )
        return Rotation(
            identity="default", issuer=issuer, policy=policy or self.policy, world=outside
        )

    def tick(self, at: datetime | None = None) -> Run:
        """Run a tick at an instant, which must not lie behind."""
        assert at is None or at >= self.now
        self.now = at or self.now
        return self.rotation().tick()

    def live(self, duration: timedelta, every: timedelta = TICK) -> None:
        """Let the time pass, with ticks as the schedule has them."""
        until = self.now + duration
        while self.now + every <= until:
            self.now += every
            self.rotation().tick()
            self.check()
        self.now = until

    def keyring(self) -> Keyring:
        document = self.state.documents.get("default/keyring.json")
        assert document is not None
        return keyrings.parse(document.body)

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

    def check(self) -> None:
        """Assert what must be true at every instant."""
        if not self._rings or not self._sets:
            return
        keyring, published = self._rings[-1][1], self._sets[-1][1]
        active = keyring.in_state(State.ACTIVE)
        born = self._is_born = self._is_born or bool(active)
        assert len(active) == int(born), "exactly one key signs"
        for key in active if not self.is_unsafe else ():
            known = self._known_since(self.now - self.times.publication)
            assert all(key.kid in kids for kids in known), "rule 1: some cache lacks the key"
        for key in keyring.in_state(State.RETIRED):
            assert key.kid in published, "rule 3: what the key signed may be valid"
        for key in keyring.in_state(State.REMOVED):
            until = self._retired_at[key.kid] + self.times.retirement
            assert self.now >= until, "rule 3: removed too early"
        for key in keyring.published:
            assert self.kms.keys[key.arn].enabled, "a key in use is disabled"
            assert self.kms.keys[key.arn].deletion_at is None, "a key in use will be deleted"

    def _known_since(self, at: datetime) -> list[frozenset[str]]:
        """Return every set that some cache may hold which is filled at ``at`` or later."""
        before = [kids for then, kids in self._sets if then <= at]
        return [*before[-1:], *(kids for then, kids in self._sets if then > at)]

    def _called(self, moment: Literal["before", "after"], call: str) -> None:
        if moment == "before":
            self.calls.append(call)
        if moment == "after" and call.endswith(".write"):
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
            self._record_keyring(keyrings.parse(standing.body))

    def _record_keyring(self, ring: Keyring) -> None:
        if self._rings and self._rings[-1][1] == ring:
            return
        assert not self._rings or ring.revision > self._rings[-1][1].revision, "rule 6"
        self._rings.append((self.now, ring))
        for key in ring.in_state(State.RETIRED):
            self._retired_at.setdefault(key.kid, self.now)


class Provider:
    """Keeps our key set as long as it was promised to, and never fetches for an unknown key."""

    def __init__(self, world: World, first_fetch: timedelta) -> None:
        self._world = world
        self._fetched_at = START + first_fetch - world.policy.key_set_cache
        self._keys: dict[str, Any] = {}
        self._is_begun = False

    def accepts(self, token: str) -> bool:
        """Whether the token is verified by the copy of our set that is held at this instant."""
        world = self._world
        if not self._keys or world.now >= self._fetched_at + world.policy.key_set_cache:
            document = world.url.document(publication.JWKS_PATH)
            assert document is not None
            self._keys = {key["kid"]: key for key in json.loads(document.body)["keys"]}
            if self._is_begun:
                self._fetched_at = world.now
            self._is_begun = True
        key = self._keys.get(jwt.get_unverified_header(token)["kid"])
        if key is None:
            return False
        jwt.decode(token, jwt.PyJWK(key), algorithms=["ES256"], options={"verify_exp": False})
        return True
