"""Where the tokens of registrations are kept, as an operator writes it down.

``ssm:/PATH``, ``secretsmanager:PREFIX`` or ``file:FOLDER``; the document of a client stands below
that under the client's name. Nothing is opened here.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

FORMS: Final = "ssm:/PATH, secretsmanager:PREFIX or file:FOLDER"
OF_FUNCTION: Final = "ssm:/machine-identity/STACK or secretsmanager:machine-identity/STACK"
"""The forms of a store that the token function's role reaches, with the stack's name in them."""

_ROOM: Final = "machine-identity"
_PATH: Final = re.compile(r"(/[A-Za-z0-9._-]+){1,14}/?")
"""Of a parameter: fifteen levels at most, the name among them."""
_PREFIX: Final = re.compile(r"[A-Za-z0-9/_+=.@-]{1,400}")
_FOLDER: Final = re.compile(r".+", re.DOTALL)


class Kind(StrEnum):
    """What keeps them."""

    PARAMETERS = "ssm"
    SECRETS = "secretsmanager"
    FILES = "file"


_SHAPES: Final = {Kind.PARAMETERS: _PATH, Kind.SECRETS: _PREFIX, Kind.FILES: _FOLDER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One store."""

    kind: Kind
    path: str

    @property
    def is_of_function(self) -> bool:
        """Whether the role of some stack's token function reaches it."""
        root = {Kind.PARAMETERS: f"/{_ROOM}", Kind.SECRETS: _ROOM}.get(self.kind)
        return root is not None and f"{self.path}/".startswith(f"{root}/")


def place(written: str) -> Place | None:
    """Return the store that is written so; None for what is none of ``FORMS``."""
    name, _, path = written.partition(":")
    for kind, shape in _SHAPES.items():
        if name == kind and shape.fullmatch(path):
            return Place(kind=kind, path=path)
    return None
