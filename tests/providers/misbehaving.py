"""An identity provider on loopback that misbehaves on real sockets, in one way after another.

What it does is a script: it is given a connection and who asks, and need not be polite.
"""

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    import ssl

SLOW: Final = 0.5
"""Seconds that a slow answer takes; callers here wait less."""
HUGE: Final = 10 * 1024 * 1024

type Script = Callable[["Provider", socket.socket], None]


class Provider:
    """``with Provider(jwks) as provider``; it publishes ``jwks`` until ``script`` is replaced."""

    def __init__(self, jwks: object, script: "Script | None" = None) -> None:
        self.jwks = jwks
        self.script: Script = script or good
        self.context: ssl.SSLContext | None = None
        """The server's side of TLS; without one plain HTTP is spoken."""
        self.asked = 0
        """How many connections there were, also those that came to nothing."""
        self.gone = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._threads = [threading.Thread(target=self._serve)]

    @property
    def jwks_uri(self) -> str:
        scheme = "http" if self.context is None else "https"
        return f"{scheme}://127.0.0.1:{self._socket.getsockname()[1]}/keys"

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
            thread = threading.Thread(target=self._play, args=(connection, self.script))
            self._threads.append(thread)
            thread.start()

    def _play(self, connection: socket.socket, script: Script) -> None:
        with suppress(OSError), connection:
            connection.settimeout(5)
            if self.context is None:
                _heard(connection)
                script(self, connection)
                return
            with self.context.wrap_socket(connection, server_side=True) as secured:
                _heard(secured)
                script(self, secured)
                secured.unwrap()


def _heard(connection: socket.socket) -> None:
    request = b""
    while b"\r\n\r\n" not in request:
        octets = connection.recv(65536)
        if not octets:
            raise ConnectionAbortedError
        request += octets


def _answered(body: bytes, status: int = 200, head: str = "") -> bytes:
    start = (
        f"HTTP/1.1 {status} It\r\ncontent-length: {len(body)}\r\nconnection: close\r\n{head}\r\n"
    )
    return start.encode() + body


def _document(provider: Provider) -> bytes:
    return json.dumps(provider.jwks).encode()


def good(provider: Provider, connection: socket.socket) -> None:
    """Answer with the key set."""
    connection.sendall(_answered(_document(provider)))


def slow(provider: Provider, connection: socket.socket) -> None:
    """Answer with the key set, after a while."""
    provider.gone.wait(SLOW)
    good(provider, connection)


def hanging(provider: Provider, _: socket.socket) -> None:
    """Never answer, and never hang up."""
    provider.gone.wait()


def dripping(provider: Provider, connection: socket.socket) -> None:
    """Answer with the key set, a byte every twentieth of a second."""
    for octet in _answered(_document(provider)):
        if provider.gone.wait(0.05):
            return
        connection.sendall(bytes([octet]))


def hanging_up(_: Provider, connection: socket.socket) -> None:
    """Close the connection without a word."""
    connection.shutdown(socket.SHUT_RDWR)


def status(code: int) -> Script:
    """Answer with an error."""
    return lambda _, connection: connection.sendall(_answered(b'{"error": "x"}', code))


def html(_: Provider, connection: socket.socket) -> None:
    """Answer 200 with a page to sign in at."""
    connection.sendall(_answered(b"<!doctype html><title>Sign in</title>"))


def huge(provider: Provider, connection: socket.socket) -> None:
    """Answer with a good key set of 10 MB."""
    connection.sendall(_padded(_document(provider)))


@cache
def _padded(document: bytes) -> bytes:
    return _answered(b'{"padding": "' + b"A" * HUGE + b'", ' + document[1:])


def truncated(provider: Provider, connection: socket.socket) -> None:
    """Answer with half of the key set, as if it were all."""
    document = _document(provider)
    connection.sendall(_answered(document[: len(document) // 2]))


def broken_off(provider: Provider, connection: socket.socket) -> None:
    """Answer with half of the key set, and hang up in the middle."""
    answer = _answered(_document(provider))
    connection.sendall(answer[: len(answer) // 2])


def redirect_loop(provider: Provider, connection: socket.socket) -> None:
    """Send everybody to where they are."""
    connection.sendall(_answered(b"", 302, f"location: {provider.jwks_uri}\r\n"))


def without_a_key(_: Provider, connection: socket.socket) -> None:
    """Answer with a key set in which there is no key."""
    connection.sendall(_answered(b'{"keys": []}'))


def in_turn(*scripts: Script) -> Script:
    """Play these by turns; the second who asks is given the first of two."""

    def script(provider: Provider, connection: socket.socket) -> None:
        scripts[provider.asked % len(scripts)](provider, connection)

    return script


def other_keys(jwks: object) -> Script:
    """Answer with another key set."""
    answer = _answered(json.dumps(jwks).encode())
    return lambda _, connection: connection.sendall(answer)
