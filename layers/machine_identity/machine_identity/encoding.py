"""Base64url and JSON, each read in one way or not at all: for what strangers sign and publish.

1. Base64url (RFC 4648 section 5) without padding, line breaks or spare bits, so that no text can
   be altered and still mean the same.
2. JSON (RFC 8259) in UTF-8 without a byte order mark: one object, no deeper than sixteen.
3. No object names a member twice, at any depth: two readers would take two values.
4. A whole number has no more digits than 64 bits have, and no number is beyond a double's range:
   neither NaN nor Infinity, which are Python's and not JSON's, nor 1e400.
5. No escape writes half a surrogate pair, which no UTF-8 text can hold (RFC 8259 section 8.2).

It looks at no member, and bounds no length: that is the caller's, before it asks.
"""

import binascii
import json
from collections.abc import Callable
from typing import Any, Final

MAX_DEPTH: Final = 16
"""Objects and arrays inside one another; access tokens are seen with five."""
MAX_DIGITS: Final = 20
"""Of a whole number: 64 bits, which is all that another reader would understand alike."""
UNREADABLE: Final = object()
"""Stands where ``readable_parts`` found what has no one meaning; equal to nothing but itself."""

_SPACE: Final = " \t\n\r"
_BEYOND: Final = frozenset({float("inf"), float("-inf")})
_FROM_URL_ALPHABET: Final = bytes.maketrans(b"-_+/=", b"+/***")
_LAST: Final = {2: b"AQgw", 3: b"AEIMQUYcgkosw048"}
"""Letters whose spare bits are zero, by how many letters the last group has."""


def base64url(text: bytes) -> bytes:
    """Decode base64url in its one canonical form (rule 1). Raises ValueError."""
    rest = len(text) % 4
    if rest and (rest not in _LAST or text[-1] not in _LAST[rest]):
        raise ValueError
    padded = text.translate(_FROM_URL_ALPHABET) + b"=" * (-rest % 4)
    return binascii.a2b_base64(padded, strict_mode=True)


def json_object(content: bytes) -> dict[str, Any]:
    """Return the members of a JSON object that rules 2 to 5 hold for, all of it.

    Raises ValueError, or RecursionError where the stack is smaller than the text is deep.
    """
    text = content.decode().strip(_SPACE)
    value = _object(_whole, text)
    if "\\" in text:
        json.dumps(value, ensure_ascii=False).encode()
    return value


def readable_parts(content: bytes) -> dict[str, Any]:
    """Return the members of a JSON object, with UNREADABLE inside where rule 3 or 4 fails.

    So one bad part of a list does not cost the good ones; it is for the caller to leave it out.
    Rule 5 is the caller's too: a text with half a surrogate pair cannot be encoded. Raises as
    ``json_object`` does, also for NaN and if the object itself names a member twice.
    """
    return _object(_parts, content.decode().strip(_SPACE))


def _object(decoder: json.JSONDecoder, text: str) -> dict[str, Any]:
    value, end = decoder.raw_decode(text)
    if end != len(text) or not isinstance(value, dict):
        raise ValueError
    if text.count("{") + text.count("[") > MAX_DEPTH:
        _check_depth(value)
    return value


def _check_depth(value: object) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        objects = [each for each in level if isinstance(each, dict)]
        level = [inner for each in level if isinstance(each, list) for inner in each]
        level += [inner for each in objects for inner in each.values()]
    if any(isinstance(each, dict | list) for each in level):
        raise ValueError


def _refused() -> object:
    raise ValueError


def _marked() -> object:
    return UNREADABLE


def _no_number(_: str) -> object:
    raise ValueError


def _decoder(ambiguous: Callable[[], object]) -> json.JSONDecoder:
    """Return a decoder that asks ``ambiguous`` what to put where rule 3 or 4 does not hold."""

    def unique(pairs: list[tuple[str, Any]]) -> object:
        members = dict(pairs)
        return members if len(members) == len(pairs) else ambiguous()

    def whole_number(digits: str) -> object:
        return int(digits) if len(digits) <= MAX_DIGITS else ambiguous()

    def fraction(digits: str) -> object:
        number = float(digits)
        return ambiguous() if number in _BEYOND else number

    return json.JSONDecoder(
        object_pairs_hook=unique,
        parse_int=whole_number,
        parse_float=fraction,
        parse_constant=_no_number,
    )


_whole: Final = _decoder(_refused)
_parts: Final = _decoder(_marked)
