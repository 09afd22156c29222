"""The parties: one authorization server and three verifiers, each running its own code unchanged.

What each does with a copy of our key set was read in its source, and is what the margins count
with: none of them fetches before ``holds_copy_for`` is over, not even for an unknown kid.
"""

import sys
from datetime import timedelta
from typing import Final

import jwt

from rehearsal import node
from rehearsal.record import Party

AUTHORIZATION_SERVER: Final = "oidc-provider"


def parties() -> tuple[Party, ...]:
    """Return all of them, with the versions that are installed."""
    return (
        Party(
            name=AUTHORIZATION_SERVER,
            version=node.version_of("oidc-provider"),
            holds_copy_for=timedelta(seconds=60),  # the longer of that and our max-age
        ),
        Party(
            name="PyJWKClient",
            version=jwt.__version__,
            holds_copy_for=timedelta(seconds=30),  # cooldown_duration
        ),
        Party(
            name="jose",
            version=node.version_of("jose"),
            holds_copy_for=timedelta(seconds=30),  # cooldownDuration
        ),
        Party(
            name="aws-jwt-verify",
            version=node.version_of("aws-jwt-verify"),
            holds_copy_for=timedelta(),  # it fetches on a miss; ten seconds off after a failure
        ),
    )


def verifiers(executable: str) -> dict[str, list[str]]:
    """Return the command of each verifier, by the party's name."""
    return {
        "PyJWKClient": [sys.executable, "-m", "rehearsal.pyjwk_client"],
        "jose": [executable, str(node.FOLDER / "jose.mjs")],
        "aws-jwt-verify": [executable, str(node.FOLDER / "aws_jwt_verify.mjs")],
    }


def authorization_server(executable: str, clients: str) -> list[str]:
    """Return the command of the authorization server; ``clients`` is what it takes, as JSON."""
    return [executable, str(node.FOLDER / "authorization_server.mjs"), clients]
