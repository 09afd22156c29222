"""What a JOSE header and a JWK have in common: the name of a key, and what leads to certificates.

``kid`` is RFC 7515 section 4.1.4 and RFC 7517 section 4.5; ``x5u``, ``x5c``, ``x5t`` and
``x5t#S256`` are sections 4.1.5 to 4.1.8 of the one and 4.6 to 4.9 of the other. Here stands of
which type they are; that nobody looks at a certificate or follows a URL is everybody else's.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeGuard

MAX_KEY_ID: Final = 256

_HTTPS: Final = "https://"

type Types = Mapping[str, Callable[[object], bool]]
"""By a member's name, whether a value is of its type."""


def is_key_id(value: object) -> TypeGuard[str]:
    """Whether a value can name a key."""
    return isinstance(value, str) and 0 < len(value) <= MAX_KEY_ID


def is_text(value: object) -> bool:
    """Whether it is a string."""
    return isinstance(value, str)


def is_url(value: object) -> bool:
    """Whether it is a URL as RFC 7515 wants one that leads to keys: with TLS."""
    return isinstance(value, str) and value.startswith(_HTTPS)


def are_typed(members: Mapping[str, Any], types: Types) -> bool:
    """Whether each member that is there, and has a type, is of it."""
    return all(is_right(members[name]) for name, is_right in types.items() if name in members)


def _is_chain(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


CERTIFICATES: Final[Types] = {
    "x5u": is_url,
    "x5c": _is_chain,
    "x5t": is_text,
    "x5t#S256": is_text,
}
