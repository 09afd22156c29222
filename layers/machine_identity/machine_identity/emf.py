"""Counts for CloudWatch as lines of a log (its Embedded Metric Format), without a library.

Whoever prints the line has counted: no call of AWS, no import but ``json``. In it are a service, a
reason from a closed enumeration and an instant, so that no claim and no token can be.
"""

import json
from datetime import datetime
from typing import Final

from machine_identity.errors import Refusal

NAMESPACE: Final = "MachineIdentity"


def line(
    name: str, *, service: str, now: datetime, stack: str = "", reason: Refusal | None = None
) -> str:
    """Return the line that counts one ``name``, of that service in all and for that reason.

    ``stack`` keeps two deployments in one account apart.
    """
    whose = {"service": service, **({"stack": stack} if stack else {})}
    dimensions = {**whose, **({"reason": reason.value} if reason else {})}
    sets = [[*whose], [*dimensions]] if reason else [[*whose]]
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": sets,
        "Metrics": [{"Name": name, "Unit": "Count"}],
    }
    written_at = int(now.timestamp() * 1000)  # milliseconds since 1970
    head = {"_aws": {"Timestamp": written_at, "CloudWatchMetrics": [directive]}}
    return json.dumps({**head, **dimensions, name: 1})
