"""MSAL as a client with an assertion of its own making, told not to ask anybody else.

It is given our transport as its ``http_client``, and signs by our signer in a callback, as its
documents have it. Its package is that of ``bench/requirements.txt``.
"""

from importlib.metadata import version
from typing import Any

import msal  # type: ignore[import-not-found,import-untyped,unused-ignore]  # bench/.venv only

from bench.at_hand import REGISTERED, SERVER, Get, Peer, Server
from machine_identity import clock
from machine_identity.client_assertion import SigningKey


def msal_client() -> Peer:
    """Return it, with its version."""
    return Peer(name=f"MSAL {version('msal')}, `acquire_token_for_client`", make=_make)


def _make(key: SigningKey, server: Server) -> Get:
    draft = REGISTERED.draft("")

    def assertion() -> str:
        return key.sign(draft, now=clock.now(), jti=clock.unique())

    application: Any = msal.ConfidentialClientApplication(
        REGISTERED.client_id,
        authority=SERVER,
        client_credential={"client_assertion": assertion},
        http_client=server,
        instance_discovery=False,
    )
    scopes = [REGISTERED.scope]
    return lambda _: str(application.acquire_token_for_client(scopes)["access_token"])
