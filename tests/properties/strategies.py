"""Any keyring, policy and evidence that there can be: instants within a month, in seconds."""

from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from machine_identity.canary import PUBLISHED_SET
from machine_identity.evidence import Observation, Seen, Unseen
from machine_identity.keyring import Incoming, Intent, Key, Keyring, Outgoing, State, Surplus
from machine_identity.policy import Policy
from machine_identity.testimony import Fallback, Testimony, Trial, Upload
from tests.keyrings import POLICY, SECOND, START, key, ring

NAMES = ("k1", "k2", "k3", "k4", "k5")
MONTH = 30 * 86_400

instants = st.integers(0, MONTH).map(lambda seconds: START + timedelta(seconds=seconds))
exact = st.timedeltas(timedelta(), timedelta(days=30))
urls = st.sampled_from(["https://new.example", "https://old.example"])
minutes = st.integers(1, 120).map(lambda count: timedelta(minutes=count))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Any policy that is safe, most of them with short waits."""
    settings: dict[str, Any] = {
        name: draw(minutes)
        for name in (
            "key_set_cache",
            "provider_leeway",
            "max_age",
            "origin_staleness",
            "edge_staleness",
            "assertion_lifetime",
            "clock_skew",
            "signer_bound",
            "run_bound",
            "tick_interval",
        )
    }
    waits = Policy(rotation_interval=timedelta(days=365), **settings)
    least = waits.publication_interval() + waits.retire_interval + 2 * waits.tick_interval
    most_live_keys = draw(st.integers(3, 8))
    interval = least + draw(minutes)
    return Policy(
        rotation_interval=interval,
        most_live_keys=most_live_keys,
        uploads=draw(st.booleans()),
        **settings,
    )


@st.composite
def keys(draw: st.DrawFn, name: str, state: State) -> Key:
    return key(
        name,
        state,
        since=draw(instants),
        first_seen_at=draw(st.none() | instants),
        publication_interval=draw(minutes),
        retire_interval=draw(minutes),
        verified_interval=draw(minutes),
        may_sign_until=draw(st.none() | instants),
        disabled_at=draw(st.none() | instants),
        deletion_at=draw(st.none() | instants),
        certificate_from=START - timedelta(days=40),
        certificate_until=draw(st.none() | instants),
        thumbprint=draw(st.sampled_from(["", "thumbprint"])),
    )


@st.composite
def keyrings(draw: st.DrawFn) -> Keyring:
    """Any keyring with one active key at most; of two, one lacks nothing and intends nothing."""
    is_whole = draw(st.booleans())
    others = [State.STANDBY, State.RETIRED, *([] if is_whole else [State.REMOVED])]
    first, *names = draw(st.permutations(NAMES))[: draw(st.integers(1, len(NAMES)))]
    states = {name: draw(st.sampled_from(others)) for name in names}
    states[first] = State.ACTIVE if is_whole else draw(st.sampled_from(State))
    if is_whole:
        states["spare"] = State.STANDBY
    incoming = st.builds(
        Incoming,
        url=urls,
        since=instants,
        first_seen_at=st.none() | instants,
        publication_interval=minutes,
        confirmed_at=st.none() | instants,
    )
    outgoing = st.builds(Outgoing, url=urls, since=instants, retire_interval=minutes)
    surplus = st.builds(
        Surplus, arn=st.sampled_from(NAMES), found_at=instants, retire_interval=minutes
    )
    intents = st.builds(Intent, id=st.sampled_from(["i1", "i2"]), written_at=instants)
    return ring(
        *(draw(keys(name, state)) for name, state in states.items()),
        published_revision=draw(st.integers(0, 7)),
        genesis=draw(st.booleans()),
        intent=None if is_whole else draw(st.none() | intents),
        rollover_requested_at=draw(st.none() | instants),
        confirmed_kid=draw(st.none() | st.sampled_from([*NAMES, "spare"])),
        max_age=draw(exact),
        longest_max_age=draw(minutes | exact),
        longest_max_age_at=draw(st.none() | instants),
        incoming=draw(st.none() | incoming),
        outgoing=tuple(draw(st.lists(outgoing, max_size=2))),
        surplus=tuple(draw(st.lists(surplus, max_size=2))),
        seen_digest=draw(st.sampled_from(["", "digest"])),
        seen_since=draw(st.none() | instants),
    )


@st.composite
def accounts(draw: st.DrawFn, keyring: Keyring) -> Testimony:
    """Any testimony, most of it about the standby key."""
    kid = keyring.standby.kid if keyring.standby else "none"
    names = ["default", "billing", *[PUBLISHED_SET] * draw(st.integers(0, 1))]
    told: dict[tuple[str, str], Trial] = {}
    for name in names[: draw(st.integers(0, 3))] + names[-1:]:
        about = draw(st.sampled_from([kid, kid, kid, "another"]))
        first = draw(st.none() | instants)
        apart = draw(st.sampled_from([timedelta(), timedelta(minutes=10), timedelta(days=20)]))
        told[name, about] = Trial(
            client=name,
            kid=about,
            first_success_at=first,
            last_success_at=None if first is None else first + apart,
            refused_at=draw(st.none() | instants) if first is None else None,
            active_refused=draw(st.booleans()),
        )
    fallback = st.builds(Fallback, kid=st.just(kid), previous=st.sampled_from(NAMES), at=instants)
    upload = st.builds(
        Upload,
        client=st.just("default"),
        kid=st.sampled_from(NAMES),
        asked_at=st.none() | instants,
        ended_at=st.none() | instants,
    )
    return Testimony(
        trials=tuple(told.values()),
        fallback=draw(st.none() | fallback),
        uploads=tuple(draw(st.lists(upload, max_size=3, unique_by=lambda each: each.kid))),
    )


@st.composite
def observations(draw: st.DrawFn, now: datetime, policy: Policy = POLICY) -> Observation:
    """Any observation, most of them made in the run that decides at ``now``."""
    ages = [timedelta(), policy.run_bound, policy.run_bound + SECOND, timedelta(days=1)]
    at = now - draw(st.sampled_from(ages))
    if draw(st.integers(0, 5)) == 0:
        return Unseen(at=at, why="no answer")
    absent = draw(st.just(frozenset[str]()) | st.frozensets(st.sampled_from(NAMES)))
    return Seen(at=at, kids=frozenset([*NAMES, "spare"]) - absent, max_age=draw(minutes | exact))
