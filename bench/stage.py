"""What every measurement stands on: the issuer on loopback, and who may take part."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import nodes, tls
from bench.issuer import Issuer
from rehearsal.node import NodeError, install

type Say = Callable[[str], None]


def say(line: str) -> None:
    """Tell how far it is: on standard error, the results are on standard output."""
    print(f"bench: {line}", file=sys.stderr, flush=True)


@contextmanager
def stage() -> Iterator[tuple[Issuer, Path]]:
    """Have an issuer whom this process and its children trust, and its authority's certificate."""
    with tempfile.TemporaryDirectory() as folder:
        context, authority, bundle = tls.make(Path(folder))
        os.environ.update(trust(bundle))
        with Issuer(context) as issuer:
            yield issuer, authority


def trust(bundle: Path) -> dict[str, str]:
    """Return the standard variables that name a bundle, and no proxy for loopback."""
    return {
        "SSL_CERT_FILE": str(bundle),
        "REQUESTS_CA_BUNDLE": str(bundle),
        "NO_PROXY": tls.LOOPBACK,
    }


@contextmanager
def node(authority: Path) -> Iterator[nodes.Node | None]:
    """Have the Node side, or None where there is no Node; that is said."""
    try:
        executable = nodes.find()
        install(say, nodes.FOLDER)
    except NodeError as error:
        say(f"without the verifiers of Node: {error}")
        yield None
        return
    with nodes.Node(executable, authority) as process:
        yield process
