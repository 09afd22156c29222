"""An identity provider on loopback that misbehaves on real sockets, in one way after another.

What it does is a script: it is given a connection and who asks, and need not be polite.
"""

import json
import socket
import ssl
from collections.abc import Callable
from functools import cache
from typing import Final

from tests.socket_server import SocketServer

SLOW: Final = 0.5
"""Seconds that a slow answer takes; callers here wait less."""
HUGE: Final = 10 * 1024 * 1024

type Script = Callable[["Provider", socket.socket], None]


class Provider(SocketServer):
    """``with Provider(jwks) as provider``; it publishes ``jwks`` until ``script`` is replaced."""

    def __init__(self, jwks: object, script: "Script | None" = None) -> None:
        super().__init__(self._answer)
        self.jwks = jwks
        self.script: Script = script or good

    @property
    def jwks_uri(self) -> str:
        scheme = "http" if self.context is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}/keys"

    def _answer(self, connection: socket.socket) -> None:
        script = self.script
        _heard(connection)
        script(self, connection)
        if isinstance(connection, ssl.SSLSocket):
            connection.unwrap()


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
