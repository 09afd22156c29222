"""What must hold in every state, and what must hold once three more ticks have gone through."""

from collections.abc import Iterator
from typing import Final

from machine_identity.keyring import Keyring
from machine_identity.keyring import State as KeyState
from machine_identity.recovery import REVISIONS_LOST
from tests.model.state import KEY_SET, State, keys_of, number_of, revision_of

_ORDER: Final = list(KeyState)
"""A key only ever moves forward."""


def broken(before: State, after: State) -> str | None:
    """Return what a move broke, if it broke anything."""
    return next(_faults(before, after), None)


def _faults(before: State, after: State) -> Iterator[str]:
    if after.failure is not None:
        yield f"a run failed: {after.failure}"
    yield from _refusals(after)
    old, new = before.keyring(), after.keyring()
    if new is not None:
        yield from _keys_in_danger(new, after)
    if old is not None and new is not None and new is not old:
        yield from _lost_writes(old, new)
    was, shows = before.document(KEY_SET), after.document(KEY_SET)
    if was is not None and (shows is None or revision_of(shows) < revision_of(was)):
        yield "rule 6: the published set went back to an older one"


def _refusals(state: State) -> Iterator[str]:
    """The promise: whatever the signer made and may still be presented is accepted."""
    shown = state.shown()
    for number, _ in state.live:
        if number not in shown:
            yield f"a fetch now refuses what key {number} signed"
        if state.edge is not None and number not in state.edge.keys:
            yield f"a fetch through the CDN refuses what key {number} signed"
        if state.provider is not None and number not in state.provider.keys:
            yield f"the provider refuses what key {number} signed"


def _keys_in_danger(keyring: Keyring, state: State) -> Iterator[str]:
    shown = state.shown()
    for key in keyring.published:
        number = number_of(key.arn)
        if not state.keys[number].is_usable:
            yield f"key {number} is in use, and KMS does not sign with it"
        if key.state is not KeyState.STANDBY and number not in shown:
            yield f"rule 3: key {number} is {key.state}, and not in the published set"


def _lost_writes(old: Keyring, new: Keyring) -> Iterator[str]:
    if new.revision <= old.revision:
        yield "rule 6: a write of the keyring was lost"
    if new.revision >= old.revision + REVISIONS_LOST:
        yield "a keyring that nobody lost is written anew"
    if old.active is not None and new.active is None:
        yield "nobody signs any more"
    states = {key.kid: key.state for key in new.keys}
    for key in old.keys:
        number, state = number_of(key.arn), states.get(key.kid)
        if state is None and key.state is not KeyState.REMOVED:
            yield f"key {number} is forgotten while it is {key.state}"
        elif state is not None and _ORDER.index(state) < _ORDER.index(key.state):
            yield f"key {number} went from {key.state} to {state}"


def disorder(state: State) -> str | None:
    """Return what is left out of order, if anything is."""
    return next(_leftovers(state), None)


def _leftovers(state: State) -> Iterator[str]:
    keyring, key_set = state.keyring(), state.document(KEY_SET)
    if keyring is None or key_set is None:
        yield "nothing was made"
        return
    numbers = {number_of(key.arn): key for key in keyring.keys}
    for kind in (KeyState.ACTIVE, KeyState.STANDBY):
        if len(keyring.in_state(kind)) != 1:
            yield f"there are {len(keyring.in_state(kind))} keys {kind}"
    if keyring.intent is not None:
        yield "an intent is left over"
    if {number_of(key.arn) for key in keyring.published} != keys_of(key_set):
        yield "the published set is not what the keyring says"
    for number, key in enumerate(state.keys):
        if number not in numbers and key.is_usable:
            yield f"key {number} is an orphan"
        elif number in numbers and key.is_usable != numbers[number].is_published:
            yield f"key {number} is {numbers[number].state}, and KMS treats it otherwise"
