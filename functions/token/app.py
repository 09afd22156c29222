"""Steps 1, 2, 7 and 8: an access token for a configured client, proven by an assertion from KMS.

Takes ``{"client": NAME, "scope": …}``, both optional; answers the token or an error, both in the
manner of RFC 6749 section 5. Its schedule's ``{"command": "canary"}`` proves the standby key (rule
2) and is answered without a token. What is expected to go wrong is an answer, never a traceback.
"""

import os
import time
from contextlib import suppress
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from machine_identity import clock, transport
from machine_identity.aws import AwsError
from machine_identity.aws.clients import client
from machine_identity.aws.s3 import Bucket
from machine_identity.aws.signer import KeyringSigner
from machine_identity.client_assertion import SigningError
from machine_identity.client_credentials import Failure
from machine_identity.errors import ConflictError, TokenRequestError
from machine_identity.providers import ByManagement, Client
from machine_identity.settings.token import Clients, Question, TokenSettings, is_canary
from machine_identity.testimony import NewerTestimonyError
from machine_identity.token_source import Fallback, TokenSource
from machine_identity.witness import Witness, World

if TYPE_CHECKING:
    from machine_identity.registrar import Registrar
    from machine_identity.witness.hand import Hand

UNSAID = (AwsError, ConflictError, NewerTestimonyError, SigningError)
"""Why there may be no testimony."""
HASTE = timedelta(seconds=1)
"""How long a caller's token may wait for a testimony to be read, and to be written."""

logger, metrics = Logger(service="token"), Metrics(namespace="MachineIdentity", service="token")


def count(name: str, value: int = 1) -> None:
    """Count in CloudWatch."""
    metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)


def witness(store: Bucket) -> Witness:
    """Return a witness that writes its testimony to that store."""
    world = World(
        keys=signer, store=store, prove=source.prove, transport=transport.send, clock=clock
    )
    return Witness(identity=settings.identity, world=world)


@cache
def hasty() -> Witness:
    """Return the witness of a fallback, made when there is one: a caller is waiting."""
    return witness(Bucket(client("s3", attempts=1, patience=HASTE), settings.state_bucket))


def tell_of_fallback() -> None:
    """Tell people, and rotation if it can be done in haste, that the previous key was needed."""
    logger.warning("the active key was refused, and the previous one was taken")
    count("FallbackUsed")
    with suppress(*UNSAID):  # the token is in hand, and matters more
        hasty().tell_of_fallback()


settings = TokenSettings.from_environment(os.environ)
logger.append_keys(identity=settings.identity)
bucket = Bucket(client("s3"), settings.state_bucket)
signer = KeyringSigner(bucket=bucket, kms=client("kms"), identity=settings.identity)
clients = Clients(settings, bucket)
source = TokenSource(
    signer=signer,
    transport=transport.send,
    clock=clock,
    sleep=time.sleep,
    fallback=Fallback(previous=signer.previous, told=tell_of_fallback),
)


canary = witness(bucket)


def registrations(of: ByManagement) -> "Registrar":
    """Return who manages the registrations of one store: only a client that has one needs it."""
    from machine_identity.registrar.stores import registrar_at  # noqa: PLC0415 - see above

    return registrar_at(of.store, "registration")


@cache
def hand() -> "Hand":
    """Return who brings keys to servers, made when that is due: no caller's start waits for it."""
    from machine_identity.sites import Sites  # noqa: PLC0415 - see above
    from machine_identity.witness.hand import Hand  # noqa: PLC0415 - see above

    sites = Sites(
        keys=signer,
        token=source.get,
        transport=transport.send,
        now=clock.now,
        registrations=registrations,
    )
    return Hand(
        identity=settings.identity, keys=signer, store=bucket, clock=clock, open_server=sites.open
    )


@logger.inject_lambda_context(log_event=False)
@metrics.log_metrics
def handler(event: object, context: object) -> dict[str, Any]:  # noqa: ARG001
    """Answer with ``access_token``, ``token_type``, ``expires_in`` and ``scope``, or ``error``."""
    metrics.add_dimension(name="identity", value=settings.identity)
    if settings.stack:
        metrics.add_dimension(name="stack", value=settings.stack)
    if is_canary(event, settings.identity):
        return prove()
    try:
        asked = Question.from_event(event)
        named = clients.named(asked.client, clock.now())
        token = source.get(named, asked.scope or named.scope)
    except TokenRequestError as error:
        logger.warning("no token", extra={"code": error.code, "description": error.description})
        count("TokensRefused")
        return {"error": error.code, "error_description": error.description}
    logger.info("token served", extra={"client": named.name})
    count("TokensServed")
    return token.answer(clock.now())


def bring(known: tuple[Client, ...]) -> list[dict[str, Any]]:
    """Have servers know our keys that do not come for them, and return what was done (rule 8)."""
    done = hand().work(known, is_certified=settings.provider.wants_certificates)
    failed = sum(each.is_failed for each in done)
    count("UploadsFailed", failed)
    count("UploadsDone", len(done) - failed)
    return [each.row() for each in done]


def prove() -> dict[str, Any]:
    """Bring keys where that is due, try the standby key, and answer what came of it."""
    try:
        known = clients.usable(clock.now())
        for fault in clients.faults:
            logger.warning("a client cannot be used", extra={"why": fault})
        count("ClientsFaulty", len(clients.faults))
        brought = bring(known)
        sight = canary.look(known).until_at_most(hand().again_at)
    except (*UNSAID, TokenRequestError) as error:
        logger.warning("no trial", extra={"why": str(error)})
        count("CanaryFailed")
        return {"error": Failure.TEMPORARILY_UNAVAILABLE.value, "error_description": str(error)}
    answer = {**sight.answer(), **({"uploads": brought} if brought else {})}
    logger.info("canary", extra=answer)
    count("CanaryRefused", sight.refused)
    count("CanaryProven", len(sight.tried) - sight.refused)
    count("PublishedStrangers", len(sight.testimony.strangers))
    count("CredentialsForeign", sum(len(each.strangers) for each in sight.testimony.listings))
    return answer
