"""What each role must be denied, in words. The neighbours of each real call are added to it.

A neighbour is the call on somebody else's thing: each part of the resource's name that says whose
it is, replaced. Another account's thing then lets us: it is for our role to say no, and not for
the stranger.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from local.template import ACCOUNT, REGION
from machine_identity.aws.kms_keys import TAG
from tests.iam.cases import OPERATOR, STRANGER, Case, Guard, bucket_of
from tests.iam.documents import BUCKETS, ROLES, STACK
from tests.iam.documents import arn as of
from tests.iam.requests import Context, Request, arn, tagged

TAGS: Final = {f"{TAG}stack": STACK, f"{TAG}identity": "default", f"{TAG}intent": "intent"}
OURS: Final = tagged("aws:ResourceTag", TAGS)
KEY: Final = arn("kms", "key/ours")
SIGN: Final = Request(
    action="kms:Sign",
    resource=KEY,
    context={
        "kms:MessageType": "RAW",
        "kms:SigningAlgorithm": "RSASSA_PKCS1_V1_5_SHA_256",
        **OURS,
    },
)
CREATE: Final = Request(
    action="kms:CreateKey",
    resource="*",
    context={
        **tagged("aws:RequestTag", TAGS),
        "aws:TagKeys": tuple(TAGS),
        "kms:KeySpec": "RSA_2048",
        "kms:KeyUsage": "SIGN_VERIFY",
    },
)
MARK: Final = Request(
    action="kms:TagResource",
    resource=arn("kms", "key/stranger"),
    context={**tagged("aws:RequestTag", TAGS), "aws:TagKeys": tuple(TAGS)},
)
DELETE: Final = Request(
    action="kms:ScheduleKeyDeletion",
    resource=KEY,
    context={"kms:ScheduleKeyDeletionPendingWindowInDays": "7", **OURS},
)
STATE: Final = f"{of('StateBucket')}/default/"
PUBLISHED: Final = f"{of('PublishedBucket')}/default/.well-known/"
WRITTEN: Final = {
    f"{STATE}keyring.json": "rotation",
    f"{STATE}evidence.json": "token",
    f"{PUBLISHED}jwks.json": "rotation",
    f"{PUBLISHED}openid-configuration": "rotation",
}
"""Who may write which document."""
DOCUMENTS: Final = (*WRITTEN, f"{STATE}clients.json", f"{STATE[:-8]}other/keyring.json")
_MATCHED: Final = {"s3:if-match": '"tag"'}
_TLS: Final = {"aws:SecureTransport": "true"}
_FREE: Final = {
    "kms": r"key/.*",
    "logs": r"log-stream:.*",
    "secretsmanager": rf"{STACK}/.*",
    "ssm": rf"{STACK}/.*",
}
"""The part of a resource's name in which the roles tell nothing apart."""
_KINDS: Final = {"function", "key", "log-group", "parameter", "secret"}


def denied(needed: Mapping[str, tuple[Request, ...]]) -> tuple[Case, ...]:
    """Return all that must be denied."""
    return (*_in_words(), *_documents(needed), *_neighbours(needed))


def _in_words() -> Iterator[Case]:
    for who, claim, request in (
        *(("rotation", *each) for each in (*_creating(), *_marking(), *_ending(), *_beyond())),
        *(("token", *each) for each in (*_signing(), *_managing(), *_secrets())),
        *(("jwks", *each) for each in (*_managing(), ("sign", SIGN))),
        *((role, *each) for role in ROLES for each in _platform(role)),
        *_invoking(),
    ):
        yield Case(who=who, claim=claim, request=request, is_allowed=False)
    for claim, request in _never():
        yield Case(
            who="rotation", claim=claim, request=request, is_allowed=False, guard=Guard.LAVISH
        )
    for who in ROLES:
        yield from _assuming(who)


def _never() -> Iterator[tuple[str, Request]]:
    """Yield what the rotator may not even where a key's policy, which it writes, lets it."""
    yield "sign with its own key", SIGN
    for action in ("kms:PutKeyPolicy", "kms:CreateGrant"):
        yield "let somebody else sign", Request(action=action, resource=KEY, context=OURS)
    token = of("TokenFunction")
    yield "ask for a token", Request(action="lambda:InvokeFunction", resource=token)


def _creating() -> Iterator[tuple[str, Request]]:
    for name in ("stack", "identity", "intent"):
        tag = f"aws:RequestTag/{TAG}{name}"
        yield f"make a key without the tag {name}", CREATE.without(tag)
        if name != "intent":
            yield f"make a key of another {name}", CREATE.having({tag: "other"})
    for key, value in (
        ("kms:KeyUsage", "ENCRYPT_DECRYPT"),
        ("kms:KeySpec", "RSA_4096"),
        ("kms:KeySpec", "SYMMETRIC_DEFAULT"),
        ("kms:KeyOrigin", "EXTERNAL"),
        ("kms:MultiRegion", "true"),
    ):
        yield f"make a key of {key} {value}", CREATE.having({key: value})
    for key in ("kms:KeyUsage", "kms:KeySpec"):
        yield f"make a key and be silent about {key}", CREATE.without(key)


