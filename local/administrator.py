"""What an administrator of Entra ID does for a deployment with certificates, once.

It is told in ``clients.json`` where certificates are brought to, and the active key's first one is
registered by hand, as ``machine-identity provider entra-certificate`` has it. After that the
deployment rolls its certificates by itself.
"""

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from local import key_credentials
from local.authorization_server import AuthorizationServer
from local.registrations import App
from machine_identity import clock, testimony

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_s3 import S3Client

    from local.functions import Function

_IDENTITY: Final = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Administrator:
    """Whoever looks after one app of the embedded server."""

    server: AuthorizationServer
    app: App
    s3: "S3Client"
    state_bucket: str
    functions: "Mapping[str, Function]"

    def configure(self) -> None:
        """Say in clients.json where the default client's certificates are brought to."""
        upload = {"object_id": self.app.object_id, "graph": self.server.graph_url}
        body = json.dumps({"default": {"upload": upload}}).encode()
        self.s3.put_object(Bucket=self.state_bucket, Key=f"{_IDENTITY}/clients.json", Body=body)

    def register(self) -> None:
        """Register the active key's certificate; the next tick has assertions name it."""
        (active,) = (each["kid"] for each in self._keys() if each["state"] == "active")
        der = self.certificates()[active]
        self.server.register_certificate(
            self.app, key_credentials.from_der(der, key_id=clock.unique())
        )
        self.functions["RotationFunction"].invoke({"command": "tick"})

    def certificates(self) -> dict[str, bytes]:
        """Return the certificate of each key, in DER, as the token function keeps them."""
        answer = self.s3.get_object(Bucket=self.state_bucket, Key=f"{_IDENTITY}/evidence.json")
        told = testimony.parse(answer["Body"].read())
        return {each.kid: base64.b64decode(each.der) for each in told.certificates}

    def _keys(self) -> list[dict[str, Any]]:
        answer: Any = self.functions["RotationFunction"].invoke({"command": "status"})
        keys: list[dict[str, Any]] = answer["keys"]
        return keys
