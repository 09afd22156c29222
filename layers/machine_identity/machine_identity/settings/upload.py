"""How keys are brought to the server of a client, as ``clients.json`` says it.

The member ``upload`` of an entry is ``{"object_id": "…"}`` for an application of Entra ID that has
certificates, with ``graph`` beside it in a national cloud. Without it an operator brings the keys.
"""

import re
from typing import Final

from machine_identity.client_credentials import printable
from machine_identity.errors import SettingsError
from machine_identity.providers import GRAPH, ByGraph, Provider
from machine_identity.settings.environment import checked_url

_GUID: Final = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_MEMBERS: Final = ("object_id", "graph")


def upload(given: object, provider: Provider, label: str) -> ByGraph:
    """Return how keys are brought there. Raises SettingsError."""
    members = given if isinstance(given, dict) else {}
    if not members or not all(isinstance(each, str) for each in members.values()):
        raise SettingsError(f"{label} must be an object whose values are strings")
    if unknown := sorted(set(map(str, members)) - set(_MEMBERS)):
        raise SettingsError(
            f"{label} knows {', '.join(_MEMBERS)}, and not {printable(unknown[0])}"
        )
    if not provider.wants_certificates:
        raise SettingsError(f"{label}: there is none for the provider {provider.name}")
    object_id = members.get("object_id", "")
    if not _GUID.fullmatch(object_id):
        raise SettingsError(f"{label}: object_id must be a GUID, that of the application object")
    root = checked_url(f"{label}: graph", members.get("graph", GRAPH))
    return ByGraph(object_id=object_id.lower(), root=root.removesuffix("/"))
