"""All that a life is at an instant, to come back to; what never changes is not copied."""

from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from typing import Any

from tests.outside import KmsKey


class Snapshot:
    """The members of all parts that have a memory."""

    def __init__(self, parts: Iterable[object]) -> None:
        self._kept = [(part, _members(part)) for part in parts]

    def restore(self) -> None:
        """Have every part be what it was."""
        for part, members in self._kept:
            for name, kept in members.items():
                standing, value = getattr(part, name), _copied(kept)
                if isinstance(standing, dict | set):  # others hold the same one
                    standing.clear()
                    standing.update(value)
                else:
                    setattr(part, name, value)


def _members(part: object) -> dict[str, Any]:
    names = [each.name for each in fields(part)] if is_dataclass(part) else list(vars(part))
    return {name: _copied(getattr(part, name)) for name in names}


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: replace(each) if isinstance(each, KmsKey) else each
            for name, each in value.items()
        }
    return value.copy() if isinstance(value, list | set) else value
