"""What a month costs: ``python -m bench.cost [--json]``.

Keys are counted, not estimated: the forecast of the real decisions says when each is made and
when its deletion is scheduled, and KMS charges for it in between. The rest is requests times
price. Left out is what AWS gives away (its free tiers), and logs and traces, which depend on what
you keep; data transfer is cents.
"""

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from machine_identity.forecast import forecast
from machine_identity.keyring import Keyring
from machine_identity.providers import PROVIDERS
from machine_identity.settings.rotation import contract
from machine_identity.steps import CreateKey, ScheduleDeletion

# US dollars in us-east-1, from AWS's public price pages as they stood in 2026.
KEY_MONTH: Final = 1.00
SIGN_RSA_2048: Final = 0.03 / 10_000
SIGN_OTHER: Final = 0.15 / 10_000
HTTP_API_REQUEST: Final = 1.00 / 1_000_000
LAMBDA_REQUEST: Final = 0.20 / 1_000_000
LAMBDA_GB_SECOND_ARM: Final = 0.0000133334
S3_READ: Final = 0.0004 / 1_000

YEARS: Final = 5
MONTHS_A_YEAR: Final = 12
TICKS_A_MONTH: Final = 4 * 24 * 365 / MONTHS_A_YEAR
READS_A_TICK: Final = 3
"""The keyring and the two published documents."""
PROBES_A_TICK: Final = 2
GB: Final = 0.25
"""What every function is given."""
SECONDS_A_CALL: Final = 0.1
"""An assumption, not a measurement: nobody here has run it on Lambda."""


def keys(provider: str, rotation_interval: timedelta) -> float:
    """Return how many keys KMS charges for on average, over the first five years."""
    policy = replace(contract(PROVIDERS[provider]), rotation_interval=rotation_interval)
    start = datetime(2027, 1, 1, tzinfo=UTC)
    end = start + timedelta(days=365 * YEARS)
    empty = Keyring(identity="default", issuer="https://identity.example", genesis=True)
    charged = timedelta()
    for planned in forecast(empty, policy, start, end).steps:
        if isinstance(planned.step, CreateKey):
            charged += end - planned.at
        elif isinstance(planned.step, ScheduleDeletion):
            charged -= end - planned.at
    return charged / (end - start)


def call() -> float:
    """Return what one invocation of a function costs."""
    return LAMBDA_REQUEST + GB * SECONDS_A_CALL * LAMBDA_GB_SECOND_ARM


def ticks() -> float:
    """Return what a month of ticks costs: the runs, what they read, and what they look at."""
    look = HTTP_API_REQUEST + call() + S3_READ
    return TICKS_A_MONTH * (call() + READS_A_TICK * S3_READ + PROBES_A_TICK * look)


def rows() -> dict[str, float]:
    """Return the bill, line by line, in dollars."""
    million = 1_000_000
    return {
        "keys, a month, rfc10070, 30 days": keys("rfc10070", timedelta(days=30)) * KEY_MONTH,
        "keys, a month, entra-federated, 30 days": keys("entra-federated", timedelta(days=30))
        * KEY_MONTH,
        "keys, a month, entra-federated, 7 days": keys("entra-federated", timedelta(days=7))
        * KEY_MONTH,
        "ticks, a month": ticks(),
        "1 million access tokens, RS256": million * (SIGN_RSA_2048 + call()),
        "1 million access tokens, ES256": million * (SIGN_OTHER + call()),
        "1 million reads of the key set": million * (HTTP_API_REQUEST + call() + S3_READ),
        "1 million authorized calls": million * (HTTP_API_REQUEST + 2 * call()),
    }


def table() -> str:
    """Return the bill as Markdown."""
    lines = [f"| {name} | ${dollars:.2f} |" for name, dollars in rows().items()]
    return "\n".join(["| what | US dollars |", "|---|---|", *lines])


if __name__ == "__main__":
    print(json.dumps(rows()) if "--json" in sys.argv[1:] else table())
