"""What was seen in this very tick: the world's side of every decision.

An observation is what a stranger gets at the public URL. A fetch that failed is no observation:
it neither proves a key nor disproves it. Only what is seen counts, never what was written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The public URL served a key set, and a discovery document that leads to it."""

    at: datetime
    kids: frozenset[str]
    max_age: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """Nobody can say what the public URL serves: no answer, an error, or not a key set."""

    at: datetime
    why: str


type Observation = Seen | Unseen


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The published documents as they stand in the bucket, with the tags to replace them by."""

    jwks: bytes | None = field(default=None, repr=False)
    configuration: bytes | None = field(default=None, repr=False)
    cache_control: str | None = None
    jwks_tag: str | None = None
    configuration_tag: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that a decision may rest on beside the keyring, the policy and the time."""

    observation: Observation
    standing: Standing
    tagged: Mapping[str, str] = field(default_factory=dict)
    """Intent → ARN of the keys in KMS that carry the tag of an intent."""
    own_intent: str | None = None
    """The intent that this very run wrote: nobody can have created its key but this run."""
