"""How the outside answers a call: stores with compare-and-swap, KMS, and the public URL.

The signer's testimony is that of a world in which every proof comes as soon as it may; what it
says otherwise only ever delays a promotion.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from machine_identity import canary, testimony
from machine_identity.aws import AwsError
from machine_identity.aws.s3 import Document
from machine_identity.errors import ConflictError
from machine_identity.evidence import OwnedKey
from machine_identity.http1 import Response
from machine_identity.policy import Policy
from machine_identity.publication import object_key
from tests.model.calls import Answer, Call, Command, rotation
from tests.model.state import (
    EVIDENCE,
    KEY_SET,
    Copy,
    KmsKey,
    State,
    document,
    jwk_of,
    number_of,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Answers calls; what a call changes is the state that comes back with the answer."""

    policy: Policy
    has_compare_and_swap: bool = True
    has_cdn: bool = False
    """Whether everybody gets the key set through a cache that keeps it for its max-age."""
    is_probe_past_it: bool = False
    """Whether runs look past that cache: into the bucket, as no stranger can."""

    def answered(self, state: State, call: Call) -> tuple[State, Answer]:
        """Return the state after a call, and the answer to it."""
        value: object
        try:
            match call.verb.split("."):
                case ["unique"]:
                    value = f"intent-{state.intents}"
                    state = replace(state, intents=state.intents + 1)
                case [_, "write"]:
                    state, value = self._written(state, *call.arguments)
                case [_, "read"]:
                    value = _read(state, call.arguments[0])
                case [_, "has_history"]:
                    value = state.document(call.arguments[0]) is not None
                case ["url", _]:
                    state, value = self._got(state, call.arguments[0])
                case _:
                    state, value = _kms(state, call)
        except (AwsError, ConflictError) as error:
            return state, Answer(at=state.now, error=error)
        return state, Answer(at=state.now, value=value)

    def fetched(self, state: State) -> tuple[State, Document | None]:
        """Return the key set as a stranger gets it; a CDN without a fresh copy takes one."""
        standing = state.document(KEY_SET)
        if not self.has_cdn or standing is None:
            return state, standing
        if state.edge is not None:
            return state, state.edge.document
        return replace(state, edge=Copy(standing, state.now)), standing

    def run(self, state: State, command: Command, *, dies_at: str | None = None) -> State:
        """Return the state after one run that nobody disturbs; it may die before some call."""
        states = [state]

        def ask(call: Call) -> Answer:
            if call.verb == dies_at:
                raise _DeathError
            after, answer = self.answered(states[-1], call)
            states.append(after)
            return answer

        with suppress(_DeathError):
            command(rotation(ask, self.policy, state.now, lambda *_: None))
        return states[-1]

    def _written(
        self, state: State, key: str, body: bytes, expected: str | None, caching: str | None
    ) -> tuple[State, str]:
        standing, wanted = state.document(key), document(body, caching)
        is_as_read = (standing and standing.tag) == expected
        if self.has_compare_and_swap and not is_as_read and standing != wanted:
            raise ConflictError("somebody else wrote")
        rest = [each for each in state.documents if each[0] != key]
        documents = sorted([*rest, (key, wanted)], key=lambda each: each[0])
        return replace(state, documents=tuple(documents)), wanted.tag or ""

    def _got(self, state: State, path: str) -> tuple[State, Response]:
        key = object_key("default", path)
        served = state.document(key)
        if key == KEY_SET and not self.is_probe_past_it:
            state, served = self.fetched(state)
        if served is None:
            return state, Response(status=503, headers={}, body=b"")
        headers = {"cache-control": served.cache_control or ""}
        return state, Response(status=200, headers=headers, body=served.body)


class _DeathError(BaseException):
    """No error of the run, which must not catch it."""


def _read(state: State, key: str) -> Document | None:
    keyring = state.keyring()
    if key != EVIDENCE or keyring is None:
        return state.document(key)
    return document(testimony.serialise(canary.foreseen(keyring, state.now)))


def _kms(state: State, call: Call) -> tuple[State, object]:
    keys = state.keys
    match call.verb, call.arguments:
        case "kms.create", (_, str(intent)):
            created = KmsKey(intent, state.now)
            return replace(state, keys=(*keys, created)), f"arn:{len(keys)}"
        case "kms.find", (intent,):
            arns = [f"arn:{n}" for n, key in enumerate(keys) if key.intent == intent]
            return state, next(iter(arns), None)
        case "kms.any", _:
            return state, bool(keys)
        case "kms.search", _:
            return state, tuple(_owned(number, key) for number, key in enumerate(keys))
        case verb, (str(arn), *rest):
            return _of_one_key(state, verb, number_of(arn), rest)
    raise NotImplementedError(call)


def _of_one_key(state: State, verb: str, number: int, rest: list[object]) -> tuple[State, object]:
    key = state.keys[number]
    match verb, rest:
        case "kms.public_key", _:
            if not key.is_usable:
                raise AwsError("kms:GetPublicKey", "DisabledException")
            return state, jwk_of(number)
        case "kms.is_usable", _:
            return state, key.is_usable
        case "kms.disable", _:
            return _with_key(state, number, replace(key, enabled=False)), None
        case "kms.schedule_deletion", [timedelta() as window]:
            at: datetime = key.deletion_at or state.now + window
            return _with_key(state, number, replace(key, deletion_at=at)), None
    raise NotImplementedError(verb)


def _with_key(state: State, number: int, key: KmsKey) -> State:
    keys = (*state.keys[:number], key, *state.keys[number + 1 :])
    return replace(state, keys=keys)


def _owned(number: int, key: KmsKey) -> OwnedKey:
    public = jwk_of(number) if key.is_usable else None
    return OwnedKey(arn=f"arn:{number}", intent=key.intent, created_at=key.created_at, jwk=public)
