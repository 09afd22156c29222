"""The embedded stack over HTTPS, with what the parties need of it.

Functions can be deployed again with other settings, as somebody does who has just registered a
client. Assertions for parties that are no authorization server are made by the class by which the
token function makes them, from the same keyring, with the same keys in KMS.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from ssl import SSLContext
from typing import Any, Final

from local.client import ApiAnswer, Client
from local.functions import Function
from local.stack import Stack
from machine_identity import clock, transport
from machine_identity.aws.s3 import Bucket
from machine_identity.aws.signer import KeyringSigner
from machine_identity.client_assertion import Draft
from machine_identity.client_credentials import token_request
from machine_identity.jwk import ALGORITHMS
from machine_identity.providers import Provider

CLIENT_ID: Final = "machine"
SCOPE: Final = "uppercase"
AUDIENCE: Final = "https://uppercase.example"
LIFETIME: Final = timedelta(minutes=4)
_TIMEOUT: Final = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The certificate authority of the run, which every party finds where it looks for one."""

    context: SSLContext
    server: Path


class Deployment:
    """One stack, whose keys are of one algorithm."""

    def __init__(self, stack: Stack, algorithm: str) -> None:
        self.stack = stack
        self.algorithm = algorithm
        self.client = Client(lambda_url=stack.addresses["lambda"], api_url=stack.api_url)
        settings = stack.functions["TokenFunction"].spec.environment
        self._state = settings["STATE_BUCKET"]
        self.identity = settings["IDENTITY"]
        self.signer = KeyringSigner(
            bucket=Bucket(stack.aws.client("s3"), self._state),
            kms=stack.aws.client("kms"),
            identity=self.identity,
        )

    @property
    def issuer(self) -> str:
        """The URL under which the keys are published."""
        return self.stack.api_url

    def assertion(self, **fields: Any) -> str:
        """Return an assertion for an issuer-trust reader, signed by KMS, unless told otherwise."""
        return self.signer.sign(
            replace(self.draft(), **fields), now=self.stack.clock.now(), jti=clock.unique()
        )

    def draft(self) -> Draft:
        """Return what an assertion says: our issuer, one subject, one audience."""
        return Draft(
            issuer=None,
            subject=CLIENT_ID,
            audience=AUDIENCE,
            typ="JWT",
            algorithms=ALGORITHMS,
            lifetime=LIFETIME,
        )

    @contextmanager
    def client_of(
        self, provider: Provider, issuer: str, client_id: str, scope: str
    ) -> Iterator[None]:
        """Have the token function serve that client while the block lasts."""
        with self.redeployed(
            "TokenFunction",
            PROVIDER=provider.name,
            AUTHORIZATION_SERVER=issuer,
            CLIENT_ID=client_id,
            SCOPE=scope,
        ):
            yield

    def configure(self, clients: Mapping[str, Mapping[str, Any]]) -> None:
        """Have ``clients.json`` say so, which counts after a minute."""
        bucket, name = Bucket(self.stack.aws.client("s3"), self._state), "clients.json"
        body = json.dumps(clients).encode()
        bucket.write(f"{self.identity}/{name}", body, expected=None)

    @contextmanager
    def trusting(self, issuer: str, algorithm: str) -> Iterator[None]:
        """Have the authorizer trust that issuer, and ask for the scope of the API."""
        with self.redeployed(
            "AuthorizerFunction",
            ISSUER=issuer,
            AUDIENCE=AUDIENCE,
            ALLOWED_ALGORITHMS=algorithm,
            REQUIRED_SCOPES=SCOPE,
            REQUIRED_ROLES="",
        ):
            yield

    @contextmanager
    def redeployed(
        self, name: str, aws: Mapping[str, str] | None = None, **environment: str
    ) -> Iterator[None]:
        """Deploy a function with other settings; afterwards the one before is there again.

        ``aws`` is what it is for AWS, if not whoever may do everything.
        """
        functions, before = self.stack.functions, self.stack.functions[name]
        spec = replace(before.spec, environment={**before.spec.environment, **environment})
        functions[name] = Function(
            spec,
            aws={**self.stack.aws.environment, **(aws or {})},
            clock=self.stack.clock,
            log=before.log,
        )
        try:
            yield
        finally:
            functions[name].close()
            functions[name] = before

    def asked(self, token_endpoint: str, assertion: str) -> tuple[int, Any]:
        """Return the status and the answer to a request for a token by that very assertion."""
        headers, body = token_request(client_id=CLIENT_ID, scope=SCOPE, assertion=assertion)
        answer = transport.send(
            "POST", token_endpoint, headers=headers, body=body, timeout=_TIMEOUT
        )
        return answer.status, json.loads(answer.body)

    def token(self) -> Any:
        """Return the token function's answer."""
        return self.client.invoke("TokenFunction", {})

    def upper(self, text: str, token: str | None) -> ApiAnswer:
        """Return the API's answer."""
        return self.client.call(json.dumps({"text": text}).encode(), token)
