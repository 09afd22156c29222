"""What was seen in this very tick: the world's side of every decision.

An observation is what a stranger gets at the public URL. A fetch that failed is no observation:
it neither proves a key nor disproves it. Only what is seen counts, never what was written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from machine_identity.jwk import PublicJwk
from machine_identity.testimony import Testimony


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The public URL served a key set, and a discovery document that leads to it."""

    at: datetime
    kids: frozenset[str]
    max_age: timedelta
    digest: str = ""
    """SHA-256 of the key set that was served, as JSON with its members sorted, in hexadecimal."""
    clock_error: timedelta | None = None
    """How far our clock was ahead of the server's, by its ``Date``; None if it said nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """Nobody can say what the public URL serves: no answer, an error, or not a key set."""

    at: datetime
    why: str
    clock_error: timedelta | None = None


type Observation = Seen | Unseen


def of_this_run(seen: Observation, now: datetime, run_bound: timedelta) -> Observation:
    """Return what this very run saw; what an earlier one saw is no evidence any more."""
    if now - seen.at > run_bound:
        return Unseen(at=seen.at, why="nobody looked in this run")
    return seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The published documents as they stand in the bucket, with the tags to replace them by."""

    jwks: bytes | None = field(default=None, repr=False)
    configuration: bytes | None = field(default=None, repr=False)
    cache_control: str | None = None
    jwks_tag: str | None = None
    configuration_tag: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedKey:
    """A key in KMS that carries our tags, whatever the keyring knows of it."""

    arn: str
    intent: str
    created_at: datetime
    jwk: PublicJwk | None = field(default=None, repr=False)
    """Its public half, which KMS shows of an enabled key only."""
    is_ending: bool = False
    """Whether its deletion is scheduled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """All keys of ours in KMS, at the instant when they were asked for."""

    at: datetime
    keys: tuple[OwnedKey, ...]
    public: frozenset[str]
    """The kids in the published set, as it stood or was seen before this run did anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that a decision may rest on beside the keyring, the policy and the time."""

    observation: Observation
    """Of the issuer in use."""
    standing: Standing
    incoming: Observation | None = None
    """Of the issuer that is to take its place, if there is one."""
    tagged: Mapping[str, str] = field(default_factory=dict)
    """Intent → ARN of the keys in KMS that carry the tag of an intent."""
    own_intent: str | None = None
    """The intent that this very run wrote: nobody can have created its key but this run."""
    unfit: frozenset[str] = frozenset()
    """The intents whose key cannot be taken in: KMS has disabled it, or it is of another kind."""
    unusable: frozenset[str] = frozenset()
    """The kids of the active and standby keys that KMS would not sign with."""
    search: Search | None = None
    """What KMS holds, if this run asked."""
    testimony: Testimony | None = None
    """What the signer saw; None if it left nothing that can be read."""
    clock_error: timedelta | None = None
    """How far this run's clock is ahead of those that answered it, at its worst (rule 11)."""
