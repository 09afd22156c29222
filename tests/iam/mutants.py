"""Every policy of the deployment, changed in one place: wider, or without something needed.

Of an Allow everything is changed. Of a Deny what is denied is taken away, and what it is bound to
is dropped; to deny still more actions is no mistake that this looks for. Three changes change
nothing, so they are not made: IfExists where a condition holds without the key anyway
(ForAllValues, the negated operators), the bucket in a bucket's own policy, and a wildcard where
there is one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from tests.iam.documents import Policy, Statement

_NO_IF_EXISTS: Final = re.compile("ForAllValues|Not|Null|IfExists")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A policy with one change."""

    change: str
    policy: Policy
    scope: str
    """Which actions it can make a difference to, as a pattern."""

    def concerns(self, action: str) -> bool:
        return re.fullmatch(self.scope, action) is not None

    def __str__(self) -> str:
        return f"{self.policy.kind} {self.policy.owner}: {self.change}"


def mutants(policy: Policy) -> Iterator[Mutant]:
    for at, statement in enumerate(policy.statements):
        before, after = policy.statements[:at], policy.statements[at + 1 :]
        name = statement.get("Sid", f"statement {at}")
        for change, changed in _changes(policy.kind, statement):
            middle = () if changed is None else (changed,)
            whole = replace(policy, statements=(*before, *middle, *after))
            scope = _scope(statement if changed is None else changed, statement)
            yield Mutant(change=f"{name}: {change}", policy=whole, scope=scope)


def _scope(*statements: Statement) -> str:
    named = {action for each in statements for action in _list(each["Action"])}
    return "|".join(sorted(re.escape(each).replace(r"\*", ".*") for each in named))


def _changes(kind: str, statement: Statement) -> Iterator[tuple[str, Statement | None]]:
    yield "gone", None
    yield from _actions(statement)
    if kind == "trust":
        yield "anybody", {**statement, "Principal": "*"}
    else:
        yield from _resources(kind, statement)
    yield from _conditions(statement)


def _actions(statement: Statement) -> Iterator[tuple[str, Statement]]:
    actions = _list(statement["Action"])
    yield from _fewer("Action", statement)
    if statement["Effect"] == "Allow":
        for service in sorted({each.partition(":")[0] for each in actions}):
            yield f"{service}:*", {**statement, "Action": [*actions, f"{service}:*"]}
        yield "every action", {**statement, "Action": "*"}


def _resources(kind: str, statement: Statement) -> Iterator[tuple[str, Statement]]:
    resources = _list(statement["Resource"])
    yield from _fewer("Resource", statement)
    for at, resource in enumerate(resources):
        for wider in _wider(resource, bucket_too=kind != "bucket"):
            if statement["Effect"] == "Allow" or kind == "bucket":
                changed = [*resources[:at], wider, *resources[at + 1 :]]
                yield f"{resource} as {wider}", {**statement, "Resource": changed}


def _wider(resource: str, *, bucket_too: bool) -> Iterator[str]:
    """Yield the name with each of its parts replaced by a wildcard, and the wildcard alone."""
    if resource == "*":
        return
    if bucket_too:
        yield "*"
    start = 3 if bucket_too else resource.find("/")
    parts = list(re.finditer(r"[^:/]+", resource))[3:]
    for part in parts:
        if start >= 0 and part.start() > start and part[0] != "*":
            yield f"{resource[: part.start()]}*{resource[part.end() :]}"


def _conditions(statement: Statement) -> Iterator[tuple[str, Statement]]:
    condition = statement.get("Condition", {})
    for operator, keys in condition.items():
        for key, value in keys.items():
            rest = {name: each for name, each in keys.items() if name != key}
            others = {name: each for name, each in condition.items() if name != operator}
            held = {**others, operator: rest} if rest else others
            yield f"without {operator} {key}", _with(statement, held)
            for fewer in _without_one(value):
                wanted = {**condition, operator: {**keys, key: fewer}}
                yield f"{key} only {fewer}", _with(statement, wanted)
            if not _NO_IF_EXISTS.search(operator) and statement["Effect"] == "Allow":
                lenient = f"{operator}IfExists"
                wanted = {**held, lenient: {**held.get(lenient, {}), key: value}}
                yield f"{lenient} {key}", _with(statement, wanted)


def _with(statement: Statement, condition: dict[str, Any]) -> Statement:
    rest = {name: each for name, each in statement.items() if name != "Condition"}
    return {**rest, "Condition": condition} if condition else rest


def _without_one(value: Any) -> Iterator[list[Any]]:
    if isinstance(value, list):
        for at in range(len(value)):
            yield [*value[:at], *value[at + 1 :]]


def _fewer(member: str, statement: Statement) -> Iterator[tuple[str, Statement]]:
    """Yield the statement with one of several actions or resources taken away."""
    values = _list(statement[member])
    if len(values) > 1:
        for fewer in _without_one(values):
            (lost,) = set(values) - set(fewer)
            yield f"without {lost}", {**statement, member: fewer}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