def _marking() -> Iterator[tuple[str, Request]]:
    for name in ("stack", "identity"):
        tag = f"aws:RequestTag/{TAG}{name}"
        yield f"mark a key without a {name}", MARK.without(tag)
        yield f"mark a key as of another {name}", MARK.having({tag: "other"})
    more: Context = {"aws:RequestTag/env": "x", "aws:TagKeys": (*TAGS, "env")}
    yield "give a key one more tag", MARK.having(more)
    spec = {"kms:KeySpec": "RSA_2048", "kms:KeyUsage": "SIGN_VERIFY"}
    yield "give a key of that kind one more tag", MARK.having(more).having(spec)
    other = {f"aws:ResourceTag/{TAG}stack": "other"}
    yield "mark another stack's key as ours", MARK.having(other)
    yield "mark a key with an alias", MARK.having({"kms:ResourceAliases": ("alias/payments",)})


def _ending() -> Iterator[tuple[str, Request]]:
    one = [Request(action=f"kms:{each}", resource=KEY, context=OURS) for each in _OF_KEYS]
    for request in (*one, DELETE):
        for name in ("stack", "identity"):
            tag = f"aws:ResourceTag/{TAG}{name}"
            yield f"touch a key of another {name}", request.having({tag: "other"})
            yield f"touch a key without a {name}", request.without(tag)
    window = "kms:ScheduleKeyDeletionPendingWindowInDays"
    yield "delete a key sooner than in a week", DELETE.having({window: "6"})


_OF_KEYS: Final = ("DescribeKey", "DisableKey", "GetPublicKey")


def _beyond() -> Iterator[tuple[str, Request]]:
    """Yield what else can be done with what the rotator has to do with."""
    for action in ("CancelKeyDeletion", "EnableKey", "GetKeyPolicy", "UpdateKeyDescription"):
        more = Request(action=f"kms:{action}", resource=KEY, context=OURS)
        yield "do more with its keys", more
    replica = Request(action="kms:ReplicateKey", resource=KEY, context=OURS)
    yield "take a key elsewhere", replica.having(MARK.context)
    yield "take a stranger's key elsewhere", replica.having(MARK.context).without(*OURS)
    for action in ("tag:TagResources", "tag:UntagResources"):
        yield "mark by the tagging index", Request(action=action, resource="*")


def _signing() -> Iterator[tuple[str, Request]]:
    for name in ("stack", "identity"):
        tag = f"aws:ResourceTag/{TAG}{name}"
        yield f"sign with a key of another {name}", SIGN.having({tag: "other"})
        yield f"sign with a key without a {name}", SIGN.without(tag)
    for key, value in (("MessageType", "DIGEST"), ("SigningAlgorithm", "RSASSA_PSS_SHA_512")):
        yield f"sign with {key} {value}", SIGN.having({f"kms:{key}": value})
        yield f"sign and be silent about {key}", SIGN.without(f"kms:{key}")


def _managing() -> Iterator[tuple[str, Request]]:
    yield "make a key", CREATE
    yield "mark a key", MARK
    yield "delete a key", DELETE
    context = SIGN.context  # as whoever may do all that Sign is bound by
    for action in ("CreateGrant", "PutKeyPolicy", "Verify", *_OF_KEYS):
        bare = Request(action=f"kms:{action}", resource=KEY, context=OURS)
        yield f"{action} of a key", bare.having(context) if action == "Verify" else bare
    yield "find keys", Request(action="tag:GetResources", resource="*")
    token = of("TokenFunction")
    yield "ask for a token", Request(action="lambda:InvokeFunction", resource=token)


def _secrets() -> Iterator[tuple[str, Request]]:
    for action in ("DeleteParameter", "GetParameterHistory", "GetParameters"):
        name = f"parameter/machine-identity/{STACK}/billing"
        yield (
            f"{action} of a registration",
            Request(action=f"ssm:{action}", resource=arn("ssm", name)),
        )
    for action in ("CreateSecret", "DeleteSecret", "PutResourcePolicy"):
        name = f"secret:machine-identity/{STACK}/billing-AbCdEf"
        yield (
            f"{action} of a registration",
            Request(action=f"secretsmanager:{action}", resource=arn("secretsmanager", name)),
        )


def _platform(who: str) -> Iterator[tuple[str, Request]]:
    group = arn("logs", f"log-group:{STACK}-{who.title()}LogGroup")
    yield "forget what it logged", Request(action="logs:DeleteLogGroup", resource=f"{group}")
    stream = f"{group}:log-stream:x"
    for action in ("logs:DeleteLogStream", "logs:GetLogEvents"):
        yield "do more with its log", Request(action=action, resource=stream)
    for action in ("xray:GetTraceSummaries", "xray:PutResourcePolicy"):
        yield "do more with traces", Request(action=action, resource="*")
    yield "become more", Request(action="iam:PutRolePolicy", resource=of(ROLES[who]))


