import json
from collections.abc import Callable

import pytest

from bench import at_hand, report
from bench.at_hand import DICT, TOKEN, Get, Peer, Server, TokenError, mine
from bench.ours import NAME
from machine_identity.client_assertion import SigningKey


def peer(make: Callable[[SigningKey, Server], Get]) -> Peer:
    return Peer(name="slower", make=make)


def ten_times(key: SigningKey, server: Server) -> Get:
    get = mine(key, server)
    return lambda _: max(get(None) for _ in range(10))


def test_who_takes_ten_times_as_long_is_the_unit_and_ours_a_tenth_of_it() -> None:
    said: list[str] = []

    rows = at_hand.measure(peer(ten_times), said.append, rounds=20)

    assert [each.name for each in rows] == [NAME, "slower", DICT]
    assert 0.05 < rows[0].ratio.value < 0.2
    assert rows[2].ratio.value < rows[0].ratio.value
    assert [each.is_unit for each in rows] == [False, True, False]
    assert report.hands(rows).splitlines()[3] == "| slower | 1 |"
    assert len(said) == 1


def test_it_can_be_told_as_json() -> None:
    rows = at_hand.measure(peer(ten_times), lambda _: None, rounds=10)

    (first, *_) = json.loads(json.dumps(at_hand.plain(rows)))

    assert (first["client"], first["in_units_of"]) == (NAME, "slower")
    assert first["at_hand"]["ratio"] == rows[0].ratio.value


def forgetful(_: SigningKey, server: Server) -> Get:
    return lambda _: str(json.loads(server.answer("token"))["access_token"])


def inventive(*_: object) -> Get:
    return lambda _: TOKEN


def another(key: SigningKey, server: Server) -> Get:
    get = mine(key, server)
    return lambda _: get(None) + "x"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (forgetful, "asked its server while it was measured"),
        (inventive, "has a token that nobody gave it"),
        (another, "slower does not hand out its token"),
    ],
)
def test_who_has_no_token_at_hand_is_not_measured(
    make: Callable[[SigningKey, Server], Get], why: str
) -> None:
    with pytest.raises(TokenError, match=why):
        at_hand.measure(peer(make), lambda _: None, rounds=10)


def test_the_part_says_how_to_read_the_table() -> None:
    rows = at_hand.measure(peer(ten_times), lambda _: None, rounds=10)

    text = report.at_hand(rows)

    assert text.startswith("## A token at hand\n\n")
    assert text.endswith(report.hands(rows))
