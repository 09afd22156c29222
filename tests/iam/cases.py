"""A claim about a role, and the question that it is to the evaluator."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from local.template import ACCOUNT
from tests.iam import documents
from tests.iam.documents import BUCKETS, ROLES, Policy
from tests.iam.judge import Document, Question
from tests.iam.requests import Request

STRANGER: Final = "999999999999"
"""Another account."""


class Guard(Enum):
    """What the resource itself says, where it is no bucket of ours."""

    USUAL = auto()
    """A key: what CreateKey gives it, which leaves all to IAM. Anything else: nothing."""
    LAVISH = auto()
    """Whoever asks may do everything: as a captured rotator, or a stranger, might write it. Of a
    bucket of ours it is the asking role that somebody made so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a role must be allowed, or denied."""

    who: str
    """Of documents.ROLES, or OPERATOR."""
    claim: str
    request: Request
    is_allowed: bool
    guard: Guard = Guard.USUAL
    principal: str = ""
    """Who asks, if it is not the role itself: who would assume it."""

    def __str__(self) -> str:
        verb = "must be allowed" if self.is_allowed else "must be denied"
        return f"{self.who} {verb}: {self.claim} ({self.request})"


OPERATOR: Final = "operator"
_ALL: Final = {"Effect": "Allow", "Action": "*", "Resource": "*"}
_OPERATOR: Final[Document] = {"Version": "2012-10-17", "Statement": [_ALL]}
"""Bucket policies bind even who may do everything."""


def question(case: Case, policies: Mapping[tuple[str, str], Policy]) -> Question:
    """Return what the evaluator is asked; ``policies`` are by kind and owner."""
    who = case.principal or principal(case.who)
    # AWS says of every request who makes it; the evaluator has to be told.
    is_said = bucket_of(case.request) is not None
    return Question(
        principal=who,
        request=case.request.having({"aws:PrincipalArn": who}) if is_said else case.request,
        identity=None if case.principal else _identity(case, policies),
        guard=_guard(case, policies),
        is_allowed=case.is_allowed,
    )


def principal(who: str) -> str:
    if who == OPERATOR:
        return f"arn:aws:iam::{ACCOUNT}:role/operator"
    return documents.arn(ROLES[who])


def bucket_of(request: Request) -> str | None:
    """Return the bucket of ours that a request is about."""
    if request.service != "s3":
        return None
    name = request.resource.split(":")[5].partition("/")[0]
    return name if name in BUCKETS.values() else None


def _identity(case: Case, policies: Mapping[tuple[str, str], Policy]) -> Document | None:
    is_lavish = case.guard is Guard.LAVISH and bucket_of(case.request) is not None
    if case.who == OPERATOR or is_lavish:
        return _OPERATOR
    return policies["role", case.who].document


def _guard(case: Case, policies: Mapping[tuple[str, str], Policy]) -> Document | None:
    if case.request.service == "sts":
        return policies["trust", case.who].document
    bucket = bucket_of(case.request)
    if bucket is not None:
        return policies["bucket", bucket].document
    if case.guard is Guard.LAVISH:
        return _lavish(principal(case.who))
    return _lavish(f"arn:aws:iam::{ACCOUNT}:root") if case.request.service == "kms" else None


def _lavish(to: str) -> dict[str, Any]:
    """Return a resource policy; to an account's root it leaves all to that account's IAM."""
    return {
        "Version": "2012-10-17",
        "Statement": [{**_ALL, "Principal": {"AWS": to}}],
    }


def by_place(policies: tuple[Policy, ...]) -> dict[tuple[str, str], Policy]:
    return {(each.kind, each.owner): each for each in policies}


def allowed(needed: Mapping[str, tuple[Request, ...]]) -> Iterator[Case]:
    """Yield a case for each real call, and who may assume each role."""
    for who, requests in needed.items():
        for each in requests:
            yield Case(who=who, claim="a real call", request=each, is_allowed=True)


def bears(case: Case, policy: Policy) -> bool:
    """Return whether a policy has a say in a case."""
    match policy.kind:
        case "bucket":
            return bucket_of(case.request) == policy.owner
        case "trust":
            return case.who == policy.owner and bool(case.principal)
        case _:
            return case.who == policy.owner and not case.principal