def _invoking() -> Iterator[tuple[str, str, Request]]:
    for who, other, own in (
        ("tick", "TokenFunction", "RotationFunction"),
        ("canary", "RotationFunction", "TokenFunction"),
    ):
        invoke = Request(action="lambda:InvokeFunction", resource=of(other))
        yield who, "call the other function", invoke
        code = Request(action="lambda:UpdateFunctionCode", resource=of(own))
        yield who, "change the function that it calls", code
        read = Request(action="sqs:ReceiveMessage", resource=of("DeadLetters"))
        yield who, "read what was lost", read


def _assuming(who: str) -> Iterator[Case]:
    """Yield who else may not act as this role."""
    scheduler, functions = "scheduler.amazonaws.com", "lambda.amazonaws.com"
    own, other = (scheduler, functions) if who in {"tick", "canary"} else (functions, scheduler)
    assume = Request(action="sts:AssumeRole", resource=of(ROLES[who]))
    yield Case(who=who, claim="be acted as", request=assume, is_allowed=True, principal=own)
    somebody = [f"arn:aws:iam::{each}:role/somebody" for each in (ACCOUNT, STRANGER)]
    for each in (other, "ec2.amazonaws.com", *somebody):
        yield Case(
            who=who, claim=f"acting for {each}", request=assume, is_allowed=False, principal=each
        )
    tag = Request(action="sts:TagSession", resource=of(ROLES[who]))
    yield Case(who=who, claim="session tags", request=tag, is_allowed=False, principal=own)


def _documents(needed: Mapping[str, tuple[Request, ...]]) -> Iterator[Case]:
    read = {(who, each.action, each.resource) for who in needed for each in needed[who]}
    for who in ROLES:
        for action, where in _touches():
            if (who, action, where) not in read:
                context = {**_TLS, **(_MATCHED if action == "s3:PutObject" else {})}
                request = Request(action=action, resource=where, context=context)
                yield Case(who=who, claim="no business", request=request, is_allowed=False)
    put = Request(action="s3:PutObject", resource=f"{STATE}clients.json", context=_TLS)
    yield Case(who=OPERATOR, claim="name clients", request=put, is_allowed=True)
    yield from _deletions()
    for where, writer in WRITTEN.items():
        for who in (writer, OPERATOR):
            request = Request(action="s3:PutObject", resource=where, context=_TLS)
            yield Case(who=who, claim="write over others", request=request, is_allowed=False)
    for who in needed:
        for each in needed[who]:
            if bucket_of(each):
                open_ = each.having({"aws:SecureTransport": "false"})
                yield Case(who=who, claim="be read on the way", request=open_, is_allowed=False)


def _deletions() -> Iterator[Case]:
    """Yield that no function deletes private state, whatever its role may come to allow."""
    for action in ("s3:DeleteObject", "s3:DeleteObjectVersion"):
        request = Request(action=action, resource=f"{STATE}keyring.json", context=_TLS)
        yield Case(who=OPERATOR, claim="end the state", request=request, is_allowed=True)
        for who in (each for each in ROLES if each not in {"tick", "canary"}):
            yield Case(
                who=who,
                claim="delete the keyring, with a role that allows all",
                request=request,
                is_allowed=False,
                guard=Guard.LAVISH,
            )


def _touches() -> Iterator[tuple[str, str]]:
    """Yield actions of S3, and on what."""
    for where in DOCUMENTS:
        for action in ("GetObject", "PutObject", "DeleteObject", "GetObjectVersion"):
            yield f"s3:{action}", where
        yield "s3:DeleteObjectVersion", where
    for bucket in BUCKETS:
        for action in ("ListBucket", "ListBucketVersions", "PutBucketPolicy", "DeleteBucket"):
            yield f"s3:{action}", of(bucket)


def _neighbours(needed: Mapping[str, tuple[Request, ...]]) -> Iterator[Case]:
    for who, requests in needed.items():
        for request in requests:
            for other in _others(request.service, request.resource):
                moved = Request(action=request.action, resource=other, context=request.context)
                yield Case(
                    who=who,
                    claim="somebody else's",
                    request=moved,
                    is_allowed=False,
                    guard=Guard.LAVISH if moved.account == STRANGER else Guard.USUAL,
                )


def _others(service: str, resource: str) -> Iterator[str]:
    if resource == "*":
        return
    free = re.search(_FREE.get(service, "$"), resource)
    assert free is not None
    end = free.start()
    if service in {"ssm", "secretsmanager"}:
        end += len(STACK)
    for part in re.finditer(r"[^:/]+", resource[:end]):
        if part[0] not in {"arn", "aws", service, *_KINDS}:
            new = {REGION: "us-east-1", ACCOUNT: STRANGER}.get(part[0], "other")
            yield f"{resource[: part.start()]}{new}{resource[part.end() :]}"
