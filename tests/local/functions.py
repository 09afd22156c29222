"""Small functions in processes of their own, made from a few lines of source."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from local.clock import MovableClock
from local.functions import Function
from local.template import FunctionSpec


@contextmanager
def function(  # noqa: PLR0913 - all but two by name
    folder: Path,
    source: str,
    *,
    name: str = "EchoFunction",
    timeout: timedelta = timedelta(seconds=10),
    log_level: str = "INFO",
    clock: MovableClock | None = None,
    **environment: str,
) -> Iterator[Function]:
    """Give a function whose app.py has this source."""
    code = folder / name
    code.mkdir()
    (code / "app.py").write_text(source)
    spec = FunctionSpec(
        name=name,
        folder=code,
        handler="app.handler",
        environment=environment,
        timeout=timeout,
        log_level=log_level,
    )
    started = Function(
        spec,
        aws={"AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
        clock=clock or MovableClock(),
        log=folder / f"{name}.log",
    )
    try:
        yield started
    finally:
        started.close()


ECHO = "def handler(event, context):\n    return event\n"
