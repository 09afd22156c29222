"""Who signs in the place of a key that is revoked: the standby key, or one made for it.

Nothing is promoted here: that and the revocation are one write (rule 10).
"""

from dataclasses import replace

from machine_identity import publication
from machine_identity.evidence import Standing
from machine_identity.keyring import Keyring, State
from machine_identity.rotation.runner import Runner


def successor(runner: Runner, keyring: Keyring, standing: Standing | None) -> str | None:
    """Return the first standby key that is published, and that KMS would sign with.

    Where nobody can say what is published, what the public URL has shown counts.
    """
    public = None if standing is None else publication.standing_keys(standing)
    unusable = runner.lookout.unusable(keyring)
    for key in keyring.in_state(State.STANDBY):
        is_public = key.first_seen_at is not None if public is None else key.kid in public
        if is_public and key.kid not in unusable:
            return key.kid
    return None


def made(runner: Runner, keyring: Keyring) -> str:
    """Do what a tick does, the making and publishing of a standby key above all.

    The cap on live keys holds none back. Returns with what the run ended, and raises
    ConflictError, AwsError, KeyringError and SettingsError.
    """
    live = sum(key.deletion_at is None for key in keyring.keys)
    cap = max(runner.policy.most_live_keys, live) + 1
    spare = runner.under(replace(runner.policy, most_live_keys=cap))
    course = spare.go_on(spare.begin())
    waits = [wait.why for wait in (course.wait,) if wait is not None]
    return "; ".join([str(error) for error in course.errors] or waits)
