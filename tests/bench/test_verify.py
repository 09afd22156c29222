import time
from typing import Any

import jwt
import pytest
from cryptography.exceptions import InvalidSignature

from bench import ours, verify
from bench.issuer import ALGORITHMS, Issuer
from bench.ours import Check, Contender
from bench.outcome import BASE, Outcome, plain
from bench.probes import FORGED, probes
from machine_identity.errors import InvalidTokenError

CODES = {
    FORGED: "signature",
    "expired": "expired",
    "not yet valid": "not_yet_valid",
    "issued in the future": "issued_in_future",
    "other issuer": "issuer",
    "other audience": "audience",
    "scope missing": "scope",
    "no `exp`": "claim_type",
    "`exp` as text": "claim_type",
    "member twice": "malformed",
    "other `typ`": "type",
    "unknown `kid`": "unknown_key",
    "unknown `crit`": "header",
}


def contender(check: Check, name: str = "theirs", *, again: bool = False) -> Contender:
    return Contender(name=name, fresh=lambda: check, again=again)


def only(*them: Contender) -> verify.Others:
    return lambda *_: them


def measured(issuer: Issuer, others: verify.Others) -> Outcome:
    return verify.measure(issuer, others, None, lambda _: None, rounds=10)


def signature_only(issuer: Issuer, algorithm: str) -> Check:
    """Check as careless code does: PyJWT, and nothing but its signature."""
    key = issuer.keys[algorithm].public_key()
    times = dict.fromkeys(("verify_exp", "verify_nbf", "verify_iat"), False)
    nothing: Any = {**times, "verify_aud": False}
    return lambda token: jwt.decode(token, key, algorithms=[algorithm], options=nothing)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_ours_refuses_every_probe_for_the_reason_by_which_it_is_called(
    issuer: Issuer, algorithm: str
) -> None:
    tokens = probes(issuer, algorithm)
    refused = {}
    for name, token in tokens.items():
        with pytest.raises(InvalidTokenError) as error:
            ours.ours(issuer, algorithm).fresh()(token)
        refused[name] = error.value.code.value

    assert refused == CODES


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_ours_takes_all_good_tokens_and_no_two_of_them_are_alike(
    issuer: Issuer, algorithm: str
) -> None:
    tokens = issuer.tokens(algorithm, 20)
    check = ours.ours(issuer, algorithm).fresh()

    assert len({*tokens}) == len(tokens)
    assert len({*map(len, tokens)}) == 1
    for each in tokens:
        check(each)


def test_each_turn_of_new_tokens_has_a_verifier_that_saw_none(issuer: Issuer) -> None:
    mine = ours.ours(issuer, "RS256")

    first, second = mine.fresh(), mine.fresh()

    token = issuer.tokens("RS256", 1)[0]
    assert first(token) is first(token)  # it remembers
    assert second(token) is not first(token)  # the next one does not


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_yardstick_checks_signatures(issuer: Issuer, algorithm: str) -> None:
    bare = ours.bare(issuer.keys[algorithm].public_key(), algorithm)
    tokens = probes(issuer, algorithm)

    bare(ours.signed(tokens["expired"], algorithm))
    with pytest.raises(InvalidSignature):
        bare(ours.signed(tokens[FORGED], algorithm))


def test_what_somebody_lets_in_is_found_by_trying(issuer: Issuer) -> None:
    outcome = measured(issuer, lambda of, algorithm: [contender(signature_only(of, algorithm))])

    assert set(outcome.first["theirs"].lets_in) == CODES.keys() - {FORGED, "unknown `crit`"}
    assert not outcome.first[ours.NAME].lets_in


def test_everyone_is_measured_for_every_algorithm_in_units_of_the_bare_check(
    issuer: Issuer,
) -> None:
    outcome = measured(
        issuer, lambda of, algorithm: [contender(signature_only(of, algorithm), again=True)]
    )

    assert list(outcome.first) == list(outcome.again) == [ours.NAME, "theirs"]
    for row in (*outcome.first.values(), *outcome.again.values()):
        assert row.base == BASE
        assert tuple(row.ratios) == ALGORITHMS
    # Nobody who checks a signature and more is faster than the check alone.
    assert all(each.value > 1 for each in outcome.first[ours.NAME].ratios.values())
    # Who remembers a token is; this one says so with room to spare.
    assert all(each.value < 1 for each in outcome.again[ours.NAME].ratios.values())
    assert outcome.token_bytes.keys() == {*ALGORITHMS}
    assert plain(outcome)["seen_before"][1]["verifier"] == "theirs"


def test_tokens_seen_before_were_seen_before_the_first_round(issuer: Issuer) -> None:
    def fresh() -> Check:
        seen: set[str] = set()

        def check(token: str) -> None:
            if token not in seen:
                judge(token)
                time.sleep(0.02)
                seen.add(token)

        return check

    judge = signature_only(issuer, "RS256")
    slow = Contender(name="slow", fresh=fresh, again=True)

    outcome = measured(issuer, lambda _, algorithm: [slow] if algorithm == "RS256" else [])

    # A bare check is far below a tenth of a millisecond: a new token is hundreds of it, in every
    # round; one that was seen never is, not even in the first.
    new = outcome.first["slow"].ratios["RS256"].value
    assert new > 100
    assert outcome.again["slow"].ratios["RS256"].high < new


def test_who_knows_an_algorithm_less_has_a_row_all_the_same(issuer: Issuer) -> None:
    def others(of: Issuer, algorithm: str) -> list[Contender]:
        if algorithm == "PS256":
            return []
        return [contender(signature_only(of, algorithm))]

    assert list(measured(issuer, others).first["theirs"].ratios) == ["RS256", "ES256"]


def test_who_takes_a_forged_token_is_not_measured(issuer: Issuer) -> None:
    with pytest.raises(verify.NotComparableError, match="theirs takes a forged token"):
        measured(issuer, only(contender(lambda _: None)))


def refuse(_: str) -> object:
    raise ValueError


def test_who_refuses_good_tokens_is_not_measured(issuer: Issuer) -> None:
    with pytest.raises(verify.NotComparableError, match="theirs refuses RS256"):
        measured(issuer, only(contender(refuse)))


def test_the_node_side_has_its_own_yardstick_and_a_forged_token_ends_it_too(
    issuer: Issuer,
) -> None:
    class Node:
        """Answers as bench.mjs does, and is twice and six times as slow as the first Python."""

        let_in: tuple[str, ...] = ("no `exp`",)

        def prepare(self, settings: dict[str, object]) -> dict[str, object]:
            assert settings["issuer"] == issuer.url
            lets_in = {"jose": list(self.let_in), "fast-jwt": []}
            return {"first": ["jose"], "again": ["fast-jwt"], "lets_in": lets_in, "version": "v"}

        def turn(self, name: str) -> float:
            return {"bare": 2.0, "jose": 6.0, "fast-jwt": 1.0}[name]

    node: Any = Node
    outcome = verify.measure(issuer, only(), node(), lambda _: None, rounds=10)

    assert outcome.first["jose"].ratios["RS256"].value == 3.0
    assert outcome.again["fast-jwt"].ratios["RS256"].value == 0.5
    assert list(outcome.first["jose"].lets_in) == ["no `exp`"]
    assert outcome.node == ["v"]
    assert outcome.node_base.keys() == {*ALGORITHMS}
    Node.let_in = (FORGED,)
    with pytest.raises(verify.NotComparableError, match="jose takes a forged token"):
        verify.measure(issuer, only(), node(), lambda _: None, rounds=10)
