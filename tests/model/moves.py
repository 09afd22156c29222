"""What can happen next: a call of a run, a start, a read, a fetch, and time that passes.

A run that makes no move any more is one that died there. Time goes from one interesting instant
to the next. Copies are taken at the last moment before they would be other ones, since whatever is
accepted then is accepted with a copy taken earlier, which ends earlier. The signer signs in every
state with all it may: one assertion more only adds to what must hold.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from machine_identity.aws.signer import SIGNER_BOUND
from machine_identity.keyring import Keyring
from machine_identity.keyring import State as KeyState
from machine_identity.lifecycle import ADOPTION_INTERVAL, outlook
from machine_identity.policy import Policy
from tests.model.answering import Outside
from tests.model.running import Move, Runs
from tests.model.state import KEY_SET, KEYRING, Copy, State, number_of, signer_copy


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """The moves of everybody, under one policy."""

    outside: Outside
    runs: Runs
    has_slow_runs: bool
    """Whether a run may go on after time passed, up to its time-out; else it died there."""

    @property
    def policy(self) -> Policy:
        return self.outside.policy

    def of(self, state: State) -> Iterator[Move]:
        """Return everything that can happen in a state, and the state after it."""
        if self._is_quiet(state):
            return
        for name, after in self._all(state):
            yield name, self.signed(after)

    def _all(self, state: State) -> Iterator[Move]:
        yield from self.runs.moves(state)
        yield from self._signer_moves(state)
        yield from self._cache_moves(state)
        if (at := self._next_instant(state)) is not None:
            yield f"time passes until {at:%d %H:%M:%S}", self._passed(state, at)

    def signed(self, state: State) -> State:
        """Let the signer sign, if it can, with each key that it may; a revoked key is no loss."""
        p = self.policy
        end = state.now + p.assertion_lifetime + p.provider_leeway + p.clock_skew
        made = {number: end for number in _signing(state) if state.keys[number].is_usable}
        live = {**dict(state.live), **made}
        keys = () if (keyring := state.keyring()) is None else keyring.keys
        revoked = {number_of(key.arn) for key in keys if key.revoked_at is not None}
        after = tuple(sorted(each for each in live.items() if each[0] not in revoked))
        return state if after == state.live else replace(state, live=after)

    # Copies

    def _signer_moves(self, state: State) -> Iterator[Move]:
        """Read news at once or later, and what is known just before it changes."""
        keyring = state.keyring()
        read = None if keyring is None else signer_copy(keyring, state.now)
        if read is None or read == state.signer:
            return
        is_news = state.signer is None or read != replace(state.signer, read_at=read.read_at)
        if is_news or self.runs.is_about_to_write(state, KEYRING):
            yield "the signer reads the keyring", replace(state, signer=read)

    def _cache_moves(self, state: State) -> Iterator[Move]:
        is_ending = self.runs.is_about_to_write(state, KEY_SET)
        if (edge := state.edge) is not None and state.now >= edge.at + self.policy.max_age:
            is_ending = True
            yield "the CDN's copy expires", replace(state, edge=None)
        if not is_ending:
            return
        through, document = self.outside.fetched(state)
        if through != state:
            yield "the CDN fetches the key set", through
        if document is not None and state.provider != (copy := Copy(document, state.now)):
            yield "the provider fetches the key set", replace(through, provider=copy)

    # Time

    def _passed(self, state: State, at: datetime) -> State:
        """Let time pass; what nothing can depend on any more is dropped."""
        signer, provider, edge = state.signer, state.provider, state.edge
        if signer is not None and at > signer.read_at + SIGNER_BOUND:
            signer = None
        if provider is not None and at > self._ends_at(provider):
            provider = None
        if edge is not None and at > edge.at + self.policy.max_age:
            edge = None
        live = tuple(each for each in state.live if each[1] > at)
        runs = tuple(run for run in state.runs if self.has_slow_runs and run.deadline >= at)
        return replace(
            state, now=at, runs=runs, live=live, signer=signer, edge=edge, provider=provider
        )

    def _ends_at(self, copy: Copy) -> datetime:
        """Return until when a provider may use a copy; what was fetched may be old already.

        By the origin's staleness and the edge's, that is; the model's CDN keeps to max-age.
        """
        p = self.policy
        on_the_way = p.origin_staleness + p.edge_staleness
        return copy.at + on_the_way + max(p.max_age, p.key_set_cache)

    def _next_instant(self, state: State) -> datetime | None:
        instants = [run.deadline for run in state.runs if self.has_slow_runs]
        if (keyring := state.keyring()) is not None:
            instants += self._instants(keyring)
        if (signer := state.signer) is not None:
            instants.append(signer.read_at + SIGNER_BOUND)
            instants += [] if signer.previous_until is None else [signer.previous_until]
        if state.provider is not None:
            instants.append(self._ends_at(state.provider))
        if state.edge is not None:
            instants.append(state.edge.at + self.policy.max_age)
        return min((each for each in instants if each > state.now), default=None)

    def _instants(self, keyring: Keyring) -> list[datetime]:
        """Return when something falls due that the keyring tells of."""
        ahead = [outlook(key, keyring, self.policy).not_before for key in keyring.keys]
        instants = [each for each in ahead if each is not None]
        retired = keyring.in_state(KeyState.RETIRED)
        instants += [key.since + self.policy.tick_interval for key in retired]
        if (intent := keyring.intent) is not None:
            instants.append(intent.written_at + self.policy.run_bound + ADOPTION_INTERVAL)
        return instants

    def _is_quiet(self, state: State) -> bool:
        """Whether nothing can change any more, because all runs are over and all is known."""
        keyring, signer = state.keyring(), state.signer
        if state.runs or state.runs_left or keyring is None:
            return False
        copies = [each.document for each in (state.edge, state.provider) if each is not None]
        if any(each != state.document(KEY_SET) for each in copies):
            return False
        news = signer_copy(keyring, state.now)
        return signer is None or news is None or signer == replace(news, read_at=signer.read_at)


def _signing(state: State) -> list[int]:
    """Return the keys that the signer may sign with."""
    if (copy := state.signer) is None:
        return []
    is_over = copy.previous_until is None or state.now >= copy.previous_until
    return [copy.active, *([] if is_over or copy.previous is None else [copy.previous])]
