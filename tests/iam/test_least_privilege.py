"""Least privilege, judged: the functions' real calls under their roles, and what must be denied.

The documents are those of the transformed template, the calls those of whole lives under strict
moto. What AWS itself makes of them was never seen; see test_judge.py for what is relied on.
"""

from collections.abc import Callable, Iterator

import pytest

from machine_identity.aws import kms_keys, parameter_store, private_keys, s3, secrets_manager
from tests.iam import cases, denied, documents, lives
from tests.iam.cases import Case
from tests.iam.judge import Judge, Question
from tests.iam.mutants import mutants
from tests.template.test_roles import operations

EDGES = (kms_keys, parameter_store, private_keys, s3, secrets_manager)


def everything() -> tuple[Case, ...]:
    needed = lives.needed()
    return (*cases.allowed(needed), *denied.denied(needed))


def test_what_a_function_does_is_allowed_and_what_it_must_not_do_is_denied(
    judge: Judge, record_property: Callable[[str, object], None]
) -> None:
    held, count = cases.by_place(documents.policies()), {True: 0, False: 0}
    wrong = []
    for case in everything():
        count[case.is_allowed] += 1
        if judge.allows(cases.question(case, held)) is not case.is_allowed:
            wrong.append(str(case))
    record_property("counted", f"{count[True]} allowed and {count[False]} denied, as they must be")
    assert not wrong, "\n".join(wrong)


def test_the_lives_make_every_call_that_the_code_can_make() -> None:
    asked = {each.action for requests in lives.needed().values() for each in requests}
    named = {each for edge in EDGES for each in operations(edge)}
    # Whoever registers a client makes its secret, on the command line.
    assert named - asked == {"secretsmanager:CreateSecret"}


@pytest.mark.parametrize("who", documents.ROLES)
def test_a_role_allows_the_actions_of_its_real_calls_and_no_other(who: str) -> None:
    policy = cases.by_place(documents.policies())["role", who]
    named = [each["Action"] for each in policy.statements if each["Effect"] == "Allow"]
    allowed = {one for each in named for one in (each if isinstance(each, list) else [each])}
    assert allowed == {each.action for each in lives.needed()[who]}


def test_a_policy_that_is_wider_or_lacks_anything_is_found_out(
    judge: Judge, record_property: Callable[[str, object], None]
) -> None:
    survivors, total = [], 0
    for mutant, concerned in _trials():
        total += 1
        if judge.first_other(concerned) is None:
            survivors.append(str(mutant))
    record_property("counted", f"{total - len(survivors)} of {total} mutants caught")
    assert not survivors, "\n".join(survivors)
    assert total > 300


def _trials() -> Iterator[tuple[object, list[Question]]]:
    """Yield each mutant, and what is asked under it."""
    policies, every = documents.policies(), everything()
    for policy in policies:
        concerned = [each for each in every if cases.bears(each, policy)]
        for mutant in mutants(policy):
            held = cases.by_place((*policies, mutant.policy))  # the last of a place counts
            scope = [each for each in concerned if mutant.concerns(each.request.action)]
            yield mutant, [cases.question(each, held) for each in scope]
