"""What was measured, as Markdown: in ratios, as seconds say more of a machine than of a program.

Pure: the outcomes go in, text comes out. The README quotes tables of it, and a test holds them to
``bench/results.md``, which ``make bench`` writes.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from bench import at_hand as hand
from bench import cold_start as cold
from bench import ours
from bench.issuer import ALGORITHMS
from bench.outcome import BASE, NODE_BASE, Outcome, Row
from bench.ratios import Ratio

UNKNOWN: Final = "does not know it"
NOTHING: Final = "none of them"

FIRST_HEAD: Final = ("a token seen first", *ALGORITHMS, "bad tokens that it lets in")
AGAIN_HEAD: Final = ("a token seen before", *ALGORITHMS)
START_HEAD: Final = (
    "a cold start",
    *cold.WAYS,
    "processor time",
    "peak memory",
)

HAND_HEAD: Final = ("an access token at hand", "time")

_SPREAD: Final = (
    "Ratios of minima over interleaved rounds of one run; in brackets the least and the greatest "
    "such ratio of any tenth of the run."
)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    top, *lines = (f"| {' | '.join(cells)} |" for cells in (head, *rows))
    return "\n".join((top, "|---" * len(head) + "|", *lines))


def first(rows: Iterable[Row]) -> str:
    """Return the table of tokens that are new to whoever judges them."""
    return table(
        FIRST_HEAD,
        ((_name(row), *_ratios(row), ", ".join(row.lets_in) or NOTHING) for row in rows),
    )


def again(rows: Iterable[Row]) -> str:
    """Return the table of tokens that were judged before."""
    return table(AGAIN_HEAD, ((_name(row), *_ratios(row)) for row in rows))


def starts(rows: Iterable[cold.Starts]) -> str:
    """Return the table of cold starts."""
    return table(START_HEAD, map(_row, rows))


def _row(starts: cold.Starts) -> list[str]:
    ratios = [*(starts.ratios[way] for way in cold.WAYS), starts.cpu]
    # The tutorial's is the unit.
    cells = ["1" if starts.name == cold.TUTORIAL else str(each) for each in ratios]
    return [_ours(starts.name), *cells, f"{starts.peak_mib:.0f} MiB"]


def verification(outcome: Outcome) -> str:
    """Return both tables of verification, and how to read them."""
    sizes = ", ".join(f"{name} {size}" for name, size in outcome.token_bytes.items())
    how = (
        f"The whole validation, in units of a bare `{BASE}` over the same tokens (in bytes: "
        f"{sizes}). "
        f"{_SPREAD} Everyone was told all that its own options can say: issuer, audience, expiry, "
        "and type and scope where there is such an option. All tokens of an algorithm share one "
        "header, as an issuer's do. The last column was found by trying tokens that are well "
        "signed and wrong in one thing; nobody took one whose signature is wrong."
    )
    tables = first(outcome.first.values()), again(outcome.again.values())
    new, old = ("## A token seen first", how), ("## A token seen before",)
    return "\n\n".join((*new, tables[0], _node(outcome), *old, tables[1], _times(outcome)))


def cold_start(rows: Iterable[cold.Starts]) -> str:
    """Return the table of cold starts, and how to read it."""
    how = (
        "A fresh interpreter up to its first decision, in units of the tutorial's "
        "(`bench/tutorial_authorizer.py`), both reading the discovery document and the key set of "
        f"one issuer on loopback; nothing of what Lambda adds. {_SPREAD} "
        "Processor time and memory are those over HTTPS."
    )
    return "\n\n".join(("## Cold start", how, starts(rows)))


def hands(rows: Iterable[hand.AtHand]) -> str:
    """Return the table of tokens at hand."""
    cells = ((_ours(row.name), "1" if row.is_unit else str(row.ratio)) for row in rows)
    return table(HAND_HEAD, cells)


def at_hand(rows: Iterable[hand.AtHand]) -> str:
    """Return the table of tokens at hand, and how to read it."""
    how = (
        "Handing out an access token that was got before, in units of what MSAL takes for it; "
        "each has one token in memory, and no server is asked. " + _SPREAD
    )
    return "\n\n".join(("## A token at hand", how, hands(rows)))


def document(machine: str, day: str, parts: Sequence[str]) -> str:
    """Return ``bench/results.md``."""
    head = ("# What `make bench` measured", f"On {day}, on {machine}. Written by the command.")
    return "\n\n".join((*head, *parts)) + "\n"


def _name(row: Row) -> str:
    return _ours(row.name) + (" (Node)" if row.base == NODE_BASE else "")


def _ours(name: str) -> str:
    return f"**{name}**" if name == ours.NAME else name


def _ratios(row: Row) -> list[str]:
    return [str(row.ratios[each]) if each in row.ratios else UNKNOWN for each in ALGORITHMS]


def _node(outcome: Outcome) -> str:
    if not outcome.node:
        return "Node did not take part: it was not there."
    bases = _listed(outcome.node_base)
    return (
        f"Those of Node ({''.join(outcome.node)}) are in units of its own `{NODE_BASE}`, which "
        f"itself took, in units of Python's: {bases}."
    )


def _times(outcome: Outcome) -> str:
    """Say how many times longer the tutorials' way takes than ours."""
    mine, theirs, *_ = outcome.again.values()
    times = {
        each: f"{theirs.ratios[each].value / mine.ratios[each].value:.0f}" for each in ALGORITHMS
    }
    told = ", ".join(f"{name} {many}" for name, many in times.items())
    return f"{theirs.name} takes so many times as long as {mine.name}: {told}."


def _listed(ratios: dict[str, Ratio]) -> str:
    return ", ".join(f"{name} {ratio}" for name, ratio in ratios.items())
