"""What tests count, told at the end of the run, whichever process counted it."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests recorded by ``record_property("counted", …)``."""
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    counted = [
        f"{report.nodeid.rpartition('::')[2]}: {value}"
        for report in reports
        if report.when == "call"
        for name, value in report.user_properties
        if name == "counted"
    ]
    if counted:
        terminalreporter.section("counted")
        for line in counted:
            terminalreporter.write_line(line)
