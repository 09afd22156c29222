"""What does harm to one identity: hands in KMS, in the published set and in the private bucket.

Acts as in ``acts``. Where an act ends in a tick, it is because a second harm before the next tick
may cost more than is promised.
"""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Final

from machine_identity.aws.s3 import Document
from machine_identity.keyring import Keyring
from machine_identity.publication import CONFIGURATION_PATH, JWKS_PATH
from tests.outside import KmsKey
from tests.properties.acts import MINUTE, Act, pick, prove, tick
from tests.properties.promise import NOTHING
from tests.properties.stage import KEYRING, Stage


def disable_a_key(stage: Stage, dial: int) -> None:
    """Disable a key in KMS, as an operator might; or enable it again."""
    if keys := _keys(stage):
        key = pick(keys, dial // 3)
        key.enabled = dial % 3 == 2 and key.deletion_at is None


def delete_a_key(stage: Stage, dial: int) -> None:
    """Schedule the deletion of a key in KMS, as an operator might; or cancel it."""
    if keys := _keys(stage):
        key = pick(keys, dial // 3)
        at = stage.now + timedelta(days=7)
        key.enabled, key.deletion_at = False, None if dial % 3 == 2 else key.deletion_at or at


def untag_a_key(stage: Stage, dial: int) -> None:
    """Take our tags from a key in KMS, as an operator might; or give them back."""
    if keys := _keys(stage):
        pick(keys, dial // 3).is_ours = dial % 3 == 2


def slow_kms_down(stage: Stage, dial: int) -> None:
    """Let what KMS and its index tell be older than it was, or as new as it is."""
    stage.kms.index_lag = pick([MINUTE, 10 * MINUTE, NOTHING, NOTHING], dial)
    stage.kms.tags_count_after = pick([5 * MINUTE, NOTHING], dial // 4)


def delete_a_document(stage: Stage, dial: int) -> None:
    """Delete a published document by hand."""
    stage.edit(pick([JWKS_PATH, CONFIGURATION_PATH], dial), None)


def edit_a_document(stage: Stage, dial: int) -> None:
    """Write something else over a published document by hand."""
    path = pick([JWKS_PATH, CONFIGURATION_PATH], dial // 4)
    standing = stage.public.document(path)
    if standing is not None:
        stage.edit(path, _edited(standing, dial % 4))


def lose_the_keyring(stage: Stage, dial: int) -> None:
    """Delete or break the keyring, as an operator might, where nothing else is amiss."""
    standing, keyring = stage.state.documents.get(KEYRING), stage.keyring()
    if standing is None or keyring is None or not _is_sound(stage, keyring):
        return
    stage.state.documents.pop(KEYRING)
    if dial % 2:
        broken = replace(standing, body=standing.body[: dial % 97], tag=f"broken {dial}")
        stage.state.documents[KEYRING] = broken
    tick(stage, dial // 2)


def roll_the_keyring_back(stage: Stage, dial: int) -> None:
    """Restore an older version of the keyring, as an operator might, where nothing is amiss.

    The canary has read the newer one, as it does every quarter of an hour: by that, or by the
    published set, is a rollback known.
    """
    keyring = stage.keyring()
    if keyring is None or not _is_sound(stage, keyring):
        return
    prove(stage, 0)
    stage.state.documents[KEYRING] = pick(stage.past[-12:], dial)
    tick(stage, dial // 12)


def _is_sound(stage: Stage, keyring: Keyring) -> bool:
    """Whether what a lost keyring is rebuilt from is all there: the set, and its keys in KMS."""
    kids = frozenset(key.kid for key in keyring.published)
    keys = [stage.kms.keys[key.arn] for key in keyring.published]
    return (
        stage.public.key_set().kids == kids
        and keyring.active is not None
        and keyring.intent is None
        and all(key.enabled and key.deletion_at is None and key.is_ours for key in keys)
    )


def _edited(standing: Document, how: int) -> Document:
    members = json.loads(standing.body)
    if not isinstance(members, dict):
        return replace(standing, body=b"{}", tag="by hand, empty")
    keys = members.get("keys", [])
    bodies: list[object] = [
        {**members, "keys": [*keys, {"kid": "stranger", "kty": "EC"}]},
        {**members, "keys": keys[:-1]},
        {**members, "keys": keys[1:]},
        "not a document",
    ]
    body = json.dumps(bodies[how]).encode()
    return replace(standing, body=body, tag=f"by hand {how} {len(keys)}")


def _keys(stage: Stage) -> list[KmsKey]:
    return [key for arn, key in stage.kms.keys.items() if stage.kms.exists(arn)]


HARMS: Final[dict[Act, int]] = {
    disable_a_key: 1,
    delete_a_key: 1,
    untag_a_key: 1,
    slow_kms_down: 1,
    delete_a_document: 1,
    edit_a_document: 1,
    lose_the_keyring: 1,
    roll_the_keyring_back: 1,
}
"""How often each happens, as a weight."""
