"""Steps 1, 2, 7 and 8: an access token for a configured client, proven by an assertion from KMS.

Takes ``{"client": NAME, "scope": …}``, both optional; answers the token or an error, both in the
manner of RFC 6749 section 5. What is expected to go wrong is an answer, never a traceback.
"""

import os
import time

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from machine_identity import clock, transport
from machine_identity.aws.clients import client
from machine_identity.aws.s3 import Bucket
from machine_identity.aws.signer import KeyringSigner
from machine_identity.errors import TokenRequestError
from machine_identity.settings.token import Clients, Question, TokenSettings
from machine_identity.token_source import TokenSource

logger, metrics = Logger(service="token"), Metrics(namespace="MachineIdentity", service="token")
settings = TokenSettings.from_environment(os.environ)
bucket = Bucket(client("s3"), settings.state_bucket)
signer = KeyringSigner(bucket=bucket, kms=client("kms"), identity=settings.identity)
clients = Clients(settings, bucket)
source = TokenSource(signer=signer, transport=transport.send, clock=clock, sleep=time.sleep)


@logger.inject_lambda_context(log_event=False)
@metrics.log_metrics
def handler(event: object, context: object) -> dict[str, str | int]:  # noqa: ARG001
    """Answer with ``access_token``, ``token_type``, ``expires_in`` and ``scope``, or ``error``."""
    try:
        asked = Question.from_event(event)
        named = clients.named(asked.client, clock.now())
        token = source.get(named, asked.scope or named.scope)
    except TokenRequestError as error:
        logger.warning("no token", extra={"code": error.code, "description": error.description})
        metrics.add_metric(name="TokensRefused", unit=MetricUnit.Count, value=1)
        return {"error": error.code, "error_description": error.description}
    logger.info("token served", extra={"client": named.name})
    metrics.add_metric(name="TokensServed", unit=MetricUnit.Count, value=1)
    return token.answer(clock.now())
