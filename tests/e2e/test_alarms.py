"""Each fault that an alarm is for, driven into the embedded stack: its count is there after it."""

import pytest

from local.stack import Stack
from tests.e2e.faults import FAULTS, IN_ONE, Fault, Faulty, forge_a_signature

__all__ = ["FAULTS"]


@pytest.mark.parametrize(("parameters", "faults"), IN_ONE, ids=range(len(IN_ONE)))
def test_a_fault_is_counted_where_its_alarm_looks(
    parameters: dict[str, str], faults: tuple[Fault, ...]
) -> None:
    with Stack(parameters) as stack:
        world = Faulty(stack)
        for name, service, drive in faults:
            before = world.counted(name, service)
            drive(world)
            assert world.counted(name, service) > before, name


def test_a_forged_signature_is_counted_by_its_reason() -> None:
    with Stack() as stack:
        world = Faulty(stack)
        forge_a_signature(world)
        assert world.counted("Refused", "authorizer", reason="signature") == 1
