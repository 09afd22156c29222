"""What strangers write is read in one way or not at all: each rule, just enough and too little."""

import base64
import json
import math
from collections.abc import Callable

import pytest

from machine_identity.encoding import (
    UNREADABLE,
    base64url,
    json_object,
    readable_parts,
)

LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def encoded(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def refuses(read: Callable[[bytes], object], content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - ours says nothing, because it would quote
        read(content)


# Base64url


@pytest.mark.parametrize("length", range(9))
def test_rule_1_what_python_encodes_is_decoded(length: int) -> None:
    for content in (bytes(range(length)), b"\xff" * length, bytes(length)):
        assert base64url(encoded(content)) == content


@pytest.mark.parametrize("length", range(1, 7))
def test_rule_1_octets_have_one_spelling(length: int) -> None:
    content = b"\xfb" * length
    same = []
    for letter in LETTERS:
        spelling = encoded(content)[:-1] + bytes([letter])
        try:
            same += [spelling] if base64url(spelling) == content else []
        except ValueError:
            continue
    assert same == [encoded(content)]


@pytest.mark.parametrize(
    "text",
    [
        b"A",
        b"AAAAA",
        b"AA==",
        b"AAA=",
        b"AAAA====",
        b"=",
        b"AA=A",
        b"AAA\n",
        b" AAA",
        b"AA\r\nAA",
        b"AA+A",
        b"AA/A",
        b"AA*A",
        b"AA.A",
        b"AA\0A",
        b"AA\xc3\xa9",
    ],
)
def test_rule_1_padding_line_breaks_and_other_alphabets_are_refused(text: bytes) -> None:
    refuses(base64url, text)


# JSON

OPEN = b'{"x":'
WHOLE_ONLY = [
    pytest.param(b'{"a":{"b":1,"b":2}}', {"a": UNREADABLE}, id="member twice"),
    pytest.param(b'{"a":{"b":1,"\\u0062":2}}', {"a": UNREADABLE}, id="member twice, escaped"),
    pytest.param(b'{"a":[1,{"b":1,"b":1}]}', {"a": [1, UNREADABLE]}, id="member twice, in a list"),
    pytest.param(OPEN + b"1" * 21 + b"}", {"x": UNREADABLE}, id="21 digits"),
    pytest.param(OPEN + b"-" + b"1" * 20 + b"}", {"x": UNREADABLE}, id="a sign and 20 digits"),
    pytest.param(OPEN + b"1" * 5000 + b"}", {"x": UNREADABLE}, id="5000 digits"),
    pytest.param(OPEN + b"1e400}", {"x": UNREADABLE}, id="1e400"),
    pytest.param(OPEN + b"[-1e400,2]}", {"x": [UNREADABLE, 2]}, id="-1e400"),
]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        b"[]",
        b'"text"',
        b"7",
        b"null",
        b"{",
        b"{}{}",
        b"{} x",
        b"{}\0",
        b"{,}",
        b'{"a":1,}',
        b"{'a':1}",
        b"{a:1}",
        b'{"a":"\n"}',
        OPEN + b"01}",
        OPEN + b"+1}",
        OPEN + b".5}",
        OPEN + b"0x1}",
        OPEN + b"True}",
    ],
)
def test_rule_2_the_text_is_one_json_object(content: bytes) -> None:
    for read in (json_object, readable_parts):
        refuses(read, content)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf{}",
        b"{}\xc2\xa0",
        b"\x0c{}",
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\xc0\xaf"}',
        '{"a":1}'.encode("utf-16"),
        '{"a":1}'.encode("utf-16-le"),
        '{"a":1}'.encode("utf-32"),
    ],
)
def test_rule_2_the_text_is_utf_8_without_a_mark(content: bytes) -> None:
    for read in (json_object, readable_parts):
        refuses(read, content)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_rule_2_the_depth_is_bounded(opening: bytes) -> None:
    closing = b"]" if opening == b"[" else b"}"

    def deep(levels: int) -> bytes:
        return OPEN + opening * levels + b"1" + closing * levels + b"}"

    for read in (json_object, readable_parts):
        assert read(deep(15)) == json.loads(deep(15))
        refuses(read, deep(16))
        with pytest.raises((ValueError, RecursionError)):
            read(deep(100_000))


def test_rule_3_the_object_itself_names_no_member_twice() -> None:
    for content in (b'{"a":1,"a":1}', b'{"a":1,"\\u0061":2}'):
        for read in (json_object, readable_parts):
            refuses(read, content)


@pytest.mark.parametrize(("content", "parts"), WHOLE_ONLY)
def test_rules_3_and_4_hold_for_the_whole_or_cost_a_part(
    content: bytes, parts: dict[str, object]
) -> None:
    refuses(json_object, content)
    assert readable_parts(content) == parts


@pytest.mark.parametrize("word", [b"NaN", b"Infinity", b"-Infinity"])
def test_rule_4_python_s_words_for_no_number_are_not_json(word: bytes) -> None:
    for read in (json_object, readable_parts):
        refuses(read, OPEN + word + b"}")


@pytest.mark.parametrize("content", [b'{"a":"\\ud800"}', b'{"\\udfff":1}', b'{"a":["\\udc00"]}'])
def test_rule_5_half_a_surrogate_pair_is_refused(content: bytes) -> None:
    with pytest.raises(UnicodeEncodeError):
        json_object(content)
    assert readable_parts(content) == json.loads(content)


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b' {"a" : "b"}\r\n\t',
        '{"a":"Zoë 🙂"}'.encode(),
        b'{"a":"\\ud83d\\ude42"}',
        b'{"a":"\xef\xbb\xbf"}',
        b'{"a":{"b":1},"c":{"b":1}}',
        b'{"a":1,"A":2}',
        OPEN + b"1" * 20 + b"}",
        OPEN + b"-" + b"1" * 19 + b"}",
        OPEN + b"1.5e300}",
        OPEN + b"-0.5}",
        OPEN + b"1e-400}",
        OPEN + b'"' + b"[{" * 100 + b'"}',
        OPEN + b"[[],{}," * 8 + b"1" + b"]" * 8 + b"}",
    ],
)
def test_and_everything_within_the_rules_is_read_as_python_reads_it(content: bytes) -> None:
    assert json_object(content) == readable_parts(content) == json.loads(content)


def test_what_is_unreadable_is_equal_to_nothing_that_a_text_can_say() -> None:
    assert UNREADABLE not in (None, "", 0, False, [], {}, math.inf)
