"""Reads environment variables; what is missing or wrong becomes one sentence with name and rule.

An empty variable counts as absent: CloudFormation has no other way to leave one out.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlsplit

from machine_identity.errors import SettingsError

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

_IDENTITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NUMBER = re.compile(r"[0-9]{1,18}")
_URL = re.compile(r"[!-~]+")
"""RFC 3986 section 2: printable ASCII; urlsplit drops line breaks without a word."""


class Environment:
    """A view of the variables that a function was started with."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def text(self, name: str, default: str | None = None) -> str:
        """Return the variable, or ``default``; without a default it is required."""
        value = self._variables.get(name, "").strip() or default
        if value is None:
            raise SettingsError(f"{name} is not set, and it is required")
        return value

    def identity(self) -> str:
        """Return the name of the identity, which is the folder of its documents in the buckets."""
        return checked_identity("IDENTITY", self.text("IDENTITY", "default"))

    def words(self, name: str, default: str = "") -> tuple[str, ...]:
        """Return a list whose entries are separated by spaces; absent means empty."""
        return tuple(self.text(name, default).split())

    def choice(self, name: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        """Return the variable, which must be one of ``allowed``."""
        value = self.text(name, default)
        if value not in allowed:
            raise SettingsError(f"{name} must be one of {', '.join(allowed)}")
        return value

    def flag(self, name: str) -> bool:
        """Return whether the variable says ``true``; absent means false."""
        return self.choice(name, ("true", "false"), "false") == "true"

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        """Return a whole number within bounds, both included."""
        value = self.text(name, str(default))
        if not _NUMBER.fullmatch(value) or not least <= int(value) <= most:
            raise SettingsError(f"{name} must be a whole number from {least} to {most}")
        return int(value)

    def seconds(self, name: str, default: int, *, least: int, most: int) -> timedelta:
        """Return a duration that the variable gives in whole seconds."""
        return timedelta(seconds=self.number(name, default, least=least, most=most))

    def url(self, name: str, default: str | None = None) -> str:
        """Return an absolute URL: https, or http on loopback; no query, no fragment."""
        return checked_url(name, self.text(name, default))


def checked_identity(name: str, value: str) -> str:
    """Return ``value`` if an identity may be called that."""
    if not _IDENTITY.fullmatch(value):
        raise SettingsError(f"{name} must be at most 64 letters, digits, '.', '_' and '-'")
    return value


def checked_url(name: str, value: str) -> str:
    """Return ``value`` if it is https (or http on loopback) without query, fragment or user."""
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise SettingsError(f"{name} is not a URL") from None
    secure = parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)
    written = _URL.fullmatch(value) and not set(value) & set("?#\\")
    if not (secure and host and written) or "@" in parts.netloc:
        raise SettingsError(f"{name} must be an https URL without query, fragment or user")
    return value
