"""What a run of the bench found out about verifiers, as data."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bench.ratios import Ratio

BASE: Final = "public_key.verify"
NODE_BASE: Final = "crypto.verify"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One contender: its ratio for each algorithm that it knows, and what it lets in."""

    name: str
    base: str
    """What it is compared with: the bare check of its own language."""
    ratios: dict[str, Ratio] = field(default_factory=dict)
    lets_in: dict[str, None] = field(default_factory=dict)
    """Reasons for which it should not have, in the order in which they were tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one run measured."""

    first: dict[str, Row] = field(default_factory=dict)
    """By name: whoever judged tokens that were new to them."""
    again: dict[str, Row] = field(default_factory=dict)
    """And whoever judged tokens a second time, ours and then the tutorials'."""
    token_bytes: dict[str, int] = field(default_factory=dict)
    """How long a token is, by algorithm."""
    node_base: dict[str, Ratio] = field(default_factory=dict)
    """Node's bare check in units of Python's; empty if Node did not take part."""
    node: list[str] = field(default_factory=list)
    """Its version, and OpenSSL's."""


def plain(outcome: Outcome) -> dict[str, Any]:
    """Return the outcome as JSON has it."""
    return {
        "seen_first": _rows(tuple(outcome.first.values())),
        "seen_before": _rows(tuple(outcome.again.values())),
        "token_bytes": outcome.token_bytes,
        "node": "".join(outcome.node),
        "node_base": plain_ratios(outcome.node_base),
    }


def plain_ratios(ratios: dict[str, Ratio]) -> dict[str, dict[str, float]]:
    """Return ratios as JSON has them."""
    return {
        name: {"ratio": each.value, "low": each.low, "high": each.high}
        for name, each in ratios.items()
    }


def _rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [
        {
            "verifier": row.name,
            "in_units_of": row.base,
            "ratios": plain_ratios(row.ratios),
            "lets_in": list(row.lets_in),
        }
        for row in rows
    ]
