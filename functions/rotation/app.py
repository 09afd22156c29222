"""Step 0 and everything after it: keys come, are published, sign, retire and go, by themselves.

Takes the scheduler's ``{"command": "tick"}`` and the operator's commands (see ``commands``), and
answers JSON; what is expected to go wrong is an answer, never a traceback. Each step is one log
record, written when the step is done.
"""

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from machine_identity import clock, commands, transport
from machine_identity.aws.clients import client
from machine_identity.aws.kms_keys import KmsKeys, Owner
from machine_identity.aws.s3 import Bucket
from machine_identity.keyring import Keyring
from machine_identity.probe import Probe
from machine_identity.rotation import Rotation, World
from machine_identity.settings.rotation import RotationSettings
from machine_identity.steps import Step

logger = Logger(service="rotation")
metrics = Metrics(namespace="MachineIdentity", service="rotation")


def count(counts: Mapping[str, int]) -> None:
    """Count in CloudWatch."""
    for name, value in counts.items():
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)


def report(step: Step, keyring: Keyring) -> None:
    """Log a step, and count it."""
    logger.info("step", extra={**commands.record(step), "revision_after": keyring.revision})
    count(commands.counts(step, keyring, settings.policy, clock.now()))


settings = RotationSettings.from_environment(os.environ)
logger.append_keys(identity=settings.identity)
owner = Owner(stack=settings.stack, identity=settings.identity)
# A CreateKey that was sent twice unseen would make two keys; all else may be repeated, and soon.
kms, repeating = client("kms", attempts=1), client("kms", patience=timedelta(seconds=2))
tagging, s3 = client("resourcegroupstaggingapi"), client("s3")
world = World(
    keys=KmsKeys(kms, tagging, owner, repeating=repeating),
    state=Bucket(s3, settings.state_bucket),
    published=Bucket(s3, settings.published_bucket),
    probe=lambda issuer: Probe(issuer, transport.send, clock.now)(),
    clock=clock.now,
    unique=clock.unique,
    report=report,
)
rotation = Rotation(
    identity=settings.identity, issuer=settings.public_url, policy=settings.policy, world=world
)


@logger.inject_lambda_context(log_event=False)
@metrics.log_metrics
def handler(event: object, context: object) -> dict[str, Any]:  # noqa: ARG001
    """Answer with what was asked for, or with ``error`` and ``error_description``."""
    metrics.add_dimension(name="identity", value=settings.identity)
    metrics.add_dimension(name="stack", value=settings.stack)
    answer = commands.answer(rotation, event, settings.policy_under)
    if "error" in answer:
        logger.warning("command failed", extra=answer)
    count(commands.command_counts(answer))
    return answer
