"""Docker as far as ``sam local`` needs it: is it there, has it the image, and a way to the host.

A container has a loopback of its own, and our code speaks plain HTTP to loopback only, by the name
``localhost`` as well. So the containers get a second address for that name, the one under which
Docker shows them the host (``sam local --add-host``), and a ``Relay`` at that address passes on to
the host's loopback: a URL with ``localhost`` in it is then the same thing inside and outside.
"""

import platform
import select
import shutil
import socket
import socketserver
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

ROOT: Final = Path(__file__).parent.parent.parent
ARCHITECTURE: Final = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
IMAGE: Final = f"public.ecr.aws/lambda/python:3.13-{ARCHITECTURE}"
_STAND_IN: Final = ROOT.parent / "shared" / "lambda-image" / "build"
"""Makes a stand-in for the image on a machine that reaches no registry of containers."""


def reason_to_skip() -> str | None:
    """Return why ``sam local`` cannot run here, or None; gets the image if it can be had."""
    if not _runs("docker", "info") and not _makes_stand_in():
        return "Docker is not running here"
    is_there = _runs("docker", "image", "inspect", IMAGE) or _makes_stand_in()
    if not is_there and not _runs("docker", "pull", "--quiet", IMAGE):
        return f"the image {IMAGE} is not here and cannot be pulled"
    with socket.socket() as probe, suppress(OSError):
        probe.bind((host_address(), 0))
        return None
    return "Docker's address for this host is not one that this host can listen at"


def host_address() -> str:
    """Return the address under which a container reaches this host."""
    read = ("run", "--rm", "--add-host", "host:host-gateway", "--entrypoint", "cat", IMAGE)
    hosts = _output("docker", *read, "/etc/hosts")
    return next(line.split()[0] for line in hosts.splitlines() if line.split()[1:] == ["host"])


class Relay:
    """Passes connections to ``address``:``port`` on to the same port of this host's loopback."""

    def __init__(self, address: str, port: int) -> None:
        self._server = _Server((address, port), _Passage)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; what passes through now may end in its own time."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False


class _Passage(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        port = self.request.getsockname()[1]
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as inner:
            ends = {self.request: inner, inner: self.request}
            while True:
                for end in select.select(list(ends), [], [])[0]:
                    content = end.recv(65536)
                    if not content:
                        return
                    ends[end].sendall(content)


def _makes_stand_in() -> bool:
    return ARCHITECTURE == "x86_64" and _STAND_IN.exists() and _runs(str(_STAND_IN))


def _runs(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
