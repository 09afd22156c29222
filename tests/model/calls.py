"""The outside of a rotation as one function: a call goes in, an answer comes out.

Whoever answers decides everything, the time as well: the clock of a run stands at its last answer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from machine_identity.aws.s3 import Document
from machine_identity.evidence import OwnedKey
from machine_identity.http1 import Response
from machine_identity.jwk import PublicJwk
from machine_identity.keyring import Keyring
from machine_identity.policy import Policy
from machine_identity.probe import Probe
from machine_identity.rotation import Rotation, World
from machine_identity.steps import Step
from tests.world import ISSUER


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a run asks of the outside."""

    verb: str
    arguments: tuple[Any, ...] = ()

    def __str__(self) -> str:
        about = [each.removeprefix("default/") for each in self.arguments if _is_name(each)]
        return " ".join([self.verb, *about])


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a call gave, or the error that it raised, and the time when it did."""

    at: datetime
    value: Any = None
    error: Exception | None = None


type Ask = Callable[[Call], Answer]
type Command = Callable[[Rotation], object]
type Report = Callable[[Step, Keyring], None]


def rotation(ask: Ask, policy: Policy, now: datetime, report: Report) -> Rotation:
    """Return the real rotation, begun at ``now``, whose whole outside is ``ask``."""
    asking = _Asking(ask, now)
    world = World(
        keys=_Keys(asking),
        state=_Store("state", asking),
        published=_Store("published", asking),
        probe=lambda issuer: Probe(issuer, asking.fetch, asking.clock)(),
        clock=asking.clock,
        unique=lambda: str(asking("unique")),
        report=report,
    )
    return Rotation(identity="default", issuer=ISSUER, policy=policy, world=world)


class _Asking:
    def __init__(self, ask: Ask, now: datetime) -> None:
        self._ask = ask
        self._now = now

    def __call__(self, verb: str, *arguments: Any) -> Any:
        answer = self._ask(Call(verb=verb, arguments=arguments))
        self._now = answer.at
        if answer.error is not None:
            raise answer.error
        return answer.value

    def clock(self) -> datetime:
        return self._now

    def fetch(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout: timedelta,
    ) -> Response:
        del method, headers, body, timeout
        response: Response = self("url.get", url.removeprefix(ISSUER))
        return response


class _Keys:
    def __init__(self, asking: _Asking) -> None:
        self._ask = asking

    def create(self, algorithm: str, intent: str) -> str:
        return str(self._ask("kms.create", algorithm, intent))

    def public_key(self, arn: str, algorithm: str) -> PublicJwk:
        jwk: PublicJwk = self._ask("kms.public_key", arn, algorithm)
        return jwk

    def is_usable(self, arn: str, algorithm: str) -> bool:
        return bool(self._ask("kms.is_usable", arn, algorithm))

    def arns(self) -> tuple[str, ...]:
        return tuple(each.arn for each in self.search())

    def kid(self, arn: str) -> str | None:
        jwk = next(each.jwk for each in self.search() if each.arn == arn)
        return None if jwk is None else jwk["kid"]

    def search(self) -> tuple[OwnedKey, ...]:
        keys: tuple[OwnedKey, ...] = self._ask("kms.search")
        return keys

    def find(self, intent: str) -> str | None:
        arn: str | None = self._ask("kms.find", intent)
        return arn

    def any(self) -> bool:
        return bool(self._ask("kms.any"))

    def disable(self, arn: str) -> None:
        self._ask("kms.disable", arn)

    def schedule_deletion(self, arn: str, window: timedelta) -> None:
        self._ask("kms.schedule_deletion", arn, window)


class _Store:
    def __init__(self, name: str, asking: _Asking) -> None:
        self._name = name
        self._ask = asking

    def read(self, key: str) -> Document | None:
        document: Document | None = self._ask(f"{self._name}.read", key)
        return document

    def has_history(self, key: str) -> bool:
        return bool(self._ask(f"{self._name}.has_history", key))

    def write(
        self, key: str, body: bytes, *, expected: str | None, cache_control: str | None = None
    ) -> str:
        return str(self._ask(f"{self._name}.write", key, body, expected, cache_control))


def _is_name(argument: object) -> bool:
    """Whether an argument tells a reader what a call is about: a path, an ARN or an intent."""
    return isinstance(argument, str) and argument.startswith(("default/", "/", "arn:", "intent-"))
