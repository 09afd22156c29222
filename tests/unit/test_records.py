"""Records keep what ``@dataclass(frozen=True, slots=True, kw_only=True)`` promises of them."""

from copy import replace
from dataclasses import dataclass, field
from typing import Any

import pytest

from machine_identity.records import hidden, record


@record
class Point:
    """A place."""

    x: int
    y: int = 0
    secret: str = hidden(default="s3cret")

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("left of everything")

    @property
    def sum(self) -> int:
        return self.x + self.y


@record
class Other:
    x: int
    y: int = 0
    secret: str = hidden(default="s3cret")


@record
class Key:
    octets: bytes = hidden()

    __eq__, __hash__ = object.__eq__, object.__hash__


@dataclass(frozen=True, slots=True, kw_only=True)
class Standard:
    x: int
    y: int = 0
    secret: str = field(default="s3cret", repr=False)


MAKERS: list[Any] = [Point, Standard]


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("given", [{}, {"y": 1}, {"x": 1, "z": 1}, {"x": 1, "y": 1, "z": 1}])
def test_none_may_be_missing_or_left_over(kind: Any, given: dict[str, int]) -> None:
    with pytest.raises(TypeError):
        kind(**given)


@pytest.mark.parametrize("kind", MAKERS)
def test_members_are_given_by_name_and_have_their_defaults(kind: Any) -> None:
    made = kind(x=1)
    assert (made.x, made.y, made.secret) == (1, 0, "s3cret")
    made = kind(secret="other", y=3, x=2)
    assert (made.x, made.y, made.secret) == (2, 3, "other")
    with pytest.raises(TypeError):
        kind(1)


@pytest.mark.parametrize("kind", MAKERS)
def test_nothing_of_it_changes_and_nothing_is_added(kind: Any) -> None:
    made = kind(x=1)
    for name in ("x", "secret"):
        with pytest.raises(AttributeError):
            setattr(made, name, 2)
        with pytest.raises(AttributeError):
            delattr(made, name)
    with pytest.raises((AttributeError, TypeError)):
        made.z = 1
    assert not hasattr(made, "__dict__")
    assert made == kind(x=1)


@pytest.mark.parametrize("kind", MAKERS)
def test_equal_are_those_of_one_class_with_equal_members(kind: Any) -> None:
    made = kind(x=1)
    assert made == kind(x=1, y=0)
    assert hash(made) == hash(kind(x=1, y=0))
    for unlike in (kind(x=2), kind(x=1, y=1), kind(x=1, secret=""), Other(x=1), (1, 0, "s3cret")):
        assert made != unlike
    assert len({made, kind(x=1), kind(x=2)}) == 2


@pytest.mark.parametrize("kind", MAKERS)
def test_a_repr_shows_what_is_not_hidden(kind: Any) -> None:
    assert repr(kind(x=1)).rpartition(".")[2] == f"{kind.__name__}(x=1, y=0)"


@pytest.mark.parametrize("kind", MAKERS)
def test_another_is_made_with_some_members_changed(kind: Any) -> None:
    made = kind(x=1, secret="other")
    assert replace(made, y=5) == kind(x=1, y=5, secret="other")
    assert made.y == 0
    with pytest.raises(TypeError):
        replace(made, z=1)


def test_what_the_class_says_of_itself_is_kept() -> None:
    assert (Point.__doc__, Point.__name__, Point.__module__) == ("A place.", "Point", __name__)
    assert Point(x=1, y=2).sum == 3
    with pytest.raises(ValueError, match="left of everything"):
        Point(x=-1)
    with pytest.raises(ValueError, match="left of everything"):
        replace(Point(x=1), x=-1)


def test_a_class_with_an_equality_of_its_own_keeps_it() -> None:
    made = Key(octets=b"1")
    assert made != Key(octets=b"1")
    assert len({made, made, Key(octets=b"1")}) == 2
    assert repr(made) == "Key()"
    anything: Any = Key
    with pytest.raises(TypeError):
        anything()
