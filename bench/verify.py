"""How long a token takes, ours and theirs, side by side: ``python -m bench.verify [--json]``.

All judge the same tokens of one loopback issuer, an algorithm at a time, in interleaved rounds.
Python's are compared with ``public_key.verify`` of the same ``cryptography``, Node's with its own
``crypto.verify``, each with the signature taken out of the token ahead: what no verifier can save.

*Seen first*: every token of a turn is new to whoever has it. *Seen before*: it was judged already.
A contender that takes a forged token, or refuses a good one, ends the bench.
"""

import base64
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from bench import nodes, ours, stage
from bench.issuer import ALGORITHMS, AUDIENCE, SCOPE, TYPE, Issuer
from bench.ours import Check, Contender
from bench.outcome import BASE, NODE_BASE, Outcome, Row, plain
from bench.probes import FORGED, probes
from bench.ratios import Ratio
from bench.rounds import Turn, interleaved, timed

ROUNDS: Final = 300
TOKENS: Final = 20
"""Judged in one turn, all different."""

type Others = Callable[[Issuer, str], Sequence[Contender]]
"""Whom ours is compared with, for an algorithm."""


class NotComparableError(Exception):
    """A contender takes a forged token, or refuses a good one: how fast it is says nothing."""


def measure(
    issuer: Issuer,
    others: Others,
    node: nodes.Node | None,
    say: stage.Say,
    rounds: int = ROUNDS,
) -> Outcome:
    """Measure every contender for every algorithm. Raises NotComparableError and NodeError."""
    outcome = Outcome()
    for algorithm in ALGORITHMS:
        say(f"{algorithm}: {rounds} rounds of {TOKENS} tokens each")
        bout = _Bout(issuer, algorithm, outcome)
        for each in (ours.ours(issuer, algorithm), *others(issuer, algorithm)):
            bout.enter(each)
        if node is not None:
            bout.enter_node(node)
        bout.measure(rounds)
    return outcome


class _Bout:
    """One algorithm: its tokens, and who judges them."""

    def __init__(self, issuer: Issuer, algorithm: str, outcome: Outcome) -> None:
        self._issuer = issuer
        self._algorithm = algorithm
        self._outcome = outcome
        self._tokens = issuer.tokens(algorithm, TOKENS)
        self._signed = [ours.signed(each, algorithm) for each in self._tokens]
        self._probes = probes(issuer, algorithm)
        outcome.token_bytes[algorithm] = len(self._tokens[0])
        bare = ours.bare(issuer.keys[algorithm].public_key(), algorithm)
        self._turns: dict[str, Turn[float]] = {BASE: partial(timed, bare, self._signed)}
        self._rows: dict[str, Row] = {}

    def enter(self, contender: Contender) -> None:
        """Have somebody's Python verifier take part."""
        let_in = self._let_in(contender)
        first = partial(_judge_new, contender, self._tokens)
        self._add(self._outcome.first, contender.name, BASE, first, let_in)
        if contender.again:
            check = contender.fresh()
            again = partial(timed, check, self._tokens)
            again()  # now they have been seen
            self._add(self._outcome.again, contender.name, BASE, again, let_in)

    def enter_node(self, node: nodes.Node) -> None:
        """Have the Node side take part, with a bare check of its own."""
        told = node.prepare(self._for_node())
        self._outcome.node[:] = [told["version"]]
        self._turns[NODE_BASE] = partial(node.turn, "bare")
        for table, names in ((self._outcome.first, "first"), (self._outcome.again, "again")):
            for name in told[names]:
                turn = partial(node.turn, name)
                self._add(table, name, NODE_BASE, turn, told["lets_in"][name])

    def measure(self, rounds: int) -> None:
        """Let all of them have their turns, and write down the ratios."""
        samples = interleaved(self._turns, rounds)
        for entry, row in self._rows.items():
            row.ratios[self._algorithm] = Ratio.of(samples[entry], samples[row.base])
        if NODE_BASE in samples:
            self._outcome.node_base[self._algorithm] = Ratio.of(samples[NODE_BASE], samples[BASE])

    def _add(
        self, table: dict[str, Row], name: str, base: str, turn: Turn[float], let_in: Sequence[str]
    ) -> None:
        if FORGED in let_in:
            raise NotComparableError(f"{name} takes a forged token ({self._algorithm})")
        row = table.setdefault(name, Row(name=name, base=base))
        row.lets_in.update(dict.fromkeys(let_in))
        entry = f"{len(self._rows)}: {name}"  # one name can be in both tables
        self._turns[entry], self._rows[entry] = turn, row

    def _let_in(self, contender: Contender) -> list[str]:
        if not _takes(contender.fresh(), self._tokens[0]):
            raise NotComparableError(f"{contender.name} refuses {self._algorithm}")
        taken = (name for name, each in self._probes.items() if _takes(contender.fresh(), each))
        return list(taken)

    def _for_node(self) -> dict[str, Any]:
        keys = self._issuer.jwks["keys"]
        return {
            "algorithm": self._algorithm,
            "issuer": self._issuer.url,
            "audience": AUDIENCE,
            "scope": [SCOPE],
            "type": TYPE,
            "jwks_uri": self._issuer.jwks_uri,
            "jwk": next(each for each in keys if each["alg"] == self._algorithm),
            "tokens": self._tokens,
            "signed": [
                [base64.b64encode(signature).decode(), content.decode()]
                for signature, content in self._signed
            ],
            "probes": self._probes,
        }


def _takes(check: Check, token: str) -> bool:
    try:
        check(token)
    except Exception:  # noqa: BLE001 - seven libraries, and whatever each of them refuses with
        return False
    return True


def _judge_new(contender: Contender, tokens: Sequence[str]) -> float:
    """Take a turn in which every token is new; making the verifier is not measured."""
    return timed(contender.fresh(), tokens)


def main() -> None:
    """Measure, and print."""
    from bench import contenders, report  # noqa: PLC0415 - libraries that only bench/.venv has

    with stage.stage() as (issuer, authority), stage.node(authority) as node:
        outcome = measure(issuer, contenders.contenders, node, stage.say)
    print(json.dumps(plain(outcome)) if "--json" in sys.argv[1:] else report.verification(outcome))


if __name__ == "__main__":
    main()
