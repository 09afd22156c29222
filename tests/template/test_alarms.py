"""The alarms: each on a count that the code makes, with its row in the runbook and its fault."""

import json
import re
from typing import Any, Final

import pytest

from tests.e2e.faults import FAULTS
from tests.template.test_functions import MADE, of_type
from tests.template.transformed import PATH, source

ALARMS: Final[dict[str, Any]] = of_type(MADE, "AWS::CloudWatch::Alarm")
OURS: Final = {
    name: each["Properties"]
    for name, each in ALARMS.items()
    if each["Properties"]["Namespace"] == "MachineIdentity"
}
RUNBOOK: Final = (PATH.parent / "docs" / "runbook.md").read_text()
ROWS: Final = {
    name: row
    for row in RUNBOOK.splitlines()
    if row.startswith("| `")
    for name in re.findall(r"`(\w+)`", row.split("|")[1])
}


def dimensions(alarm: dict[str, Any]) -> dict[str, Any]:
    return {each["Name"]: each["Value"] for each in alarm["Dimensions"]}


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_tells_whoever_subscribed_and_names_its_row_of_the_runbook(name: str) -> None:
    alarm = ALARMS[name]["Properties"]
    assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "AlarmTopic"}]
    said, _, section = alarm["AlarmDescription"].partition(" docs/runbook.md: ")
    assert said.endswith(".")
    assert section.removesuffix(".") == alarm["MetricName"]
    assert alarm["MetricName"] in ROWS


@pytest.mark.parametrize("name", OURS)
def test_an_alarm_watches_this_stack_s_own_count_of_the_function_that_makes_it(name: str) -> None:
    alarm = OURS[name]
    whose = dimensions(alarm)
    service = whose.pop("service")
    assert whose.pop("stack") == {"Ref": "AWS::StackName"}
    assert whose.pop("identity", "default") == "default"
    assert whose in ({}, {"reason": "signature"})
    assert service in ROWS[alarm["MetricName"]].split("|")[2]


@pytest.mark.parametrize("name", ALARMS)
def test_no_alarm_fires_for_want_of_data_and_each_looks_back_a_day_at_most(name: str) -> None:
    alarm = ALARMS[name]["Properties"]
    assert alarm["TreatMissingData"] == "notBreaching"
    assert 1 <= alarm["DatapointsToAlarm"] <= alarm["EvaluationPeriods"]
    assert alarm["EvaluationPeriods"] * alarm["Period"] <= 86_400


def test_every_alarm_on_a_count_of_ours_has_a_fault_that_is_driven() -> None:
    watched = {(each["MetricName"], dimensions(each)["service"]) for each in OURS.values()}
    assert watched == FAULTS


def test_the_dashboard_is_json_that_shows_counts_which_there_are() -> None:
    (board,) = of_type(source()["Resources"], "AWS::CloudWatch::Dashboard").values()
    body = board["Properties"]["DashboardBody"]
    text = body["Fn::Sub"] if isinstance(body, dict) else body
    widgets = json.loads(re.sub(r"\$\{[\w:]+\}", "value", text))["widgets"]
    shown = {
        row[1]
        for widget in widgets
        for row in widget["properties"]["metrics"]
        if row[0] in {"MachineIdentity", "."}
    }
    assert shown <= ROWS.keys()
    assert shown
