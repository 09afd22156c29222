"""Providers as JSON: the table's entries, and a few lines of an operator's own.

A name that is no field, a value of the wrong kind, or one that would make an assertion unsafe is
one sentence with the name and the rule. A duration is a whole number of what its field's name
ends in. A custom provider may be ``like`` one of the table and say only what differs; what it does
not say and resembles nobody is the careful value.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from enum import StrEnum
from typing import Any, Final, TypeGuard

from machine_identity.client_assertion import CLAIMS, HEADERS
from machine_identity.errors import SettingsError
from machine_identity.jwk import ALGORITHMS
from machine_identity.providers.entry import (
    AssertionIssuer,
    Audience,
    Grant,
    JtiRule,
    Kind,
    Provider,
    Registration,
    Source,
)

_MOST_TEXT: Final = 600
_LONGEST: Final = 7 * 86400
"""Seconds: a cache or a lifetime of more than a week is a slip of the pen."""
_LONGEST_FETCH: Final = 60_000
_REQUIRED: Final = ("audience", "typ", "algorithms")


class _NotThatError(Exception):
    """What a value must be, which it is not."""


def entry(name: str, members: Mapping[str, Any]) -> Provider:
    """Return the provider that the table's members tell of. Raises SettingsError."""
    for each in _REQUIRED:
        if each not in members:
            raise SettingsError(f"{name}: {each} is not set, and it is required")
    return _whole(Provider(name=name, **_given(name, members)))


def custom(name: str, members: Mapping[str, Any], known: Mapping[str, Provider]) -> Provider:
    """Return an operator's own provider, ``like`` a known one or from nothing. SettingsError."""
    members = {**members}
    like = members.pop("like", None)
    if like is None:
        return entry(name, members)
    if not isinstance(like, str) or like not in known:
        raise SettingsError(f"{name}: like must be one of {', '.join(known)}")
    return _whole(replace(known[like], name=name, sources=(), **_given(name, members)))


def _given(name: str, members: Mapping[str, Any]) -> dict[str, Any]:
    read = [(each, _read(name, each, value)) for each, value in members.items()]
    return {_FIELDS[each][0]: value for each, value in read}


def _read(name: str, field: str, value: object) -> Any:  # noqa: ANN401 - of the field's own type
    if field not in _FIELDS:
        known = ", ".join(_FIELDS)
        raise SettingsError(f"{name}: there is no field of that name; a provider has {known}")
    try:
        return _FIELDS[field][1](value)
    except _NotThatError as error:
        raise SettingsError(f"{name}: {field} must be {error}") from None


def _whole(provider: Provider) -> Provider:
    """Return the provider if its facts agree with each other. Raises SettingsError."""
    if provider.audience is not Audience.FIXED and provider.fixed_audience:
        raise SettingsError(f"{provider.name}: fixed_audience goes with the audience fixed only")
    if provider.grant is Grant.CLIENT_CREDENTIALS and not provider.registration:
        raise SettingsError(f"{provider.name}: registration must name a way to register a key")
    is_fixed = provider.audience is Audience.FIXED and not provider.fixed_audience
    if provider.grant is Grant.CLIENT_CREDENTIALS and is_fixed:  # an exchange's may be the pool's
        raise SettingsError(f"{provider.name}: fixed_audience is required with audience fixed")
    return provider


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable() or len(value) > _MOST_TEXT:
        raise _NotThatError(f"a string of at most {_MOST_TEXT} printable characters")
    return value


def _one_of[E: StrEnum](kind: type[E]) -> Callable[[object], E]:
    def read(value: object) -> E:
        if not isinstance(value, str) or value not in set(kind):
            raise _NotThatError(f"one of {', '.join(kind)}")
        return kind(value)

    return read


def _some_of(allowed: tuple[str, ...]) -> Callable[[object], tuple[str, ...]]:
    def read(value: object) -> tuple[str, ...]:
        if not _is_texts(value) or not set(value) <= set(allowed) or len(set(value)) < len(value):
            raise _NotThatError(f"a list, each once, of {', '.join(allowed)}")
        return tuple(value)

    return read


def _is_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _registrations(value: object) -> tuple[Registration, ...]:
    return tuple(Registration(each) for each in _some_of(tuple(Registration))(value))


def _codes(value: object) -> tuple[str, ...]:
    if not _is_texts(value) or not value:
        raise _NotThatError("a list of error codes (RFC 6749 section 5.2)")
    return tuple(value)


def _header(value: object) -> tuple[str, ...]:
    read = _some_of(HEADERS)(value)
    if not {"kid", "x5t#S256"} & set(read):
        raise _NotThatError("a list with kid or x5t#S256 in it, since a key must be named")
    return read


def _algorithms(value: object) -> tuple[str, ...]:
    read = _some_of(ALGORITHMS)(value)
    if not read:
        raise _NotThatError(f"a list, not empty, of {', '.join(ALGORITHMS)}")
    return read


def _claims(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not _is_texts([*value.values()]) or value.keys() & CLAIMS:
        raise _NotThatError(f"an object of strings without {', '.join(sorted(CLAIMS))}")
    return {**value}


def _seconds(least: int) -> Callable[[object], timedelta]:
    def read(value: object) -> timedelta:
        if type(value) is not int or not least <= value <= _LONGEST:
            raise _NotThatError(f"a whole number from {least} to {_LONGEST}")
        return timedelta(seconds=value)

    return read


def _milliseconds(value: object) -> timedelta:
    if type(value) is not int or not 1 <= value <= _LONGEST_FETCH:
        raise _NotThatError(f"a whole number from 1 to {_LONGEST_FETCH}")
    return timedelta(milliseconds=value)


def _known(value: object) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise _NotThatError("true, false or null")
    return value


def _count(value: object) -> int | None:
    if value is not None and (type(value) is not int or value < 1):
        raise _NotThatError("a whole number from 1, or null")
    return value


def _sources(value: object) -> tuple[Source, ...]:
    if not isinstance(value, list):
        raise _NotThatError("a list")
    return tuple(_source(each) for each in value)


def _source(members: dict[str, Any]) -> Source:
    try:
        return Source(
            of=tuple(members["of"]),
            kind=Kind(members["kind"]),
            where=_text(members["where"]),
            on=date.fromisoformat(members["on"]),
            says=_text(members["says"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _NotThatError("objects with of, kind, where, on and says") from error


_FIELDS: Final[Mapping[str, tuple[str, Callable[[object], Any]]]] = {
    "title": ("title", _text),
    "grant": ("grant", _one_of(Grant)),
    "audience": ("audience", _one_of(Audience)),
    "fixed_audience": ("fixed_audience", _text),
    "issuer": ("issuer", _one_of(AssertionIssuer)),
    "typ": ("typ", _text),
    "header": ("header", _header),
    "algorithms": ("algorithms", _algorithms),
    "lifetime_limit_seconds": ("lifetime_limit", _seconds(1)),
    "jti": ("jti", _one_of(JtiRule)),
    "extra_claims": ("extra_claims", _claims),
    "registration": ("registration", _registrations),
    "key_set_cache_seconds": ("key_set_cache", _seconds(0)),
    "refetches_on_unknown_kid": ("refetches", _known),
    "fetch_limit_milliseconds": ("fetch_limit", _milliseconds),
    "most_keys": ("most_keys", _count),
    "leeway_seconds": ("leeway", _seconds(0)),
    "scope": ("scope", _text),
    "key_unknown": ("key_unknown", _codes),
    "cannot": ("cannot", _text),
    "sources": ("sources", _sources),
}
"""The field of ``Provider`` behind each name, and what reads its value."""
