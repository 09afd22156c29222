"""What each authorization server asks of an assertion and of the keys behind it, as data.

``entry`` says what can be known of a provider, ``document`` reads it from JSON, and ``table.json``
has what is known of those that people use: each fact with its source and the day it was read.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from machine_identity.providers.document import custom, entry
from machine_identity.providers.entry import (
    ASSERTION_LIFETIME,
    CAREFUL_FETCH_LIMIT,
    CAREFUL_KEY_SET_CACHE,
    CAREFUL_LEEWAY,
    GRAPH,
    AssertionIssuer,
    Audience,
    Bringing,
    ByGraph,
    ByManagement,
    Client,
    Grant,
    JtiRule,
    Kind,
    Provider,
    Registration,
    Source,
    is_guid,
)

__all__ = [
    "ASSERTION_LIFETIME",
    "CAREFUL_FETCH_LIMIT",
    "CAREFUL_KEY_SET_CACHE",
    "CAREFUL_LEEWAY",
    "DEFAULT",
    "GRAPH",
    "NAMES",
    "PROVIDERS",
    "AssertionIssuer",
    "Audience",
    "Bringing",
    "ByGraph",
    "ByManagement",
    "Client",
    "Grant",
    "JtiRule",
    "Kind",
    "Provider",
    "Registration",
    "Source",
    "custom",
    "is_guid",
]

_TABLE: Final = json.loads(Path(__file__).with_name("table.json").read_text(encoding="utf-8"))

PROVIDERS: Final[Mapping[str, Provider]] = MappingProxyType(
    {name: entry(name, members) for name, members in _TABLE.items()}
)
NAMES: Final = tuple(name for name, each in PROVIDERS.items() if each.grant is not Grant.NONE)
"""Those for which a deployment can be made."""
DEFAULT: Final = "rfc10070"
