"""A file that is kept fresh: when it is written anew, and what happens when it cannot be."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from machine_identity.cli.fresh_file import LONGEST_WAIT, FreshFile, write
from machine_identity.client_assertion import SigningError
from machine_identity.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class World:
    """A clock that waiting moves, a signer that fails when it is told to, and an end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.instant = START
        self.luck = 0.0
        self.ends_at = START
        self.signed_at: list[float] = []
        """Seconds from the start, of each try."""
        self.fault: Callable[[float], Exception | None] = lambda _: None
        self.said: list[str] = []
        self.waits: list[float] = []
        self.asleep = timedelta()
        self.file = FreshFile(
            path=path,
            lifetime=timedelta(seconds=300),
            sign=self._sign,
            say=self.said.append,
            clock=self,
        )

    def now(self) -> datetime:
        return self.instant

    def chance(self) -> float:
        return self.luck

    def is_set(self) -> bool:
        return self.instant >= self.ends_at

    def wait(self, timeout: float) -> bool:
        self.waits.append(timeout)
        self.instant += timedelta(seconds=timeout) + self.asleep
        return self.is_set()

    def _sign(self, now: datetime) -> str:
        assert now == self.instant
        at = (now - START).total_seconds()
        self.signed_at.append(at)
        fault = self.fault(at)
        if fault is not None:
            raise fault
        return f"assertion-of-{at:.0f}"

    def keep(self, seconds: float) -> None:
        self.ends_at = START + timedelta(seconds=seconds)
        self.file.keep(self)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "assertion")


def test_it_is_written_at_once_and_renewed_at_half_of_its_life(world: World) -> None:
    world.keep(301)
    assert world.signed_at == [0, 150, 300]
    assert world.path.read_text() == "assertion-of-300"
    assert world.said[0] == f"an assertion is in {world.path}, good until 2026-11-24T12:05:00Z"
    assert len(world.said) == 3


def test_chance_brings_a_renewal_forward_and_never_back(world: World) -> None:
    world.luck = 0.99
    world.keep(150)
    assert len(world.signed_at) == 2
    assert 135 <= world.signed_at[1] < 136


def test_told_to_end_it_ends_without_a_last_renewal_and_leaves_the_file(world: World) -> None:
    world.keep(140)
    assert world.signed_at == [0]
    assert world.path.read_text() == "assertion-of-0"


def test_told_to_end_before_it_began_it_writes_nothing(world: World) -> None:
    world.keep(0)
    assert not world.path.exists()


def test_a_signer_that_is_away_is_asked_again_ever_less_often_and_the_old_one_stays(
    world: World,
) -> None:
    world.fault = lambda at: SigningError("kms:Sign failed: Throttled") if 100 < at < 290 else None
    world.keep(400)
    # Half of 1, 2, 4 … 60 s by this chance; the file is good until 300.
    assert world.signed_at == [
        0,
        150,
        150.5,
        151.5,
        153.5,
        157.5,
        165.5,
        181.5,
        211.5,
        241.5,
        271.5,
        301.5,
    ]
    assert world.said[1] == (
        "no new assertion, the next try is in 0.5 s: kms:Sign failed: Throttled"
    )
    assert world.path.read_text() == "assertion-of-302"


def test_after_a_success_the_pauses_begin_anew(world: World) -> None:
    world.fault = lambda at: SigningError("away") if 100 < at < 151 or at > 290 else None
    world.keep(304)
    assert world.signed_at == [0, 150, 150.5, 151.5, 301.5, 302, 303]


def test_a_signer_that_is_away_from_the_start_is_waited_for(world: World) -> None:
    world.fault = lambda at: SigningError("away") if at < 5 else None
    world.keep(20)
    assert world.path.read_text() == "assertion-of-8"


def test_what_can_never_work_ends_it_from_the_start_and_is_waited_out_later(world: World) -> None:
    world.fault = lambda _: SettingsError("the key signs with RS384")
    with pytest.raises(SettingsError, match="RS384"):
        world.keep(20)
    world.fault = lambda at: SettingsError("no space left") if at == 150 else None
    world.signed_at.clear()
    world.keep(160)
    assert world.signed_at == [0, 150, 150.5]
    assert "no space left" in "".join(world.said)


def test_a_machine_that_was_asleep_renews_when_it_wakes(world: World) -> None:
    world.asleep = timedelta(hours=3)
    world.keep(4 * 3600)
    assert max(world.waits) <= LONGEST_WAIT.total_seconds()
    assert world.signed_at[1] == 3 * 3600 + 10


def test_a_clock_that_went_back_leads_to_a_renewal_and_to_no_long_wait(world: World) -> None:
    world.ends_at = START + timedelta(seconds=60)
    world.asleep = -timedelta(hours=1)
    tries = world.file

    def wait(timeout: float) -> bool:
        world.waits.append(timeout)
        if len(world.waits) == 1:
            world.instant -= timedelta(hours=1)
        else:
            world.instant = world.ends_at
        return world.is_set()

    world.wait = wait  # type: ignore[method-assign]
    tries.keep(world)
    assert world.signed_at == [0, -3600]


# The file


def test_only_its_owner_reads_it_whatever_was_there_before(tmp_path: Path) -> None:
    path = tmp_path / "assertion"
    path.write_text("old")
    path.chmod(0o644)
    write(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["assertion"]
    assert path.read_text() == "new"


def test_who_has_the_old_file_open_reads_the_old_one_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "assertion"
    write(path, "old assertion")
    with path.open() as reader:
        assert reader.read(3) == "old"
        write(path, "new")
        assert reader.read() == " assertion"


def test_what_cannot_be_written_is_told_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be written: No such file or directory"):
        write(tmp_path / "none" / "assertion", "new")
    (tmp_path / "folder").mkdir()
    with pytest.raises(SettingsError, match="cannot be written: Is a directory"):
        write(tmp_path / "folder", "new")
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]
