"""Cores that are broken on purpose, each in one thing: an exploration is worth what it finds."""

from collections.abc import Callable
from dataclasses import fields

import pytest

from machine_identity import canary, lifecycle
from machine_identity.channels import fetched
from machine_identity.keyring import Key, Keyring
from machine_identity.policy import Policy
from machine_identity.rotation.lookout import Found, Lookout
from tests.world import POLICY

type Break = Callable[[pytest.MonkeyPatch], None]


def policy[P: Policy](kind: type[P]) -> P:
    """Return the policy of the simulated world, broken."""
    return kind(**{each.name: getattr(POLICY, each.name) for each in fields(POLICY)})


def count_from_creation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the wait of rule 1 count from when a key was made, whether anybody saw it or not."""

    def ready_at(standby: Key | None, keyring: Keyring, policy: Policy) -> object:
        if standby is None or keyring.genesis:
            return None if standby is None else standby.first_seen_at
        return standby.created_at + policy.publication_interval()

    def proven_at(keyring: Keyring) -> object:
        standby = keyring.standby
        if keyring.active is None or standby is None:
            return None
        return standby.created_at + POLICY.publication_interval()

    monkeypatch.setattr(fetched, "ready_at", ready_at)
    monkeypatch.setattr(canary, "ready_at", proven_at)


def create_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a run make a key for an open intent without waiting for the one that may come."""
    monkeypatch.setattr(lifecycle, "ADOPTION_INTERVAL", -POLICY.run_bound)


def read_the_keyring_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a run read the keyring before it looks at the world, which may be newer then."""
    look = Lookout.look

    def keyring_first(self: Lookout) -> Found:
        held = self.keyring.read()
        monkeypatch.setattr(self.keyring, "read", lambda: held)
        return look(self)

    monkeypatch.setattr(Lookout, "look", keyring_first)
