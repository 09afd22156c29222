"""How keys are brought to the server of a client, as ``clients.json`` says it.

The member ``upload`` of an entry is one of these; without it an operator brings the keys, or the
server comes for them.

- ``{"object_id": "…"}`` for an application of Entra ID that has certificates, with ``graph``
  beside it in a national cloud;
- ``{"registration": "ssm:/machine-identity/STACK"}`` for a client that registered itself with its
  key set (RFC 7592): the store in which ``machine-identity client`` keeps the registration, under
  the name that the client has here.
"""

from collections.abc import Mapping
from typing import Final

from machine_identity.client_credentials import printable
from machine_identity.client_registration.places import OF_FUNCTION, place
from machine_identity.errors import SettingsError
from machine_identity.providers import (
    GRAPH,
    Bringing,
    ByGraph,
    ByManagement,
    Provider,
    Registration,
    is_guid,
)
from machine_identity.settings.environment import checked_url

_REGISTRATION: Final = "registration"
_MEMBERS: Final = ("object_id", "graph", _REGISTRATION)


def upload(given: object, provider: Provider, label: str) -> Bringing:
    """Return how keys are brought there. Raises SettingsError."""
    members = given if isinstance(given, dict) else {}
    if not members or not all(isinstance(each, str) for each in members.values()):
        raise SettingsError(f"{label} must be an object whose values are strings")
    if unknown := sorted(set(map(str, members)) - set(_MEMBERS)):
        raise SettingsError(
            f"{label} knows {', '.join(_MEMBERS)}, and not {printable(unknown[0])}"
        )
    if _REGISTRATION in members:
        return _by_management(members, provider, label)
    return _by_graph(members, provider, label)


def _by_graph(members: Mapping[str, str], provider: Provider, label: str) -> ByGraph:
    if not provider.wants_certificates:
        raise SettingsError(f"{label}: there is none for the provider {provider.name}")
    object_id = members.get("object_id", "")
    if not is_guid(object_id):
        raise SettingsError(f"{label}: object_id must be a GUID, that of the application object")
    root = checked_url(f"{label}: graph", members.get("graph", GRAPH))
    return ByGraph(object_id=object_id.lower(), root=root.removesuffix("/"))


def _by_management(members: Mapping[str, str], provider: Provider, label: str) -> ByManagement:
    if len(members) > 1:
        raise SettingsError(f"{label}: registration stands alone, without object_id and graph")
    if Registration.JWKS not in provider.registration:
        raise SettingsError(
            f"{label}: registration is for a server that is given a key set, and the provider "
            f"{provider.name} takes none"
        )
    found = place(members[_REGISTRATION])
    if found is None or not found.is_of_function:
        raise SettingsError(f"{label}: registration must be {OF_FUNCTION}")
    return ByManagement(store=members[_REGISTRATION])
