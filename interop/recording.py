"""The plugin that records: a test hands what it saw to ``shown``, which counts once it passed.

With ``--into FILE`` the session writes the document there at its end, if all of it has passed.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

import pytest

from interop.trials import Party, Trial, document

_SEEN: Final = pytest.StashKey[list[Trial]]()
_DONE: Final = pytest.StashKey[list[Trial]]()


class Shown(Protocol):
    """Writes down what a test saw of a party."""

    def __call__(self, party: Party, role: str, shown: str, algorithm: str = "") -> None:
        """Write down one trial."""
        ...


def pytest_addoption(parser: pytest.Parser) -> None:
    """Know --into."""
    parser.addoption("--into", type=Path, help="write what was shown into this file")


def pytest_configure(config: pytest.Config) -> None:
    """Begin with nothing shown."""
    config.stash[_DONE] = []


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Refuse to write what a part of the run has shown."""
    if items and items[0].config.option.into:
        raise pytest.UsageError("a run of a part shows a part: --into needs all of it")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Take over what the test has seen."""
    yield
    if _SEEN in item.stash:
        seen = item.stash[_SEEN]
        item.config.stash[_DONE].extend(seen)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the document."""
    into: Path | None = session.config.option.into
    if into is not None and exitstatus == pytest.ExitCode.OK:
        done = session.config.stash[_DONE]
        into.write_text(document(done))


@pytest.fixture
def shown(request: pytest.FixtureRequest) -> Shown:
    """Return what writes down a trial of this test."""
    seen: list[Trial] = []
    request.node.stash[_SEEN] = seen

    def write_down(party: Party, role: str, shown: str, algorithm: str = "") -> None:
        seen.append(Trial(party=party, role=role, shown=shown, algorithm=algorithm))

    return write_down
