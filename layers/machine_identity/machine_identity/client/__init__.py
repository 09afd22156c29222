"""The front door for programs outside Lambda: ``Identity`` is who signs, ``Tokens`` what it gets.

A server, a laptop or a container names its key and its registration, in a line each::

    identity = Identity.from_pem("private_key.pem")
    tokens = identity.tokens(authorization_server="https://…", client_id="…", scope="…")
    tokens.get().value
"""

from machine_identity.client.identity import Identity
from machine_identity.client.tokens import Tokens

__all__ = ["Identity", "Tokens"]
