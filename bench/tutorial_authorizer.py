"""A Lambda authorizer as tutorials write it: Powertools' Logger, requests, PyJWT's PyJWKClient.

What ``bench/cold_start.py`` compares the cold start with. It is meant to be a good one of its
kind: discovery and the keys' client at the cold start, one fetch of each document, algorithm,
issuer, audience and scope checked, nothing logged of the token.
"""

import os
from typing import Any

import jwt
import requests
from aws_lambda_powertools import Logger
from jwt import PyJWKClient

logger = Logger(service="authorizer")

issuer = os.environ["ISSUER"]
audience = os.environ["AUDIENCE"]
scope = os.environ["REQUIRED_SCOPES"]
metadata = requests.get(f"{issuer}/.well-known/openid-configuration", timeout=5).json()
keys = PyJWKClient(metadata["jwks_uri"])


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401, ARG001 - Lambda's own
    """Answer ``isAuthorized``, and who calls."""
    try:
        token = event["headers"]["authorization"].removeprefix("Bearer ")
        key = keys.get_signing_key_from_jwt(token)
        claims = jwt.decode(token, key, algorithms=["RS256"], audience=audience, issuer=issuer)
    except jwt.PyJWTError as error:
        logger.warning("refused", extra={"reason": type(error).__name__})
        return {"isAuthorized": False}
    if scope not in claims.get("scope", "").split():
        logger.warning("refused", extra={"reason": "scope"})
        return {"isAuthorized": False}
    return {"isAuthorized": True, "context": {"subject": claims["sub"]}}
