"""Steps 10 to 12: whether a bearer token may call this API.

A Lambda authorizer of an HTTP API (payload 2.0, simple response). A refused call learns nothing:
the reason, a stable code, is in the log beside the API's request id, and counted. When the keys of
the issuer are not to be had it raises, and API Gateway answers 500: nobody is let in or turned
away unjudged. Standard logging and no client of AWS: its cold start is every caller's.
"""

import logging
import os
from typing import Any

from machine_identity import clock, emf, transport
from machine_identity.errors import InvalidTokenError, KeySetUnavailableError, Refusal
from machine_identity.jwks_client import JwksClient
from machine_identity.settings.authorizer import (
    AuthorizerSettings,
    bearer_token,
    correlation_id,
    time_left,
)
from machine_identity.verifier import TrustedIssuer, Verifier

logger = logging.getLogger("authorizer")
settings = AuthorizerSettings.from_environment(os.environ)
for issuer in settings.issuers:
    transport.prepare(issuer.location.jwks_uri or issuer.location.issuer)
verifier = Verifier(
    [
        TrustedIssuer(
            expectations=each.expectations,
            keys=JwksClient(
                each.location,
                transport=transport.send,
                limits=settings.limits,
                timeout=settings.jwks_timeout,
                known=each.known,
            ),
        )
        for each in settings.issuers
    ],
    algorithms=settings.algorithms,
    denied_key_ids=settings.denied_key_ids,
    denied_token_ids=settings.denied_token_ids,
)


def count(name: str, reason: Refusal | None = None) -> None:
    """Count in CloudWatch, which reads it from what the function prints."""
    now, stack = clock.now(), settings.stack
    print(emf.line(name, service="authorizer", now=now, stack=stack, reason=reason))  # noqa: T201


def handler(event: object, context: object) -> dict[str, Any]:
    """Answer ``isAuthorized``, and who calls. Raises KeySetUnavailableError."""
    try:
        token, patience = bearer_token(event), time_left(context)
        claims = verifier.verify(token, clock.now(), patience=patience)
    except InvalidTokenError as refused:
        record = {"code": refused.code.value, "api_request_id": correlation_id(event)}
        logger.warning("token refused: %s", refused.code.value, extra=record)
        count("Refused", refused.code)
        return {"isAuthorized": False, "context": {}}
    except KeySetUnavailableError:
        record = {"code": "key_set_unavailable", "api_request_id": correlation_id(event)}
        logger.error("token not judged", extra=record)  # noqa: TRY400 - Lambda logs the traceback
        count("NotJudged")
        raise
    count("Authorized")
    return {"isAuthorized": True, "context": claims.context()}
