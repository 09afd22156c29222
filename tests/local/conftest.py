"""An authorization server at which one client is registered, for the tests of its modules."""

from collections.abc import Iterator

import pytest

from tests.local.authorization import Publisher, World


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    made = Publisher()
    yield made
    made.close()


@pytest.fixture
def world(publisher: Publisher) -> Iterator[World]:
    made = World(publisher)
    with made.server:
        made.register()
        yield made
