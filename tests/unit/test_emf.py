"""Counts as lines that CloudWatch reads (its Embedded Metric Format, version of 2023)."""

import json
from datetime import UTC, datetime

import pytest

from machine_identity import emf
from machine_identity.errors import Refusal

NOW = datetime(2026, 11, 24, 12, 0, 0, 250_000, tzinfo=UTC)


def test_a_line_says_what_is_counted_when_and_of_which_service() -> None:
    assert json.loads(emf.line("Authorized", service="authorizer", now=NOW)) == {
        "_aws": {
            "Timestamp": 1795521600250,
            "CloudWatchMetrics": [
                {
                    "Namespace": "MachineIdentity",
                    "Dimensions": [["service"]],
                    "Metrics": [{"Name": "Authorized", "Unit": "Count"}],
                }
            ],
        },
        "service": "authorizer",
        "Authorized": 1,
    }


@pytest.mark.parametrize("reason", Refusal)
def test_with_a_reason_it_is_counted_in_all_and_for_that_reason(reason: Refusal) -> None:
    text = emf.line("Refused", service="authorizer", now=NOW, reason=reason)
    line = json.loads(text)
    assert "\n" not in text
    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [
        ["service"],
        ["service", "reason"],
    ]
    assert {name: line[name] for name in line if name != "_aws"} == {
        "service": "authorizer",
        "reason": reason.value,
        "Refused": 1,
    }
