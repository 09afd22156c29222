"""Lives through months with the embedded stack, and records what becomes of its keys.

Everything is asked as an outsider asks: the clock is moved by its own door, ``status`` and a token
are asked of the Lambda endpoint, the key set is fetched from the public URL. Which key signed is
what the authorization server says, which judged it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from local.client import Client
from local.life.looks import Look, Row, key_lives, passed, pause_after, start_of
from local.life.record import Life, Waits
from local.stack import Stack
from local.trace import Moment
from machine_identity import transport
from machine_identity.settings.rotation import RotationSettings

_TIMEOUT: Final = timedelta(seconds=60)


class _Judged(NamedTuple):
    """An assertion, as the authorization server judged it."""

    kid: str | None
    is_accepted: bool


@dataclass(slots=True)
class _Onlooker:
    """Looks at one stack from outside."""

    stack: Stack
    client: Client
    judged: list[_Judged] = field(default_factory=list)

    def watch(self, moment: Moment) -> None:
        if moment.what == "token_request":
            decision = moment.details["decision"]
            self.judged.append(_Judged(decision.kid, decision.fault is None))

    def look(self, at: datetime) -> Look:
        status = self.client.invoke("RotationFunction", {"command": "status"})
        published = self._answer("GET", self.stack.addresses["jwks_uri"])
        before = len(self.judged)
        answer = self.client.invoke("TokenFunction", {})
        accepted = [each.kid for each in self.judged[before:] if each.is_accepted]
        return Look(
            at=at,
            rows=tuple(_row(each) for each in status["keys"]),
            public=frozenset(key["kid"] for key in published["keys"]),
            signer=accepted[-1] if accepted and "access_token" in answer else None,
        )

    def now(self) -> datetime:
        return datetime.fromisoformat(self._answer("GET", self._clock)["now"])

    def move_to(self, at: datetime) -> datetime:
        body = json.dumps({"advance_seconds": (at - self.now()).total_seconds()}).encode()
        return datetime.fromisoformat(self._answer("POST", self._clock, body)["now"])

    @property
    def _clock(self) -> str:
        return self.stack.addresses["control"] + "/clock"

    def _answer(self, method: str, url: str, body: bytes | None = None) -> Any:  # noqa: ANN401 - any JSON
        return json.loads(
            transport.send(method, url, headers={}, body=body, timeout=_TIMEOUT).body
        )


def live(
    stack: Stack,
    lifetime: timedelta,
    *,
    tell: Callable[[timedelta], None] = lambda _: None,
) -> Life:
    """Let ``lifetime`` pass in a stack that has just started, and return the record.

    ``tell`` is told after each look how much time has passed since the one before. Raises
    TransportError, and KeyError if the stack answers with an error.
    """
    client = Client(lambda_url=stack.addresses["lambda"], api_url=stack.api_url)
    onlooker = _Onlooker(stack, client)
    stack.watchers.add(onlooker.watch)
    due = start = onlooker.now()
    looks = [onlooker.look(start)]
    while due < start + lifetime:
        # Counted from when a look was due and not from when it was over.
        pause = min(pause_after(looks[-1]), start + lifetime - due)
        due += pause
        looks.append(onlooker.look(onlooker.move_to(due)))
        tell(pause)
    return Life(
        provider=stack.provider.name,
        looks=tuple(passed(start_of(looks), look.at) for look in looks),
        waits=_waits(stack),
        accepted=sum(each.is_accepted for each in onlooker.judged),
        refused=sum(not each.is_accepted for each in onlooker.judged),
        keys=key_lives(looks),
    )


def _waits(stack: Stack) -> Waits:
    """Return the intervals by the policy that the rotation function makes of its environment."""
    variables = stack.functions["RotationFunction"].spec.environment
    policy = RotationSettings.from_environment(variables).policy
    return Waits(
        rotation_interval=policy.rotation_interval,
        publication_interval=policy.publication_interval(),
        retire_interval=policy.retire_interval,
    )


def _row(members: Any) -> Row:  # noqa: ANN401 - any JSON
    not_before = members["not_before"]
    return Row(
        kid=members["kid"],
        state=members["state"],
        since=datetime.fromisoformat(members["since"]),
        not_before=None if not_before is None else datetime.fromisoformat(not_before),
    )
