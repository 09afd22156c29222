"""The token function's side of rules 2, 8 and 9: it tries, looks, and writes down what it saw.

One run looks for published keys that the keyring does not know, tries the standby key with
whoever is due (see ``canary``), and writes the testimony if anything changed. Pairs are tried one
after the other, the longest due first, and none is begun when ``ENOUGH`` has passed: the rest has
its turn in the next run.

Tokens are dropped where they arrive; of a refusal the code is kept, and nothing of what a server
said. It judges neither key, and no caller of the token function waits for a run.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Self

from machine_identity import canary
from machine_identity.errors import TokenRequestError
from machine_identity.keyring import Key, Keyring
from machine_identity.policy import CanaryTimes
from machine_identity.providers import Client
from machine_identity.testimony import Fallback, Testimony, Trial
from machine_identity.witness.document import TestimonyDocument
from machine_identity.witness.published_set import NOT_SEEN, PublishedSet
from machine_identity.witness.world import World

ENOUGH: Final = timedelta(seconds=10)
"""The latest into a run that a pair is begun: what two requests may take fits in behind it."""
TOLD_AGAIN: Final = timedelta(minutes=1)
"""How often a fallback is written down at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a run tried and saw."""

    tried: tuple[Trial, ...]
    testimony: Testimony
    until: datetime
    """When the next trial is due; a time that has passed means: whenever the keyring changes."""

    @property
    def refused(self) -> int:
        """How many of those that were tried refused the standby key."""
        return sum(each.refused_at is not None for each in self.tried)

    def until_at_most(self, at: datetime | None) -> Self:
        """Return it with a wait that does not last longer."""
        return self if at is None else replace(self, until=min(self.until, at))

    def answer(self) -> dict[str, Any]:
        """Return it as JSON, with the wait in the manner of rotation's."""
        return {
            "canary": "tried" if self.tried else "idle",
            "revision": self.testimony.revision,
            "trials": [_row(each) for each in self.tried],
            "strangers": list(self.testimony.strangers),
            "wait": {
                "until": self.until.isoformat(),
                "why": "nothing is due before",
            },
        }


class Witness:
    """What one identity's signer sees, and its testimony."""

    def __init__(self, *, identity: str, world: World, times: CanaryTimes = canary.TIMES) -> None:
        self._world = world
        self._times = times
        self._testimony = TestimonyDocument(world.store, identity=identity)
        self._told_at: datetime | None = None

    def look(self, clients: Iterable[Client]) -> Sight:
        """Look for strangers, try what is due, and write both down.

        Raises SigningError without a keyring, and AwsError, ConflictError or NewerTestimonyError
        when the testimony cannot be read or written.
        """
        by_name = {each.name: each for each in clients}
        began_at = self._world.clock.now()
        keyring, strangers = self._strangers(self._world.keys.keyring(began_at))
        registered = {each.name: each.registration for each in by_name.values()}
        trials = canary.trials(keyring, self._testimony.read(), registered)
        tried = self._tried(keyring, trials, by_name, began_at)

        def change(standing: Testimony) -> Testimony:
            told = _merged(canary.trials(keyring, standing, registered), trials, tried)
            seen = standing.strangers if strangers is None else strangers
            standing = _with_keyring(standing, keyring)
            return replace(standing, trials=told, strangers=seen)

        testimony = self._testimony.change(change)
        at = [canary.next_trial_at(keyring, each, self._times) for each in testimony.trials]
        until = min((each for each in at if each is not None), default=began_at)
        return Sight(tried=tried, testimony=testimony, until=until)

    def tell_of_fallback(self) -> None:
        """Write down that the previous key was taken in the active one's place (rule 9).

        At most once a minute. Raises as ``look`` does.
        """
        now = self._world.clock.now()
        if self._told_at is not None and timedelta() <= now - self._told_at < TOLD_AGAIN:
            return
        self._told_at = now
        keyring = self._world.keys.keyring(now)
        active, previous = keyring.active, keyring.previous(now)
        if active is not None and previous is not None:
            fallback = Fallback(kid=active.kid, previous=previous.kid, at=now)
            self._testimony.change(lambda standing: replace(standing, fallback=fallback))

    def _strangers(self, keyring: Keyring) -> tuple[Keyring, tuple[str, ...] | None]:
        """Return the keyring as it stands now, and the published kids that it does not know.

        It is read after the set, since a key is in the keyring before it is published.
        """
        kids = self._published(keyring).kids()
        keyring = self._world.keys.reread(self._world.clock.now())
        if kids is None:
            return keyring, None
        return keyring, tuple(sorted(kids - {key.kid for key in keyring.keys}))

    def _tried(
        self,
        keyring: Keyring,
        trials: tuple[Trial, ...],
        clients: dict[str, Client],
        began_at: datetime,
    ) -> tuple[Trial, ...]:
        active, standby, clock = keyring.active, keyring.standby, self._world.clock
        tried: list[Trial] = []
        for trial in self._due(keyring, trials, began_at):
            if active is None or standby is None or clock.now() - began_at > ENOUGH:
                break
            client = clients.get(trial.client)
            of_active = self._refusal(keyring, active, client)
            of_standby = self._refusal(keyring, standby, client)
            if of_standby != NOT_SEEN:  # nobody refused: nobody was there
                tried.append(_after(trial, of_active, of_standby, clock.now()))
        return tuple(tried)

    def _due(self, keyring: Keyring, trials: tuple[Trial, ...], now: datetime) -> list[Trial]:
        at = [(canary.next_trial_at(keyring, each, self._times), each) for each in trials]
        due = [(when, each) for when, each in at if when is not None and when <= now]
        return [each for _, each in sorted(due, key=lambda pair: pair[0])]

    def _refusal(self, keyring: Keyring, key: Key, client: Client | None) -> str | None:
        """Return why the key is not taken, as a code; None if it is."""
        signer = self._world.keys.with_key(key, keyring)
        if client is None:
            return self._published(keyring).refusal(signer)
        try:
            self._world.prove(client, signer)
        except TokenRequestError as error:
            return str(error.code)
        return None

    def _published(self, keyring: Keyring) -> PublishedSet:
        return PublishedSet(keyring.issuer, self._world.transport, self._world.clock)


def _with_keyring(standing: Testimony, keyring: Keyring) -> Testimony:
    if keyring.revision <= standing.keyring_revision:
        return standing
    return replace(standing, keyring_revision=keyring.revision, issuer=keyring.issuer)


def _merged(
    standing: Iterable[Trial], before: Iterable[Trial], tried: Iterable[Trial]
) -> tuple[Trial, ...]:
    """Return what stands now with what was tried here in its place.

    A refusal that another process wrote meanwhile stays: an older success must not hide it.
    """
    known, new = {each.client: each for each in before}, {each.client: each for each in tried}
    return tuple(
        each
        if each.refused_at is not None and each != known.get(each.client)
        else new.get(each.client, each)
        for each in standing
    )


def _after(trial: Trial, of_active: str | None, of_standby: str | None, now: datetime) -> Trial:
    if of_standby is None:
        return canary.accepted(trial, now)
    return canary.refused(trial, now, code=of_standby, active_refused=of_active is not None)


def _row(trial: Trial) -> dict[str, Any]:
    if trial.refused_at is None:
        return {"client": trial.client, "kid": trial.kid, "outcome": "accepted"}
    outcome = "both_refused" if trial.active_refused else "refused"
    return {"client": trial.client, "kid": trial.kid, "outcome": outcome, "code": trial.code}
