"""Steps 3 to 5, our side: the key set and the discovery document, for whoever asks.

Both are public: no credentials, any origin. What they say comes from the bucket alone; nothing is
derived from the Host header or any other. While the keys have two URLs, the domain of the API that
was asked, which API Gateway tells, chooses between what was published for each.

RFC 7517 registers ``application/jwk-set+json``, but verifiers that insist on a type insist on
``application/json``, which discovery prescribes anyway.
"""

import os
import re
from datetime import timedelta
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

from machine_identity import clock
from machine_identity.aws.clients import client
from machine_identity.aws.s3 import Bucket
from machine_identity.origin import Origin, answer, problem
from machine_identity.publication import CONFIGURATION_PATH, JWKS_PATH
from machine_identity.settings.jwks import JwksSettings

HEADERS = {
    "content-type": "application/json",
    "x-content-type-options": "nosniff",
    "access-control-allow-origin": "*",
}

logger, app = Logger(service="jwks"), APIGatewayHttpResolver(debug=False)
settings = JwksSettings.from_environment(os.environ)
s3 = client("s3", attempts=2, patience=timedelta(seconds=2))  # the copy must leave in time
bucket = Bucket(s3, settings.published_bucket)
origin = Origin(store=bucket, identity=settings.identity, clock=clock)


@app.route(re.escape(JWKS_PATH), method=["GET", "HEAD"])
def jwks() -> Response[str]:
    """Answer with the key set (RFC 7517 section 5)."""
    return serve(JWKS_PATH)


@app.route(re.escape(CONFIGURATION_PATH), method=["GET", "HEAD"])
def configuration() -> Response[str]:
    """Answer with the discovery document (OpenID Connect Discovery 1.0 section 4)."""
    return serve(CONFIGURATION_PATH)


def serve(path: str) -> Response[str]:
    """Answer with the document that is published under ``path``, or say that there is none."""
    domain = app.current_event.raw_event["requestContext"].get("domainName")
    found = origin.find(path, str(domain))
    given = answer(found, if_none_match=app.current_event.headers.get("if-none-match"))
    say = logger.warning if found.fault else logger.info
    say("answered", extra={"path": path, "status": given.status, "fault": found.fault})
    body = "" if app.current_event.http_method == "HEAD" else given.text
    return Response(given.status, headers={**HEADERS, **given.headers}, body=body)


@logger.inject_lambda_context(
    log_event=False, correlation_id_path=correlation_paths.API_GATEWAY_HTTP
)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer a request of the HTTP API, payload 2.0."""
    match event:
        case {
            "rawPath": str(),
            "headers": dict(headers),
            "requestContext": {"stage": str(), "http": {"method": str()}},
        } if all(isinstance(each, str) for each in headers.values()):
            return app.resolve(event, context)
    logger.warning("not an event of an HTTP API")
    body = problem("invalid_event", "only events of an HTTP API, payload 2.0, are answered")
    return {"statusCode": 400, "headers": HEADERS, "body": body}
