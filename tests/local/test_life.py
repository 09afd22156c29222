"""The life of keys: what looks add up to, what the picture shows of it, and a run in small."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from local.client import Client
from local.life.lane import span
from local.life.looks import APART, CLOSE, NEAR, Look, Row, key_lives, passed, pause_after
from local.life.picture import draw
from local.life.record import KeyLife, Life, Span, Turn, Waits
from local.life.run import live
from local.stack import Stack
from machine_identity.providers import DEFAULT, PROVIDERS
from machine_identity.settings.rotation import contract

ROOT = Path(__file__).parent.parent.parent
PICTURE = (ROOT / "docs" / "life-of-keys.svg").read_text()
SVG = "{http://www.w3.org/2000/svg}"
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)


def parsed(picture: str) -> ET.Element:
    return ET.fromstring(picture)  # noqa: S314 - our own picture


def recorded(picture: str) -> Life:
    metadata = parsed(picture).find(f"{SVG}metadata")
    assert metadata is not None
    return Life.from_json(str(metadata.text))


def assert_promises(life: Life) -> None:
    """Hold a record to the rules: one key signs, public long before and long after."""
    active = [bar for key in life.keys for bar in life.bars(key) if bar.state == "active"]
    assert active[0].begins_at == timedelta()
    assert active[-1].ends_at == life.until
    assert all(one.ends_at == other.begins_at for one, other in pairwise(active))
    signed = Counter(at for key in life.keys for at in life.looks_in(key.signed))
    assert signed == Counter(life.looks)
    for key in life.keys:
        assert_public_around_its_signatures(life, key)


def assert_public_around_its_signatures(life: Life, key: KeyLife) -> None:
    at = {turn.state: turn.at for turn in key.turns}
    began, removed_at = key.turns[0].at, at.get("removed", life.until + SECOND)
    assert life.looks_in(key.public) == tuple(
        look for look in life.looks if began <= look < removed_at
    )
    for signed in key.signed:
        assert at["active"] <= signed.first
        assert signed.last < at.get("retired", life.until + SECOND)
    if at.keys() >= {"standby", "active"}:
        assert at["active"] - at["standby"] >= life.waits.publication_interval
    if at.keys() >= {"retired", "removed"}:
        assert at["removed"] - at["retired"] >= life.waits.retire_interval


class TestTheDocumentedPicture:
    """docs/life-of-keys.svg; to draw it takes minutes, to check it does not."""

    def test_it_is_what_its_own_record_draws_byte_for_byte(self) -> None:
        assert draw(recorded(PICTURE)) == PICTURE

    def test_its_run_kept_every_promise_under_the_waits_that_the_documents_state(self) -> None:
        life = recorded(PICTURE)
        policy = contract(PROVIDERS[DEFAULT])
        assert life.provider == DEFAULT
        assert life.waits == Waits(
            rotation_interval=policy.rotation_interval,
            publication_interval=policy.publication_interval(),
            retire_interval=policy.retire_interval,
        )
        assert life.refused == 0
        assert life.accepted >= len(life.looks)
        assert_promises(life)

    def test_its_three_rollovers_came_when_due_and_not_a_tick_later(self) -> None:
        life = recorded(PICTURE)
        policy = contract(PROVIDERS[DEFAULT])
        assert len(life.rollovers()) == 3
        for each in life.rollovers():
            signed_for = each.at - (life.keys[each.old].came_into("active") or timedelta())
            stayed_for = each.removed_at - each.at
            assert timedelta() <= signed_for - policy.rotation_interval <= policy.tick_interval
            assert timedelta() <= stayed_for - policy.retire_interval <= policy.tick_interval
            assert life.keys[each.new].came_into("active") == each.at


def row(kid: str, state: str, since: timedelta, not_before: timedelta | None = None) -> Row:
    until = None if not_before is None else START + not_before
    return Row(kid=kid, state=state, since=START + since, not_before=until)


def look(at: timedelta, *rows: Row, public: str = "", signer: str | None = None) -> Look:
    return Look(at=START + at, rows=rows, public=frozenset(public), signer=signer)


class TestLooks:
    def test_keys_go_by_their_order_and_times_by_the_start_and_each_state_counts_once(
        self,
    ) -> None:
        first, second = row("z", "active", 0 * HOUR), row("a", "standby", SECOND)
        looks = (
            look(1 * HOUR, first, second, public="za", signer="z"),
            look(2 * HOUR, first, second, public="za", signer="z"),
            look(
                4 * HOUR,
                row("z", "retired", 3 * HOUR),
                row("a", "active", 3 * HOUR),
                public="za",
                signer="a",
            ),
        )
        z, a = key_lives(looks)
        assert z.turns == (
            Turn(state="active", at=0 * HOUR),
            Turn(state="retired", at=3 * HOUR),
        )
        assert a.turns == (
            Turn(state="standby", at=0 * HOUR),
            Turn(state="active", at=3 * HOUR),
        )
        assert z.signed == (Span(first=1 * HOUR, last=2 * HOUR),)
        assert a.signed == (Span(first=4 * HOUR, last=4 * HOUR),)
        assert z.public == a.public == (Span(first=1 * HOUR, last=4 * HOUR),)
        assert z.deleted_at is None

    def test_a_gap_is_not_bridged(self) -> None:
        active = row("z", "active", 0 * HOUR)
        seen = ("z", "", "z", "z")
        looks = [look(n * HOUR, active, public=each) for n, each in enumerate(seen)]
        (key,) = key_lives(looks)
        assert key.public == (
            Span(first=0 * HOUR, last=0 * HOUR),
            Span(first=2 * HOUR, last=3 * HOUR),
        )
        assert key.signed == ()

    def test_a_key_that_is_gone_was_deleted_when_status_had_said(self) -> None:
        removed = row("z", "removed", 0 * HOUR, not_before=7 * DAY)
        other = row("a", "active", 0 * HOUR)
        there, gone = look(6 * DAY, removed, other), look(8 * DAY, other)
        assert key_lives((there,))[0].deleted_at is None
        assert key_lives((there, gone))[0].deleted_at == 7 * DAY

    @pytest.mark.parametrize(
        ("after", "minutes"), [(29 * SECOND, 0), (31 * SECOND, 1), (-29 * SECOND, 0)]
    )
    def test_a_time_is_given_to_the_nearest_minute(self, after: timedelta, minutes: int) -> None:
        assert passed(START, START + after) == minutes * MINUTE

    @pytest.mark.parametrize(
        ("at", "pause"),
        [
            (0 * HOUR, CLOSE),
            (NEAR, CLOSE),
            (NEAR + SECOND, APART),
            (30 * DAY - NEAR - SECOND, APART),
            (30 * DAY - NEAR, CLOSE),
            (30 * DAY + NEAR, CLOSE),
            (30 * DAY + NEAR + SECOND, APART),
        ],
    )
    def test_looks_are_close_around_what_status_names_and_apart_elsewhere(
        self, at: timedelta, pause: timedelta
    ) -> None:
        assert pause_after(look(at, row("z", "active", 0 * DAY, 30 * DAY))) == pause

    def test_looks_are_close_while_a_retired_key_is_still_public(self) -> None:
        retired = row("z", "retired", 0 * DAY, 30 * DAY)
        assert pause_after(look(15 * DAY, retired)) == CLOSE

    def test_from_a_look_apart_the_next_one_comes_before_the_close_ones_are_over(self) -> None:
        assert APART < NEAR


def key(*turns: tuple[str, int], signed: tuple[int, int] | None = None) -> KeyLife:
    states = tuple(Turn(state=state, at=hours * HOUR) for state, hours in turns)
    span = None if signed is None else Span(first=signed[0] * HOUR, last=signed[1] * HOUR)
    return KeyLife(
        turns=states,
        public=() if span is None else (span,),
        signed=() if span is None else (span,),
        deleted_at=None,
    )


@pytest.fixture
def life() -> Life:
    """A rollover at hour 100 of 200."""
    return Life(
        provider="rfc10070",
        looks=tuple(n * HOUR for n in range(201)),
        waits=Waits(
            rotation_interval=100 * HOUR, publication_interval=10 * HOUR, retire_interval=20 * HOUR
        ),
        accepted=201,
        refused=0,
        keys=(
            key(("active", 0), ("retired", 100), ("removed", 121), signed=(0, 99)),
            key(("standby", 0), ("active", 100), signed=(100, 200)),
            key(("standby", 100)),
        ),
    )


def bars(picture: str, group: str) -> list[tuple[str, float, float]]:
    """Return the bars of a lane: state, left and right."""
    rects = parsed(picture).findall(f".//{SVG}g[@id='{group}']/{SVG}rect")
    return [
        (each.attrib["class"].split()[1], float(each.attrib["x"]), right(each)) for each in rects
    ]


def right(rect: ET.Element) -> float:
    return float(rect.attrib["x"]) + float(rect.attrib["width"])


def texts(picture: str) -> list[str]:
    return [str(each.text) for each in parsed(picture).iter(f"{SVG}text")]


def marks(picture: str, kind: str, group: str) -> Iterator[ET.Element]:
    for each in parsed(picture).findall(f".//{SVG}g[@id='{group}']/*"):
        if each.attrib.get("class") == kind:
            yield each


class TestPicture:
    def test_a_record_comes_back_from_json_as_it_was(self, life: Life) -> None:
        gone = replace(life.keys[0], deleted_at=9 * DAY)
        kept = replace(life, keys=(gone, *life.keys[1:]))
        assert Life.from_json(kept.to_json()) == kept
        assert json.loads(kept.to_json())["keys"][0]["deleted_at"] == 9 * 24 * 60

    @pytest.mark.parametrize("lane", ["key-1", "key-2", "key-3", "rollover-key-1"])
    def test_the_bars_of_a_key_adjoin(self, life: Life, lane: str) -> None:
        drawn = bars(draw(life), lane)
        assert drawn
        for (_, _, end), (_, begin, _) in pairwise(drawn):
            assert end == pytest.approx(begin, abs=0.02)

    def test_active_bars_never_overlap_and_leave_no_gap(self, life: Life) -> None:
        picture = draw(life)
        lanes = [bars(picture, f"key-{n}") for n in (1, 2, 3)]
        active = [bar for lane in lanes for bar in lane if bar[0] == "active"]
        assert active[0][2] == pytest.approx(active[1][1], abs=0.02)
        grid = [float(each.attrib["x1"]) for each in marks(picture, "grid", "life")]
        assert (active[0][1], active[-1][2]) == pytest.approx((grid[0], 930), abs=0.02)

    def test_a_bar_s_length_is_its_time(self, life: Life) -> None:
        (_, left, _), (_, _, end) = bars(draw(life), "key-2")
        ((_, begin, middle), (_, _, retired_end), _) = bars(draw(life), "key-1")
        assert (middle - begin) / (end - left) == pytest.approx(100 / 200, abs=0.001)
        assert (retired_end - middle) / (end - left) == pytest.approx(21 / 200, abs=0.001)

    def test_a_key_that_kms_deleted_ends_there(self, life: Life) -> None:
        gone = replace(life.keys[0], deleted_at=160 * HOUR)
        shown = replace(life, keys=(gone, *life.keys[1:]))
        whole = 930 - bars(draw(shown), "key-1")[0][1]
        _, begin, end = bars(draw(shown), "key-1")[-1]
        assert (end - begin) / whole == pytest.approx(39 / 200, abs=0.001)

    def test_the_lens_shows_the_waits_as_long_as_they_are(self, life: Life) -> None:
        picture = draw(life)
        (_, _, at), *_ = bars(picture, "rollover-key-1")
        an_hour = (bars(picture, "rollover-key-1")[1][2] - at) / 21
        retire = next(marks(picture, "wait", "rollover-key-1"))
        publication = next(marks(picture, "wait", "rollover-key-3"))
        for wait, hours in ((retire, 20), (publication, 10)):
            assert float(wait.attrib["x1"]) == pytest.approx(at, abs=0.02)
            assert float(wait.attrib["x2"]) - at == pytest.approx(hours * an_hour, abs=0.05)
        hatched = [float(line.attrib["x2"]) for line in marks(picture, "hatch", "rollover-key-3")]
        assert at < max(hatched) <= at + 10 * an_hour + 0.02

    def test_only_the_wait_of_a_standby_key_is_hatched_and_no_line_leaves_it(
        self, life: Life
    ) -> None:
        picture = draw(life)
        assert not list(marks(picture, "hatch", "key-1"))
        for lane in ("key-2", "key-3"):
            (state, begin, end), *_ = bars(picture, lane)
            assert state == "standby"
            lines = [each.attrib for each in marks(picture, "hatch", lane)]
            assert lines
            assert min(float(each["x1"]) for each in lines) >= begin - 0.01
            assert max(float(each["x2"]) for each in lines) < end
            assert len({(float(e["x2"]) - float(e["x1"]) > 0) for e in lines}) == 1

    def test_the_lens_shows_each_look_of_its_time_and_no_other(self, life: Life) -> None:
        picture = draw(life)
        # From 8 hours before the rollover to 8 after the removal.
        assert len(list(marks(picture, "signature", "rollover-key-1"))) == 8
        assert len(list(marks(picture, "signature", "rollover-key-2"))) == 30
        assert len(list(marks(picture, "fetch", "rollover-key-2"))) == 30
        assert len(list(marks(picture, "signature", "rollover-key-3"))) == 0
        assert "active: 100 assertions" in texts(picture)

    def test_the_handover_is_drawn_where_it_was(self, life: Life) -> None:
        picture = draw(life)
        for group, lane in (("life", "key-2"), ("rollover", "rollover-key-2")):
            (arrow,) = marks(picture, "handover", group)
            _, begin, _ = bars(picture, lane)[1]
            assert float(arrow.attrib["x1"]) == float(arrow.attrib["x2"])
            assert float(arrow.attrib["x1"]) == pytest.approx(begin, abs=0.02)

    def test_without_a_whole_rollover_there_is_no_lens(self, life: Life) -> None:
        short = replace(life, keys=(key(("active", 0)), key(("standby", 0))))
        assert "rollover" not in draw(short).replace("a rollover every", "")
        assert bars(draw(short), "key-1")

    def test_text_is_text_whatever_it_says(self, life: Life) -> None:
        hostile = replace(life, provider='<script>"&\N{SNOWMAN}</text>')
        picture = draw(hostile)
        assert not list(parsed(picture).iter(f"{SVG}script"))
        assert recorded(picture) == hostile
        assert any(hostile.provider in words for words in texts(picture))
        assert picture.isascii()

    def test_it_is_told_in_words_and_needs_nothing_from_elsewhere(self, life: Life) -> None:
        picture = parsed(draw(life))
        names = [picture.find(f"{SVG}{each}") for each in ("title", "desc")]
        ids = [each.attrib["id"] for each in names if each is not None]
        assert picture.attrib["aria-labelledby"].split() == ids
        assert "Key 1: active from day 0.0, retired from day 4.2" in str(
            getattr(names[1], "text", "")
        )
        everything = [each.attrib.get("id") for each in picture.iter() if "id" in each.attrib]
        assert len(everything) == len(set(everything))
        assert "http" not in draw(life).replace("http://www.w3.org/2000/svg", "")
        assert "url(" not in draw(life)

    def test_every_class_has_its_colour_by_day_and_by_night(self, life: Life) -> None:
        style = str(getattr(parsed(draw(life)).find(f"{SVG}style"), "text", ""))
        day, night = style.split("@media (prefers-color-scheme: dark)")
        for each in parsed(draw(life)).iter():
            kind = each.attrib.get("class", "").split()[-1:]
            if kind and each.tag != f"{SVG}text":
                assert f".{kind[0]}" in day
                assert f".{kind[0]}" in night

    @pytest.mark.parametrize(
        ("duration", "words"),
        [
            (timedelta(), "0 min"),
            (24 * HOUR + 6 * MINUTE, "24 h 6 min"),
            (48 * HOUR - MINUTE, "47 h 59 min"),
            (48 * HOUR + 6 * MINUTE, "2 days 6 min"),
            (30 * DAY + 2 * HOUR, "30 days 2 h"),
        ],
    )
    def test_a_duration_is_said_as_a_person_says_it(self, duration: timedelta, words: str) -> None:
        assert span(duration) == words

    def test_the_lens_counts_its_hours_from_the_rollover(self, life: Life) -> None:
        picture = draw(life)
        written = parsed(picture).findall(f"{SVG}g[@id='rollover']/{SVG}text")
        places = {str(each.text): float(each.attrib["x"]) for each in written}
        (arrow,) = marks(picture, "handover", "rollover")
        assert places["0"] == pytest.approx(float(arrow.attrib["x1"]), abs=0.02)
        assert places["\N{MINUS SIGN}8"] == pytest.approx(88, abs=0.02)

    def test_the_lens_leaves_out_who_is_removed_before_or_made_after(self, life: Life) -> None:
        gone, staying = key(("standby", 0), ("removed", 92)), key(("standby", 0), ("removed", 93))
        early, late = key(("standby", 128)), key(("standby", 129))
        # The lens begins 8 hours before the rollover of hour 100, and ends 8 after hour 121.
        picture = draw(replace(life, keys=(*life.keys, gone, staying, early, late)))
        numbers = range(1, 8)
        shown = [number for number in numbers if bars(picture, f"rollover-key-{number}")]
        assert shown == [1, 2, 3, 5, 6]

    def test_the_window_frames_in_the_whole_what_the_lens_shows(self, life: Life) -> None:
        picture = parsed(draw(life))
        (window,) = (each for each in picture if each.attrib.get("class") == "window")
        corners = window.attrib["d"].removeprefix("M ").split(" L ")
        left, end = (float(each.split()[0]) for each in corners[:2])
        an_hour = (930 - 88) / 200
        assert left == pytest.approx(88 + 92 * an_hour, abs=0.02)
        assert end == pytest.approx(88 + 129 * an_hour, abs=0.02)

    def test_nothing_that_has_a_time_is_drawn_beside_the_scale(self, life: Life) -> None:
        for each in parsed(draw(life)).iter():
            if each.attrib.get("class", "").split()[:1] == ["wait"]:
                assert 88 <= float(each.attrib["x1"]) <= float(each.attrib["x2"]) <= 930.01
        for number in (1, 2, 3):
            for _, left, end in bars(draw(life), f"rollover-key-{number}"):
                assert 88 <= left <= end <= 930.01

    @pytest.mark.parametrize("days", [1, 7, 30, 100, 365])
    def test_the_axis_has_whole_days_few_enough_to_read(self, life: Life, days: int) -> None:
        looks = tuple(n * DAY for n in range(days + 1))
        shown = replace(life, looks=looks, keys=(key(("active", 0)), key(("standby", 0))))
        group = parsed(draw(shown)).findall(f"{SVG}g[@id='life']/{SVG}text")
        *numbers, unit = [str(each.text) for each in group]
        assert unit == "days"
        assert numbers[0] == "0"
        assert 2 <= len(numbers) <= 17
        steps = {int(other) - int(one) for one, other in pairwise(numbers)}
        assert len(steps) == 1


def test_a_real_rollover_has_one_active_key_at_every_instant_and_keeps_its_waits() -> None:
    # A provider that caches for a minute, and an operator's word: a life in hours.
    with Stack({"Provider": "oidc-provider"}) as stack:
        client = Client(lambda_url=stack.addresses["lambda"], api_url=stack.api_url)
        client.invoke("RotationFunction", {"command": "rotate"})
        told = list[timedelta]()
        life = live(stack, 5 * HOUR, tell=told.append)
    assert sum(told, timedelta()) == 5 * HOUR == life.until
    assert (life.provider, life.refused) == ("oidc-provider", 0)
    states = [[turn.state for turn in key.turns] for key in life.keys]
    assert states == [["active", "retired", "removed"], ["standby", "active"], ["standby"]]
    assert_promises(life)
    assert recorded(draw(life)) == life


@pytest.mark.parametrize("words", [(), ("--json",)], ids=["picture", "record"])
def test_the_command_prints_the_picture_or_the_record_and_all_else_beside_it(
    words: tuple[str, ...],
) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "local", "life", "--days", "1", *words],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    life = Life.from_json(made.stdout) if words else recorded(made.stdout)
    assert life.until == DAY
    assert "Living" in made.stderr
    assert_promises(life)
