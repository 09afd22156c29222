"""What the tests' HTTP servers on loopback share: a port of their own, a thread, and silence."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class Quiet:
    """Makes a handler print nothing: the tests look at all that is printed."""

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # closing waits for every answer, so that none spills into a next test

    def handle_error(self, *_: object) -> None:
        """Say nothing of a client that did not wait for its answer."""


class Loopback:
    """A server that answers by its handler while it is a context."""

    def __init__(
        self,
        handler: type[BaseHTTPRequestHandler],
        server: type[ThreadingHTTPServer] = _Server,
    ) -> None:
        self._http = server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"
