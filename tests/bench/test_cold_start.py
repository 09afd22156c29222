import re
from pathlib import Path

import pytest

from bench import cold_start
from bench.cold_start import AUTHORIZERS, NOTHING, TUTORIAL, Authorizer
from bench.issuer import Issuer
from bench.ours import NAME
from bench.probes import forged, probes

BENCH = cold_start.ROOT / "bench"
MINE, THEIRS = AUTHORIZERS[NAME], AUTHORIZERS[TUTORIAL]


@pytest.mark.parametrize("authorizer", [MINE, THEIRS], ids=["ours", "tutorial"])
def test_both_decide_alike_over_both_ways(issuer: Issuer, authorizer: Authorizer) -> None:
    for url in (issuer.url, issuer.plain_url):
        good = issuer.token("RS256", issuer.claims(issuer=url))
        start = cold_start.start(authorizer, url, good)
        assert start.decision
        assert 0.01 < start.cpu_seconds < 60
        assert 0.01 < start.seconds < 60
        assert 5_000 < start.peak_kib < 500_000
        assert not cold_start.start(authorizer, url, forged(good)).decision


def test_the_tutorial_s_is_no_straw_man(issuer: Issuer) -> None:
    tokens = probes(issuer, "RS256")
    for each in ("expired", "other issuer", "other audience", "scope missing"):
        assert not cold_start.start(THEIRS, issuer.url, tokens[each]).decision


def test_the_floor_decides_nothing_and_needs_less_memory(issuer: Issuer) -> None:
    good = issuer.token("RS256", issuer.claims())

    floor = cold_start.start(AUTHORIZERS[NOTHING], issuer.url, good)
    mine = cold_start.start(MINE, issuer.url, good)

    assert not floor.decision
    assert floor.peak_kib < mine.peak_kib
    assert floor.cpu_seconds < mine.cpu_seconds


FAITHFUL = """
import json, pathlib, os
def handler(event, context):
    good = pathlib.Path(__file__).with_suffix("." + os.environ["ISSUER"].partition(":")[0])
    token = event["headers"]["authorization"]
    if not good.exists():
        good.write_text(token)
    return {"isAuthorized": token == good.read_text()}
"""
"""Takes the first token that it sees, and no other: quick, where only the measuring is tested."""


def test_three_are_measured_in_units_of_the_tutorial_s(
    issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, (name, slowness) in enumerate(((NAME, 0), (TUTORIAL, 0.2))):
        source = f"import time; time.sleep({slowness})\n{FAITHFUL}"
        (tmp_path / f"faithful_{number}.py").write_text(source)
        quick = Authorizer(module=f"faithful_{number}", paths=(tmp_path,))
        monkeypatch.setitem(AUTHORIZERS, name, quick)
    said: list[str] = []

    starts = cold_start.measure(issuer, said.append, rounds=10)

    assert [each.name for each in starts] == [NAME, TUTORIAL, NOTHING]
    for each in starts:
        assert tuple(each.ratios) == cold_start.WAYS
        assert each.peak_mib > 1
        # Who sleeps keeps no processor busy.
        assert 0.1 < each.cpu.value < 10
    assert all(each.value == 1 for each in starts[1].ratios.values())
    quicker = (*starts[0].ratios.values(), *starts[2].ratios.values())
    assert all(each.value < 0.7 for each in quicker)
    assert len(said) == len(cold_start.WAYS)
    assert [each["authorizer"] for each in cold_start.plain(starts)] == [NAME, TUTORIAL, NOTHING]


@pytest.mark.parametrize(
    "source",
    [
        "raise SystemExit(3)",
        "raise ValueError('no key')",
        "def handler(event, context): raise ValueError('no key')",
        "import atexit, os; atexit.register(os._exit, 1); from nothing import handler",
    ],
)
def test_one_that_does_not_start_or_ends_badly_is_told(
    issuer: Issuer, tmp_path: Path, source: str
) -> None:
    (tmp_path / "broken.py").write_text(source)

    with pytest.raises(cold_start.ColdStartError, match="broken does not decide"):
        cold_start.start(Authorizer(module="broken", paths=(tmp_path, BENCH)), issuer.url, "token")


@pytest.mark.parametrize("answer", ["True", "False"])
def test_one_that_decides_wrongly_is_not_measured(
    issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    (tmp_path / "constant.py").write_text(f"handler = lambda *_: {{'isAuthorized': {answer}}}")
    monkeypatch.setitem(AUTHORIZERS, NAME, Authorizer(module="constant", paths=(tmp_path,)))

    with pytest.raises(cold_start.ColdStartError, match=re.escape(f"{NAME} answers {answer}")):
        cold_start.measure(issuer, lambda _: None, rounds=10)


def test_nothing_of_this_environment_reaches_what_is_measured(
    issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOW_ANY_CLIENT", "true")
    (tmp_path / "looking.py").write_text(
        "import os\n"
        "def handler(event, context):\n"
        "    return {'isAuthorized': 'ALLOW_ANY_CLIENT' not in os.environ and "
        "os.environ['REQUIRED_SCOPES'] == 'uppercase'}\n"
    )

    found = cold_start.start(Authorizer(module="looking", paths=(tmp_path,)), issuer.url, "token")

    assert found.decision
