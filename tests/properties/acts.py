"""What may happen to one identity: a table of acts, each a function of the stage and of a number.

The number chooses among the variants of the act; it is drawn by Hypothesis, and 0 should be the
plainest of them. Here is what the schedule, an operator and a deployment do; what does harm is in
``harms``.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import product
from typing import Final

from machine_identity.aws import AwsError
from machine_identity.policy import CanaryTimes, Policy
from tests.outside import Meddler
from tests.properties.parties import Provider
from tests.properties.processes import DiedError
from tests.properties.promise import FOREVER, NOTHING, SECOND
from tests.properties.stage import Stage

HOUR: Final = timedelta(hours=1)
MINUTE: Final = timedelta(minutes=1)
TICK: Final = 15 * MINUTE
PROMPT: Final = CanaryTimes(apart=NOTHING)
"""Rule 1's sum must hold by itself, not by the minutes that a proof takes."""
LAST_CALL: Final = 60
"""More calls than a run makes, each with a moment before and one after."""

type Act = Callable[[Stage, int], None]


def pick[T](choices: Sequence[T], dial: int) -> T:
    return choices[dial % len(choices)]


INTERVALS: Final = (18 * HOUR, 24 * HOUR, 48 * HOUR)
CACHES: Final = (HOUR, 10 * MINUTE, 6 * HOUR)
MAX_AGES: Final = (5 * MINUTE, MINUTE, 2 * HOUR)
LIFETIMES: Final = (5 * MINUTE, MINUTE)
LEEWAYS: Final = (5 * MINUTE, NOTHING)
ALGORITHMS: Final = ("ES256", "ES256", "ES384")
SETTINGS: Final = tuple(product(INTERVALS, CACHES, MAX_AGES, LIFETIMES, LEEWAYS, ALGORITHMS))


def policy(number: int, edge_staleness: timedelta, kind: type[Policy] = Policy) -> Policy:
    """Return the safe settings of that number, with short waits."""
    interval, cache, max_age, lifetime, leeway, algorithm = pick(SETTINGS, number)
    return kind(
        algorithm=algorithm,
        rotation_interval=interval,
        key_set_cache=cache,
        max_age=max_age,
        assertion_lifetime=lifetime,
        provider_leeway=leeway,
        edge_staleness=edge_staleness,
        canary=PROMPT,
    )


# The schedule


def tick(stage: Stage, dial: int) -> None:
    """Run on a clock that may be a little wrong."""
    skew = stage.promise.skew
    stage.prove()
    stage.run(stage.rotation(pick([NOTHING, skew, -skew], dial)).tick)


def live(stage: Stage, dial: int) -> None:
    """Let the schedule run on as it should."""
    for _ in range(dial % 6 + 1):
        stage.advance(stage.now + TICK)
        stage.prove()
        stage.run(stage.rotation().tick)
        stage.sign()
        stage.tally.steps += 1


