"""The state in which every life must end: one key signs, one stands by, no other is left."""

from machine_identity import publication
from machine_identity.evidence import Standing
from tests.faults.lives import Life


def assert_steady(life: Life) -> None:
    """Assert it of the keyring, of KMS, of what is published and of what the signer tells."""
    world, keyring = life.world, life.world.keyring()
    assert sorted(key.state for key in keyring.keys) == ["active", "standby"], "a key is about"
    assert (keyring.intent, keyring.rollover_requested_at) == (None, None), "something is open"
    kept = {arn: world.kms.keys[arn] for arn in life.kept_keys()}
    assert set(kept) == {key.arn for key in keyring.keys}, "a key is left over, or missing"
    assert all(each.enabled and each.deletion_at is None for each in kept.values())
    wanted = publication.documents(keyring, world.policy.max_age)
    assert publication.stands(wanted, _standing(life)), "not what the keyring says is published"
    assert (world.testimony().strangers, world.testimony().fallback) == ((), None)
    assert life.condemned not in {key.kid for key in keyring.keys}, "the revoked key is about"


def _standing(life: Life) -> Standing:
    jwks, configuration = (
        life.world.published.documents[publication.object_key("default", path)]
        for path in (publication.JWKS_PATH, publication.CONFIGURATION_PATH)
    )
    assert jwks.cache_control == configuration.cache_control
    return Standing(
        jwks=jwks.body, configuration=configuration.body, cache_control=jwks.cache_control
    )
