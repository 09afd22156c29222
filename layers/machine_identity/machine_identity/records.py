"""Records: classes of named members that never change, without the price of ``dataclasses``.

To a type checker (PEP 681) and to a reader, ``@record`` is ``@dataclass(frozen=True, slots=True,
kw_only=True)``. That one takes 10 ms to import, since it brings ``inspect``, ``ast``, ``dis`` and
``tokenize``, and 1 ms more for each class: together a quarter of the authorizer's cold start,
which is every caller's. So what the authorizer imports uses this, and all else ``dataclasses``.

Members are given by name; none can be set again or deleted. Records of one class with equal
members are equal. What is ``hidden`` no repr shows. A ``__post_init__`` is called, and methods of
the class's own are kept. ``copy.replace`` makes another with some members changed.

There is no inheritance, no member by position and no default that is made anew for each record.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn, dataclass_transform

_ABSENT: Final = object()
_NOT_COPIED: Final = frozenset({"__dict__", "__weakref__"})


class _Hidden:
    """Stands in a class's body for a member that is not shown, and its default."""

    def __init__(self, default: object) -> None:
        self.default = default


def hidden(*, default: object = _ABSENT) -> Any:  # noqa: ANN401 - as dataclasses.field does
    """Say of a member that it may hold what nobody else should read: no repr shows it."""
    return _Hidden(default)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(hidden,))
def record[T](cls: type[T]) -> type[T]:
    """Return the class as a record of its annotated members."""
    names = tuple(cls.__annotations__)
    body = {name: value for name, value in vars(cls).items() if name not in _NOT_COPIED}
    written = {name: body.pop(name) for name in names if name in body}
    concealed = {name: each.default for name, each in written.items() if isinstance(each, _Hidden)}
    methods = _methods(names, shown=[name for name in names if name not in concealed])
    kind: Any = type(cls)  # slots are given to a class when it is made, so it is made once more
    made: type[T] = kind(cls.__name__, cls.__bases__, {**methods, **body, "__slots__": names})
    defaults = {**written, **concealed}
    constructor = _constructor(
        made, names, {name: each for name, each in defaults.items() if each is not _ABSENT}
    )
    type.__setattr__(made, "__init__", constructor)
    return made


def _constructor(
    cls: type, names: tuple[str, ...], defaults: Mapping[str, object]
) -> Callable[..., None]:
    """Return an ``__init__`` that is written for the class: a loop takes twice as long."""
    scope = {f"put_{name}": getattr(cls, name).__set__ for name in names}
    scope |= {f"default_{name}": value for name, value in defaults.items()}
    members = ", ".join(f"{n}=default_{n}" if n in defaults else n for n in names)
    lines = [f"put_{name}(self, {name})" for name in names]
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    code = "\n    ".join([f"def __init__(self, *, {members}):", *lines])
    exec(code, scope)  # nosec B102 # noqa: S102 - nothing but names that stand in our own classes
    constructor: Callable[..., None] = scope["__init__"]
    return constructor


def _methods(names: tuple[str, ...], shown: list[str]) -> dict[str, object]:
    def members(self: object) -> dict[str, object]:
        return {name: getattr(self, name) for name in names}

    def equal(self: object, other: object) -> bool:
        return members(self) == members(other) if type(other) is type(self) else NotImplemented

    def represented(self: object) -> str:
        text = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{type(self).__name__}({text})"

    return {
        "__eq__": equal,
        "__hash__": lambda self: hash(tuple(members(self).values())),
        "__replace__": lambda self, /, **changes: type(self)(**members(self) | changes),
        "__repr__": represented,
        "__setattr__": _refuse,
        "__delattr__": _refuse,
    }


def _refuse(self: object, name: str, _: object = None) -> NoReturn:
    raise AttributeError(f"{name} of a {type(self).__name__} does not change")
