"""The timing contract of the rehearsal: every rule as deployed, and each duration short.

Nothing here is shorter than what the parties really do: an authorization server that keeps our
key set for a minute is waited for a minute. What shrinks is what we choose ourselves: max-age,
the lifetime of an assertion, how old the signer's copy of the keyring may be, the tick.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from machine_identity.policy import CanaryTimes, Policy
from machine_identity.providers import PROVIDERS

PROVIDER: Final = replace(
    PROVIDERS["oidc-provider"],
    lifetime_limit=timedelta(seconds=10),
    leeway=timedelta(seconds=15),  # its default clockTolerance
)
SIGNER_REFRESH: Final = timedelta(seconds=1)
POLICY: Final = Policy(
    rotation_interval=timedelta(minutes=10),  # the rehearsal asks for its rollovers itself
    key_set_cache=PROVIDER.key_set_cache,
    provider_leeway=PROVIDER.leeway,
    assertion_lifetime=PROVIDER.assertion_lifetime,
    max_age=timedelta(seconds=5),
    origin_staleness=timedelta(),  # rehearsal/site.py serves no stale copy
    clock_skew=timedelta(seconds=3),  # one machine has one clock; this is for its load
    signer_bound=timedelta(seconds=5),
    run_bound=timedelta(seconds=10),
    tick_interval=timedelta(seconds=2),
    canary=CanaryTimes(
        apart=timedelta(seconds=2),
        first_pause=timedelta(seconds=4),
        longest_pause=timedelta(seconds=8),
    ),
)
