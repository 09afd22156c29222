"""What the run showed, and the document that says so.

A trial is one party, in the version that is installed, in one role, and one thing that was seen
of it. A row is made of the trials that differ in the algorithm only. There is no date in it, and
every version comes from a lock file, so the same code writes the same document.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from machine_identity.jwk import ALGORITHMS
from rehearsal import node

NODE_FOLDER: Final = Path(__file__).parent / "node"
_BEFORE: Final = """\
# Who was tried with what

`make interop` starts the deployment of `template.yaml` on loopback, over HTTPS, with strict moto \
for KMS and S3, and beside it the parties below, from PyPI and npm, with their own code \
unchanged. Each row is what that run showed, in the version that was installed; the run writes \
this file, and only if everything passed. What is not in it was not tried.

"""
_AFTER: Final = """
The algorithms are those of our keys. No cloud took part: no tenant of Microsoft's, no account of \
AWS. The Entra stand-in is `local/authorization_server.py`, with `local/graph.py` for Microsoft \
Graph, which are ours and answer as Entra and Graph are documented to. oidc-provider lives on the \
deployment's clock, so that a week passes in seconds, and its settings let it connect to \
loopback; `interop/node/oidc_provider.mjs` has both.
"""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Party:
    """Somebody else's program."""

    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One thing that a party was seen to do."""

    party: Party
    role: str
    shown: str
    algorithm: str = ""
    """With which it was seen, where that matters."""


def from_pypi(package: str, name: str = "") -> Party:
    """Return the party of that package; ``name`` where it is better known by another."""
    return Party(name=name or package, version=version(package))


def from_npm(package: str) -> Party:
    """Return the party of that package."""
    return Party(name=package, version=node.version_of(package, NODE_FOLDER))


def document(trials: Iterable[Trial]) -> str:
    """Return docs/interop.md for these trials, whatever their order."""
    rows: dict[tuple[str, Party, str], set[str]] = {}
    for trial in trials:
        row = (trial.role, trial.party, trial.shown)
        rows.setdefault(row, set()).add(trial.algorithm)
    lines = [
        "| party | version | as | what the run showed | algorithms |",
        "|---|---|---|---|---|",
        *(_row(*row, algorithms) for row, algorithms in sorted(rows.items(), key=_place)),
    ]
    return _BEFORE + "\n".join(lines) + "\n" + _AFTER


def _place(entry: tuple[tuple[str, Party, str], set[str]]) -> tuple[str, str, str]:
    role, party, shown = entry[0]
    return role, party.name.lower(), shown


def _row(role: str, party: Party, shown: str, algorithms: set[str]) -> str:
    named = " ".join(each for each in ALGORITHMS if each in algorithms)
    return f"| {party.name} | {party.version} | {role} | {shown} | {named} |"
