"""A fresh interpreter up to its first decision: ``python -m bench.cold_start [--json]``.

This project's authorizer beside the tutorial's (``bench/tutorial_authorizer.py``), in turns, both
with the same interpreter, the same event, and the same issuer on loopback, of which each reads the
discovery document and the key set; and beside them an interpreter that does nothing. Measured from
outside: from starting the process until its answer is read. Once over HTTPS with a bundle of
certificates of the usual size, as on Lambda, and once over plain HTTP.

It says nothing of what Lambda adds: fetching the code, starting the sandbox, a slower disk.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench import ours, stage
from bench.issuer import AUDIENCE, SCOPE, Issuer
from bench.outcome import plain_ratios
from bench.probes import forged
from bench.ratios import Ratio
from bench.rounds import interleaved

ROOT: Final = Path(__file__).parent.parent
ROUNDS: Final = 40
TUTORIAL: Final = "the tutorial's: Powertools Logger, requests, PyJWT + PyJWKClient"
NOTHING: Final = "an interpreter that decides nothing"
WAYS: Final = ("HTTPS", "HTTP")

_LAYER: Final = ROOT / "layers" / "machine_identity"
_ALGORITHM: Final = "RS256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorizer:
    """A module with a handler, and where Python finds it and what it needs."""

    module: str
    paths: tuple[Path, ...]


AUTHORIZERS: Final = {
    ours.NAME: Authorizer(module="app", paths=(ROOT / "functions" / "authorizer", _LAYER)),
    TUTORIAL: Authorizer(module="tutorial_authorizer", paths=(ROOT / "bench",)),
    NOTHING: Authorizer(module="nothing", paths=(ROOT / "bench",)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One cold start, up to the decision."""

    decision: bool
    seconds: float
    cpu_seconds: float
    """How long it kept a processor busy; waiting, and other people's programs, are not in it."""
    peak_kib: int
    """The most memory that it held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Starts:
    """The cold starts of one authorizer."""

    name: str
    ratios: dict[str, Ratio]
    """In units of the tutorial's, by the way in which keys are fetched."""
    cpu: Ratio
    """The same of processor time, over HTTPS."""
    peak_mib: float
    """Over HTTPS; median of all starts."""


class ColdStartError(Exception):
    """An authorizer does not start, or decides wrongly: how fast it is says nothing."""


def measure(issuer: Issuer, say: stage.Say, rounds: int = ROUNDS) -> tuple[Starts, ...]:
    """Measure the three. Raises ColdStartError."""
    all_of: dict[str, dict[str, list[Start]]] = {}
    for way, url in zip(WAYS, (issuer.url, issuer.plain_url), strict=True):
        say(f"cold start over {way}: {rounds} rounds")
        all_of[way] = _starts(issuer, url, rounds)
    first = all_of[WAYS[0]]
    return tuple(
        Starts(
            name=name,
            ratios={way: _ratio(all_of[way], name, lambda each: each.seconds) for way in WAYS},
            cpu=_ratio(first, name, lambda each: each.cpu_seconds),
            peak_mib=median(each.peak_kib for each in first[name]) / 1024,
        )
        for name in AUTHORIZERS
    )


def _starts(issuer: Issuer, url: str, rounds: int) -> dict[str, list[Start]]:
    good = issuer.token(_ALGORITHM, issuer.claims(issuer=url))
    for name, authorizer in AUTHORIZERS.items():
        _check(name, authorizer, url, good)
    turns = {name: partial(start, each, url, good) for name, each in AUTHORIZERS.items()}
    return interleaved(turns, rounds)


def _ratio(starts: dict[str, list[Start]], name: str, of: Callable[[Start], float]) -> Ratio:
    return Ratio.of([of(each) for each in starts[name]], [of(each) for each in starts[TUTORIAL]])


def _check(name: str, authorizer: Authorizer, url: str, good: str) -> None:
    """Start it twice, which also compiles what it imports: right decisions, or no measurement."""
    for token, expected in ((good, authorizer.module != "nothing"), (forged(good), False)):
        decision = start(authorizer, url, token).decision
        if decision is not expected:
            raise ColdStartError(f"{name} answers {decision} where it should be {expected}")


def start(authorizer: Authorizer, issuer: str, token: str) -> Start:
    """Start it once. Raises ColdStartError if it does not decide."""
    command = [sys.executable, "-P", str(ROOT / "bench" / "first_decision.py"), authorizer.module]
    event = json.dumps(_event(token))
    begin = time.perf_counter()
    with subprocess.Popen(  # noqa: S603 - our own words
        command,
        env=_environment(authorizer, issuer),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdin is not None  # noqa: S101 - a pipe by construction
        assert process.stdout is not None  # noqa: S101 - a pipe by construction
        with suppress(BrokenPipeError):  # it ended before it read; what it said is below
            process.stdin.write(event)
            process.stdin.close()
        told: dict[str, Any] = {}
        said = ""
        for line in process.stdout:
            if line.startswith('{"decision"'):
                told |= {"seconds": time.perf_counter() - begin, **json.loads(line)}
            elif line.startswith('{"cost"'):
                told |= json.loads(line)["cost"]
            else:
                said = line.strip() or said
    if process.returncode or "peak_kib" not in told:
        raise ColdStartError(f"{authorizer.module} does not decide: {said}")
    return Start(**told)


def _environment(authorizer: Authorizer, issuer: str) -> dict[str, str]:
    """Return all that it is told: nothing of this shell's but where programs and bundles are."""
    inherited = ("PATH", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NO_PROXY")
    return {
        **{name: os.environ[name] for name in inherited if name in os.environ},
        "PYTHONPATH": os.pathsep.join(map(str, authorizer.paths)),
        "ISSUER": issuer,
        "AUDIENCE": AUDIENCE,
        "REQUIRED_SCOPES": SCOPE,
    }


def _event(token: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((ROOT / "events/authorizer/allowed.json").read_text())
    event["headers"]["authorization"] = f"Bearer {token}"
    event["identitySource"] = [f"Bearer {token}"]
    return event


def plain(starts: Iterable[Starts]) -> list[dict[str, Any]]:
    """Return the outcome as JSON has it."""
    return [
        {
            "authorizer": each.name,
            "in_units_of": TUTORIAL,
            "ratios": plain_ratios(each.ratios),
            **plain_ratios({"cpu": each.cpu}),
            "peak_mib": each.peak_mib,
        }
        for each in starts
    ]


def main() -> None:
    """Measure, and print."""
    from bench import report  # noqa: PLC0415 - it draws what this module measures

    with stage.stage() as (issuer, _):
        starts = measure(issuer, stage.say)
    print(json.dumps(plain(starts)) if "--json" in sys.argv[1:] else report.cold_start(starts))


if __name__ == "__main__":
    main()
