"""Rotations that are broken on purpose, each in one place: the harness must find every one."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

import pytest

from machine_identity import lifecycle, publication, sightings, transitions
from machine_identity.evidence import Evidence, Seen, Standing
from machine_identity.keyring import Keyring
from machine_identity.publication import Documents
from machine_identity.rotation import acting, documents, lookout
from machine_identity.rotation.documents import Held
from machine_identity.steps import Action, Withdraw
from tests import outside

type Patch = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """One of them, at which call something has to go wrong for it to show, and as what."""

    patch: Patch
    call: str
    found: str


def intends_in_memory(patch: pytest.MonkeyPatch) -> None:
    """CreateKey without an intent that is written first."""
    save = documents.KeyringDocument.save

    def saved(self: documents.KeyringDocument, held: Held, after: Keyring) -> Held:
        if after == replace(held.keyring, intent=after.intent, searched_at=after.searched_at):
            return replace(held, keyring=after)
        return save(self, held, after)

    patch.setattr(documents.KeyringDocument, "save", saved)


def overwrites(patch: pytest.MonkeyPatch) -> None:
    """A store of the keyring without compare-and-swap."""
    write = outside.Store.write

    def written(self: outside.Store, key: str, body: bytes, **options: Any) -> str:
        if key.endswith("keyring.json"):
            self.documents.pop(key, None)
            options["expected"] = None
        return write(self, key, body, **options)

    patch.setattr(outside.Store, "write", written)


def withdraws_before_the_record(patch: pytest.MonkeyPatch) -> None:
    """A set without the retired key, published before the keyring says so."""
    act = acting.Actor.act

    def acted(
        self: acting.Actor, keyring: Keyring, evidence: Evidence, step: Action
    ) -> tuple[Keyring, Evidence]:
        after, evidence = act(self, keyring, evidence, step)
        if isinstance(step, Withdraw):
            wanted = publication.documents(
                transitions.revised(keyring, after), timedelta(minutes=5)
            )
            published = vars(self)["_published"]
            evidence = replace(evidence, standing=published.write(wanted, evidence.standing))
        return after, evidence

    patch.setattr(acting.Actor, "act", acted)


def never_adopts(patch: pytest.MonkeyPatch) -> None:
    """A key made anew, not looked for, after a CreateKey that was not answered."""

    def tagged(self: lookout.Lookout, keyring: Keyring, evidence: Evidence) -> Evidence:
        del self, keyring
        return evidence

    patch.setattr(lookout.Lookout, "_tagged", tagged)


def remembers_what_it_published(patch: pytest.MonkeyPatch) -> None:
    """What stands in the bucket is judged by its revision, not compared."""

    def stands(wanted: Documents, standing: Standing) -> bool:
        return publication.standing_revision(standing) >= wanted.revision

    patch.setattr(publication, "stands", stands)


def believes_what_it_wrote(patch: pytest.MonkeyPatch) -> None:
    """A key in the keyring counts as seen by the public."""
    decide = lifecycle.next_step

    def decided(keyring: Keyring, *rest: Any) -> object:
        policy, evidence, now, failed = rest
        kids = frozenset(key.kid for key in keyring.published)
        seen = Seen(at=now, kids=kids, max_age=policy.max_age)
        believed = replace(evidence, observation=seen)
        keyring = sightings.noted(keyring, policy, believed)
        return decide(keyring, policy, believed, now, failed)

    patch.setattr(lifecycle, "next_step", decided)


BROKEN: Final = (
    Broken(patch=intends_in_memory, call="kms:CreateKey", found="nobody waits for"),
    Broken(patch=overwrites, call="state.write", found="rule"),
    Broken(patch=withdraws_before_the_record, call="published.write", found="rule 3"),
    Broken(patch=never_adopts, call="kms:CreateKey", found="nobody waits for"),
    Broken(patch=remembers_what_it_published, call="published.write", found="nobody signs"),
    Broken(patch=believes_what_it_wrote, call="published.write", found="nothing is published"),
)
