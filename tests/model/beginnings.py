"""Where an exploration begins: what is worth interleaving lies months apart.

All but the first follow on runs that nobody disturbed, and on a signer and a provider that have
read, just before, what there was.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from machine_identity.rotation import Rotation
from tests.model.answering import Outside
from tests.model.state import KEY_SET, Copy, State, jwk_of, signer_copy

type Beginning = Callable[[Outside], State]

RUNS: Final = 2


def tick(rotation: Rotation) -> object:
    return rotation.tick()


def rotate(rotation: Rotation) -> object:
    return rotation.rotate(unsafe=False)


def revoke(rotation: Rotation) -> object:
    """Revoke the first key there was."""
    return rotation.revoke(jwk_of(0)["kid"], "lost")


def genesis(outside: Outside) -> State:
    """Nothing is there yet."""
    del outside
    return State(runs_left=RUNS)


def rollover(outside: Outside) -> State:
    """The rotation interval of the first key is over."""
    state = outside.run(State(), tick)
    return _known(replace(state, now=state.now + outside.policy.rotation_interval))


def unpublished(outside: Outside) -> State:
    """A rollover died before it published the next key, longer ago than rule 1 waits."""
    state = outside.run(rollover(outside), tick, dies_at="published.write")
    ago = outside.policy.publication_interval() + outside.policy.tick_interval
    return _known(replace(state, now=state.now + ago))


def request(outside: Outside) -> State:
    """A rollover is just over, so that an operator may ask for another one."""
    state = outside.run(rollover(outside), tick)
    return _known(replace(state, now=state.now + outside.policy.tick_interval))


def withdrawal(outside: Outside) -> State:
    """The first key has been retired for as long as it must be."""
    state = outside.run(rollover(outside), tick)
    return _known(replace(state, now=state.now + outside.policy.retire_interval))


def _known(state: State) -> State:
    keyring, key_set = state.keyring(), state.document(KEY_SET)
    assert keyring is not None
    assert key_set is not None
    provider = Copy(key_set, state.now)
    return replace(
        state, runs_left=RUNS, signer=signer_copy(keyring, state.now), provider=provider
    )
