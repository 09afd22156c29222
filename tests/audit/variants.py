"""Every pair of conditions, in every way in which the two can stand, and the template then.

cfn-lint looks at the template as it is written, where a fault may hide behind ``Fn::If``. Here the
conditions are decided: what they take away is gone, and both forms are linted as CloudFormation
would get them. ``python -m tests.audit.variants`` does so and ends with its count.

Values are tried of the parameters that conditions compare: what they are compared with, their
default, and something else. A pair that no values bring about is no pair.
"""

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from itertools import combinations, product
from pathlib import Path
from typing import Any, Final

from tests.template.transformed import PATH, REGION, run_lint, source, transformed

Decided = Mapping[str, bool]
PSEUDO: Final = {
    "AWS::Region": REGION,
    "AWS::Partition": "aws",
    "AWS::StackName": "stack",
    "AWS::AccountId": "123456789012",
}
_ELSE: Final = "https://else.example"
_NO_VALUE: Final = {"Ref": "AWS::NoValue"}
WHOLE_ONLY: Final = ("W1030", "W2001", "W8001")
"""Not told of one variant: a parameter or a condition that another variant uses (the template as
it is written is linted for these two by bin/lint), and a parameter's default that is empty where
the variant stands for a value of it."""


def holds(expression: Any, values: Mapping[str, str], conditions: Mapping[str, Any]) -> bool:
    """Whether a condition is true. Raises LookupError for a form that is not known."""
    match expression:
        case {"Condition": name}:
            return holds(conditions[name], values, conditions)
        case {"Fn::Equals": [one, other]}:
            return _value(one, values) == _value(other, values)
        case {"Fn::Not": [inner]}:
            return not holds(inner, values, conditions)
        case {"Fn::And": [*inner]}:
            return all(holds(each, values, conditions) for each in inner)
        case {"Fn::Or": [*inner]}:
            return any(holds(each, values, conditions) for each in inner)
        case _:
            raise LookupError(f"the condition {expression} is not understood")


def decisions(document: Mapping[str, Any]) -> list[Decided]:
    """Return as few ways to decide the conditions as show every pair in all that it can be."""
    conditions = document.get("Conditions", {})
    reached = {
        tuple(sorted((name, holds(each, values, conditions)) for name, each in conditions.items()))
        for values in _values(document)
    }
    pairs: dict[Any, set[Any]] = {
        way: set(combinations(way, 2)) or {way} for way in sorted(reached)
    }
    missing = set[Any]().union(*pairs.values())
    chosen: list[Decided] = []
    while missing:
        best = max(pairs, key=lambda way: len(pairs[way] & missing))
        missing -= pairs[best]
        chosen.append(dict(best))
    return chosen


def pairs_of(chosen: list[Decided]) -> int:
    """Return how many pairs of decisions these show, each counted once."""
    return len({pair for way in chosen for pair in combinations(sorted(way.items()), 2)})


def decide(value: Any, decided: Decided) -> Any:
    """Return the template, or a part of it, without what the decided conditions take away."""
    match value:
        case {"Fn::If": [str() as name, one, other]}:
            return decide(one if decided[name] else other, decided)
        case {"Condition": str() as name} if name in decided and not decided[name]:
            return _NO_VALUE
        case dict():
            kept = {name: decide(each, decided) for name, each in value.items()}
            return {name: each for name, each in kept.items() if each != _NO_VALUE}
        case list():
            made = [decide(each, decided) for each in value]
            return [each for each in made if each != _NO_VALUE]
        case _:
            return value


def variant(document: Mapping[str, Any], decided: Decided) -> dict[str, Any]:
    """Return the whole template, decided; conditions and rules stay as they were written."""
    kept = {"Conditions": document.get("Conditions", {}), "Rules": document.get("Rules", {})}
    rest = {name: each for name, each in document.items() if name not in kept}
    return {**decide(rest, decided), **{name: each for name, each in kept.items() if each}}


def main(path: Path = PATH) -> int:
    """Lint every variant of both forms; return cfn-lint's status."""
    chosen = decisions(source(path))
    with tempfile.TemporaryDirectory() as folder:
        written = []
        for number, decided in enumerate(chosen):
            for form, document in (("source", source(path)), ("made", transformed(path=path))):
                to = Path(folder) / f"{form}-{number}.json"
                to.write_text(json.dumps(variant(document, decided), indent=1))
                written.append(to)
        status = run_lint(written, ignored=WHOLE_ONLY)
    pairs = pairs_of(chosen)
    sys.stdout.write(
        f"{len(written)} variants of both forms, {pairs} pairs of decided conditions\n"
    )
    return status


def _value(operand: Any, values: Mapping[str, str]) -> str:
    match operand:
        case {"Ref": name}:
            return values[name]
        case str() | int():
            return str(operand)
        case _:
            raise LookupError(f"the operand {operand} is not understood")


def _values(document: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Every combination of values that might tell conditions apart."""
    parameters = document.get("Parameters", {})
    defaults = {name: str(each.get("Default", "")) for name, each in parameters.items()} | PSEUDO
    tried: dict[str, set[str]] = {}
    for one, other in _compared(list(document.get("Conditions", {}).values())):
        for operand, against in ((one, other), (other, one)):
            match operand:
                case {"Ref": name}:
                    values = tried.setdefault(name, {defaults[name], _ELSE})
                    values |= {against} if isinstance(against, str) else set()
                case _:
                    pass
    for chosen in product(*(sorted(each) for each in tried.values())):
        yield defaults | dict(zip(tried, chosen, strict=True))


def _compared(expression: Any) -> Iterator[tuple[Any, Any]]:
    match expression:
        case {"Fn::Equals": [one, other]}:
            yield one, other
        case dict():
            for each in expression.values():
                yield from _compared(each)
        case list():
            for each in expression:
                yield from _compared(each)
        case _:
            pass


if __name__ == "__main__":
    sys.exit(main())
