"""A life: a world with its rotation, token function and operator, as the timeline moves them.

Whatever fails is left to whoever comes next on the schedule; only the operator repeats what he
asked for until it is answered well, as the runbook says. After every change somebody signs and
every provider verifies (see ``audit``).
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final, Literal

import jwt

from machine_identity.aws import AwsError
from machine_identity.errors import ConflictError
from machine_identity.keyring import Key
from machine_identity.policy import Policy
from tests.faults.audit import Audit, Tally
from tests.faults.kinds import DiedError, Hand, Strike
from tests.faults.strain import OF_STRAIN, private_key, strain
from tests.faults.timeline import POLICY, Act, Moment
from tests.faults.token_function import FAILURES, AuthorizationServer, TokenFunction
from tests.world import START, TICK, Provider, World

MINUTE: Final = timedelta(minutes=1)
_PATIENCE: Final = 40
"""How often the operator asks, once a minute, before he calls for help."""
_WRITES: Final = frozenset({"state.write", "published.write"})
_ENDS: Final = frozenset({"kms:DisableKey", "kms:ScheduleKeyDeletion"})
CHANGES: Final = _WRITES | _ENDS | {"kms:CreateKey"}
"""The calls after which the world of the keys is another one."""


class Life:
    """One life, which stands between two moments."""

    def __init__(self, tally: Tally, policy: Policy = POLICY) -> None:
        self.tally = tally
        self.world = World(policy=policy)
        self.world.kms.make = private_key
        self.world.meddler = self._called
        first, later = (Provider(self.world, timedelta(minutes=each)) for each in (0, 25))
        self.providers = (first, later)
        self.server = AuthorizationServer(self.world, first)
        self.token = TokenFunction(self.world, self.server)
        self.audit = Audit(self.world, tally)
        self.hand: Hand | None = None
        self.moment = 0
        self.condemned: str | None = None
        """The kid of the key that the operator revokes."""
        self.is_strained = False
        """Whether calls may fail by themselves, because KMS is at its strictest."""

    def strain(self) -> None:
        """Have KMS be at its strictest from now on."""
        self.is_strained = True
        strain(self.world.kms)

    def struck(self, *strikes: Strike) -> Hand:
        """Let these things go wrong from now on."""
        self.hand = Hand(*strikes, answers=self._answers)
        self.hand.overtake = self._overtaken
        self.hand.advance = self._wait
        return self.hand

    def come_to(self, moment: Moment) -> None:
        """Let the time pass until then; a run that took long may have come further."""
        self.world.now = max(self.world.now, START + moment.at)

    def live(self, number: int, moment: Moment) -> None:
        """Live through the next moment of the timeline."""
        self.come_to(moment)
        self.world.calls.clear()
        self.moment = number
        self.audit.look()
        match moment.act:
            case Act.TICK:
                self._run(self._tick)
            case Act.CANARY:
                self._run(self.token.canary)
            case Act.TOKEN:
                self._run(self.token.token)
            case Act.ROTATE:
                self._ask(self._rotated)
            case Act.REVOKE:
                assert self.audit.has_active_key(), "nobody signs"
                self._condemn(self.world.active())
                self._ask(self._revoked)
        self._judge()
        if self.hand is not None:
            self.hand.ended(number)

    def linger(self) -> None:
        """Let the ticks go on for an hour in which nothing goes wrong any more."""
        self.hand = None
        for _ in range(4):
            self.world.now += TICK
            self._run(self._tick)
            self._judge()

    def kept_keys(self) -> list[str]:
        """Return the ARNs of all keys that KMS has not deleted, the oldest first."""
        return [arn for arn in self.world.kms.keys if self.world.kms.exists(arn)]

    @property
    def phase(self) -> tuple[int, datetime, bool]:
        """Which call is the next to be throttled, what time it is, and whether in an emergency."""
        kms = self.world.kms
        asked = vars(kms)["_asked"] % kms.throttles_each if kms.throttles_each else 0
        return asked, self.world.now, self.world.is_emergency()

    def parts(self) -> Iterable[object]:
        """Return all that has a memory."""
        world, token = self.world, self.token
        yield from (self, world, world.state, world.published, world.token_state)
        yield from (world.kms, world.url)
        yield from (*self.providers, self.server, self.audit)
        yield from (token, token.signer, token.source, token.witness)
        yield vars(token.source)["_asker"]

    def _run(self, run: Callable[[], object]) -> None:
        """Let something run to its end; only what was struck, or is strained, may fail."""
        try:
            run()
        except FAILURES as error:
            self._excused(error)
        except DiedError:
            self.token.revive()

    def _excused(self, error: Exception) -> None:
        """Assert that a run had a reason to fail."""
        is_strain = self.is_strained and getattr(error, "code", "") in OF_STRAIN
        is_excused = self._is_struck() or is_strain or not self.audit.has_active_key()
        assert is_excused, f"a run fails in which nothing went wrong: {error}"

    def _is_struck(self) -> bool:
        return self.hand is not None and self.moment in self.hand.struck

    def _condemn(self, key: Key) -> None:
        self.condemned = self.audit.condemned = key.kid
        self.world.meddled.add(key.arn)

    def _ask(self, command: Callable[[], bool]) -> None:
        """Ask until the answer has nothing left to be done, as the runbook says."""
        for _ in range(_PATIENCE):
            with suppress(AwsError, ConflictError, DiedError):
                if command():
                    return
            assert self._is_struck() or self.is_strained, "a command fails without a reason"
            self.world.now += MINUTE
        raise AssertionError("the operator asked in vain")

    def _tick(self) -> None:
        self.tally.ticks += 1
        self.world.rotation().tick()

    def _overtaken(self) -> None:
        with suppress(AwsError, ConflictError, DiedError):
            self._tick()

    def _rotated(self) -> bool:
        self.world.rotation().rotate(unsafe=False)
        return True

    def _revoked(self) -> bool:
        return not self.world.rotation().revoke(self.condemned or "", "it leaked").notes

    def _called(self, when: Literal["before", "after"], call: str) -> None:
        self.tally.calls += when == "before"
        if when == "after" and call in CHANGES:
            self.audit.look()
        if self.hand is not None:
            number = len(self.world.calls)
            self.hand.touch(when, call, moment=self.moment, number=number)

    def _judge(self) -> None:
        self.audit.look()
        self.world.check()
        kids = {jwt.get_unverified_header(each)["kid"] for each in self.server.refusals}
        assert kids <= {self.condemned}, "the authorization server refused an assertion"

    def _wait(self, duration: timedelta) -> None:
        self.world.now += duration

    def _answers(self, call: str, status: int | None) -> None:
        server = self.server if " as/" in call else self.world.url
        server.failure = status
