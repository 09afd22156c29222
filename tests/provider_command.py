"""The command ``provider`` at hand, and a deployment in which it finds nothing wrong."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from machine_identity import jwk
from machine_identity.cli import main
from machine_identity.publication import JWKS_PATH
from tests.key_set_server import KeySetServer

RSA = jwk.from_public_key(rsa.generate_private_key(65537, 2048).public_key(), "RS256")
EC = jwk.from_public_key(ec.generate_private_key(ec.SECP256R1()).public_key(), "ES256")
WHOLE: dict[str, Any] = {
    "response_types_supported": ["id_token"],
    "subject_types_supported": ["public"],
    "id_token_signing_alg_values_supported": ["RS256"],
    "token_endpoint_auth_methods_supported": ["private_key_jwt"],
}


def deployed() -> KeySetServer:
    """Return the two documents of a deployment, as they should be."""
    server = KeySetServer({"keys": [RSA, EC]})
    server.metadata = {**WHOLE, "jwks_uri": server.issuer + JWKS_PATH}
    server.headers = {"content-type": "application/json"}
    return server


class Command:
    """Called with the words behind ``provider``; returns the exit code and what was printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["provider", *words])
        printed = self._capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, printed.out, printed.err

    def faults(self, *words: str) -> dict[str, tuple[str, str]]:
        """Return what a check found wrong, and how each is mended; the exit code says if any."""
        code, out, _ = self(*words, "--check", "--json")
        checks = json.loads(out)["checks"]
        found = {each["check"]: (each["fault"], each["mend"]) for each in checks}
        wrong = {what: pair for what, pair in found.items() if pair[0]}
        assert code == (6 if wrong else 0)
        assert all(mend for _, mend in wrong.values())
        assert not any(mend for fault, mend in found.values() if not fault)
        return wrong
