"""A server on loopback by the socket: each connection is played by a script, in a thread."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl


class SocketServer:
    """``with SocketServer(play) as server``; ``play`` is given each connection."""

    def __init__(
        self, play: Callable[[socket.socket], None], *, host: str = "127.0.0.1", backlog: int = 64
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.context: ssl.SSLContext | None = None
        """The server's side of TLS; without one plain TCP is spoken."""
        self.asked = 0
        """How many connections there were, also those that came to nothing."""
        self.gone = threading.Event()
        """Set when the test is over, so that no script outlives it."""
        self._play = play
        self._socket = socket.create_server((host, 0), family=family, backlog=backlog)
        self._threads = [threading.Thread(target=self._serve)]
        self.port: int = self._socket.getsockname()[1]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gone.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.asked += 1
            thread = threading.Thread(target=self._played, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _played(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.settimeout(5)
            if self.context is None:
                self._play(connection)
                return
            with self.context.wrap_socket(connection, server_side=True) as secured:
                self._play(secured)
