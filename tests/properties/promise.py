"""The promise: every assertion that a signer made is accepted, wherever and whenever presented.

Accepted by every provider within the bound in force, from its making to its end. It is judged
whenever an assertion is made, whenever the key set changes, and at the end of each life; in
between, copies only expire. For every change of the set somebody is taken to have fetched the old
one at the last moment, through caches as old as may be, and to keep it as long as may be.

Nothing is promised for a key that was revoked, promoted by force, or dropped from the set by hand
while it was in use; nor to a provider that comes back with an old set.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from machine_identity.policy import Policy
from tests.properties.parties import Copy, Provider, Shown
from tests.world import START

NOTHING = timedelta()
SECOND = timedelta(seconds=1)
FOREVER = START + timedelta(days=36_500)
LONG_COPY = timedelta(hours=8)
"""Longer than any copy of a set lives, under any settings of these lives."""
_MOST_PROVIDERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """What a signer made: by which key, and until when it may be presented."""

    kid: str
    expires_at: datetime


@dataclass(slots=True)
class Tally:
    """What was lived through, over all runs of one test."""

    lives: int = 0
    steps: int = 0
    assertions: int = 0
    judgements: int = 0
    providers: int = 0
    promotions: int = 0
    withdrawals: int = 0
    rebuilds: int = 0

    def __str__(self) -> str:
        return (
            f"{self.steps} steps in {self.lives} lives, {self.assertions} assertions, "
            f"{self.providers} providers, {self.judgements} verdicts; {self.promotions} "
            f"promotions, {self.withdrawals} withdrawals, {self.rebuilds} rebuilt keyrings"
        )


class Promise:
    """Who holds which set, which assertions are about, and whether they fit."""

    def __init__(
        self,
        policy: Policy,
        tally: Tally,
        *,
        clock: Callable[[], datetime],
        told: Callable[[str], str],
    ) -> None:
        self.policy = policy
        self.providers: list[Provider] = []
        self._tally = tally
        self._clock = clock
        self._told = told
        self._shown = [Shown(at=START, kids=None, max_age=NOTHING)]
        self._copies: list[Copy] = []
        self._live: dict[str, datetime] = {}
        self._exempt: dict[str, datetime] = {}
        self._dropped: set[str] = set()

    @property
    def lag(self) -> timedelta:
        """How old a copy of a document may be when it leaves the last cache on the way."""
        return self.policy.origin_staleness + self.policy.edge_staleness

    @property
    def skew(self) -> timedelta:
        """How far one clock may be from the true one, so that two are apart by the policy's."""
        return self.policy.clock_skew / 2

    def judge(self) -> None:
        """Assert the promise at this instant."""
        now, current = self._clock(), self._shown[-1].kids
        self._copies = [each for each in self._copies if each.until >= now]
        for kid in self._live:
            if kid in self._dropped or self._exempt.get(kid, now) > now:
                continue
            assert current is None or kid in current, self._told(f"{kid} is gone from the set")
            for copy in self._copies:
                what = f"a copy that lives until {copy.until} lacks {kid}"
                assert kid in copy.kids, self._told(what)
            for number, provider in enumerate(self.providers):
                assert self.is_accepted(kid, number), self._told(f"{provider} refuses {kid}")
            self._tally.judgements += 1 + len(self._copies) + len(self.providers)

    # Assertions

    def made(self, assertion: Assertion) -> None:
        """Add an assertion; of one key the last to end stands for all."""
        end = assertion.expires_at + self.policy.provider_leeway
        self._live[assertion.kid] = max(end, self._live.get(assertion.kid, end))
        self._tally.assertions += 1

    def ends(self) -> Iterable[datetime]:
        """Return when the lives of assertions end."""
        return self._live.values()

    def forget(self) -> None:
        """Drop the assertions that are over."""
        self._live = {kid: end for kid, end in self._live.items() if end > self._clock()}

    # What nothing is promised for

    def exempt(self, kid: str, until: datetime) -> None:
        """Promise nothing for a key, because of what an operator did to it."""
        self._exempt[kid] = max(until, self._exempt.get(kid, until))

    def holds_from(self, kid: str, at: datetime) -> None:
        """Promise again what somebody said that holds from then on."""
        self._exempt[kid] = at

    def forced(self, kid: str) -> None:
        """Promise nothing for a key that signs before it is known, until it is."""
        self.exempt(kid, self._clock() + LONG_COPY)
        if kid not in (self._shown[-1].kids or ()):
            self._dropped.add(kid)

    def edited(self, new: Shown, watched: set[str]) -> None:
        """Prepare for a set that is written by hand; rotation must find out about ``watched``."""
        before = self._shown[-1].kids or frozenset()
        after = new.kids or before
        self._dropped |= before - after - watched
        for kid in after - before:
            self.exempt(kid, self._clock() + LONG_COPY)

    # Providers

    def open(self, provider: Provider) -> None:
        """Let a provider begin, with nothing in its cache."""
        self.providers = [*self.providers[1 - _MOST_PROVIDERS :], provider]
        self._tally.providers += 1

    def apply(self, policy: Policy) -> None:
        """Put other settings in force; providers that keep a set for longer go."""
        self.policy, bound = policy, policy.key_set_cache
        self._copies = [each for each in self._copies if each.needs_bound <= bound]
        self.providers = [each for each in self.providers if each.cache <= bound]

    def is_accepted(self, kid: str, number: int) -> bool:
        """Whether the provider of that number accepts the key now; one that left is silent."""
        if number >= len(self.providers):
            return True
        return self.providers[number].accepts(kid, self._clock(), self._fetched)

    def _fetched(self, lag: timedelta) -> Shown:
        """Return the set as a stranger gets it through copies that old."""
        now = self._clock()
        then = [each for each in self._shown if each.at <= now - lag and each.kids]
        return then[-1] if then else self._shown[-1]

    # The set

    def published(self, new: Shown) -> None:
        """Take down another set; who holds the old one keeps it for a while."""
        old, now, bound = self._shown[-1], self._clock(), self.policy.key_set_cache
        if (old.kids, old.max_age) == (new.kids, new.max_age):
            return
        self._shown.append(new)
        for kid in self._dropped & (new.kids or frozenset()):
            self._dropped.remove(kid)
            self.exempt(kid, now + LONG_COPY)
        lives = ((bound, bound), (old.max_age, NOTHING))
        for life, needs in lives if old.kids is not None else ():
            until = now + self.lag + life - SECOND
            kids = old.kids or frozenset()
            self._copies.append(Copy(kids=kids, until=until, needs_bound=needs))
            self._tally.providers += 1
        self.judge()