def tick_twice(stage: Stage, dial: int) -> None:
    """Deliver one event of the schedule again."""
    tick(stage, dial)
    tick(stage, dial // 3)


def tick_that_dies(stage: Stage, dial: int) -> None:
    """Kill the process at some call: before it acts, or after it acted."""
    stage.run(stage.rotation().tick, fault_at(dial % LAST_CALL, DiedError()))


def tick_that_fails(stage: Stage, dial: int) -> None:
    """Let one call fail, before it acts or with its answer lost."""
    error = AwsError("any:Call", pick(["SlowDown", "AccessDenied", "InternalError"], dial))
    stage.run(stage.rotation().tick, fault_at(dial % LAST_CALL, error))


def tick_that_cannot_see(stage: Stage, dial: int) -> None:
    """Run while the public URL gives no answer."""
    stage.public.is_blind = True
    tick(stage, dial)
    stage.public.is_blind = False


def tick_that_sees_a_copy(stage: Stage, dial: int) -> None:
    """Run while the public URL answers with a copy as old as may be."""
    lag = stage.promise.lag
    stage.public.lag = pick([lag, lag / 2, SECOND], dial)
    tick(stage, dial // 3)
    stage.public.lag = NOTHING


def tick_on_a_wrong_clock(stage: Stage, dial: int) -> None:
    """Run on a clock that lies by an hour, either way (rule 11)."""
    stage.run(stage.rotation(pick([HOUR, -HOUR], dial)).tick)


def begin(stage: Stage, dial: int) -> None:
    """Start a tick that stands still at some call while other things happen."""
    stage.go_on(stage.begin(stage.rotation().tick), dial % LAST_CALL)


def go_on(stage: Stage, dial: int) -> None:
    """Let one of the runs that stand still go on for a while, or to its end."""
    if stage.processes:
        run = pick(stage.processes, dial // 6)
        stage.go_on(run, pick([10 * LAST_CALL, 1, 2, 3, 5, 8], dial))


def prove(stage: Stage, dial: int) -> None:
    """Run the canary, which may see an old copy."""
    stage.public.lag = pick([NOTHING, stage.promise.lag], dial)
    stage.prove()
    stage.public.lag = NOTHING


def thaw(stage: Stage, dial: int) -> None:
    """Sign in a process that was frozen."""
    stage.thaw(can_read=bool(dial % 2))


def tell_of_a_fallback(stage: Stage, dial: int) -> None:
    """Tell that the previous key was needed."""
    del dial
    stage.run(stage.witness().tell_of_fallback)


# Operators and deployments


def rotate(stage: Stage, dial: int) -> None:
    """Ask for a rollover."""
    del dial
    stage.run(lambda: stage.rotation().rotate(unsafe=False))


def begin_rotate(stage: Stage, dial: int) -> None:
    """Ask for a rollover in a run that stands still at some call."""
    asked = stage.begin(lambda: stage.rotation().rotate(unsafe=False))
    stage.go_on(asked, dial % LAST_CALL)


def rotate_unsafely(stage: Stage, dial: int) -> None:
    """Ask for a rollover whatever it breaks: nothing is promised for the key that then signs."""
    del dial
    stage.is_unsafe = True
    stage.run(lambda: stage.rotation().rotate(unsafe=True))
    stage.is_unsafe = False


def change_settings(stage: Stage, dial: int) -> None:
    """Deploy other settings: the rotator and the signer have them at once."""
    stage.promise.apply(policy(dial, stage.policy.edge_staleness, type(stage.policy)))


def revoke(stage: Stage, dial: int) -> None:
    """Revoke a key; what the answer says of the key that signs then is taken at its word."""
    keyring = stage.keyring()
    if keyring is None or not keyring.keys:
        return
    key = pick(keyring.keys, dial)

    def ask() -> None:
        before = stage.active()
        done = stage.rotation().revoke(key.kid, "stolen")
        after = stage.active()
        if after is not None and after != before:
            stage.promise.holds_from(after, done.refused_until or stage.now)

    stage.promise.exempt(key.kid, FOREVER)
    stage.run(ask, fault_at(dial // 8 % LAST_CALL, DiedError()) if dial % 2 else None)


def confirm(stage: Stage, dial: int) -> None:
    """Vouch for the standby key."""
    del dial
    keyring = stage.keyring()
    if keyring is not None and keyring.standby is not None:
        kid = keyring.standby.kid
        stage.run(lambda: stage.rotation().confirm(kid))


def open_a_provider(stage: Stage, dial: int) -> None:
    """Let a provider begin with an empty cache."""
    provider = Provider(
        cache=pick([1, 0.5, 0.1, 0], dial) * stage.policy.key_set_cache,
        honours_max_age=bool(dial & 1),
        refetches=bool(dial & 2),
        lag=pick([NOTHING, stage.promise.lag], dial // 4),
    )
    stage.promise.open(provider)


def fault_at(number: int, error: BaseException) -> Meddler:
    """Return a fault that comes at the moment of that number, counted from the run's start."""
    left = number

    def fault(moment: str, call: str) -> None:
        nonlocal left
        del moment, call
        left -= 1
        if left == -1:
            raise error

    return fault


CALM: Final = (live, tick, rotate, tick_that_sees_a_copy, change_settings, tell_of_a_fallback)
"""What happens where nobody does any harm: under these, keys follow one another fast."""
USUAL: Final[dict[Act, int]] = {
    tick: 6,
    live: 6,
    tick_twice: 2,
    tick_that_dies: 2,
    tick_that_fails: 2,
    tick_that_cannot_see: 1,
    tick_that_sees_a_copy: 2,
    tick_on_a_wrong_clock: 1,
    begin: 3,
    go_on: 5,
    prove: 1,
    thaw: 1,
    tell_of_a_fallback: 1,
    rotate: 2,
    begin_rotate: 1,
    rotate_unsafely: 1,
    change_settings: 3,
    revoke: 1,
    confirm: 1,
    open_a_provider: 2,
}
"""How often each happens, as a weight; the plainest first, since Hypothesis begins with these."""
