"""HTTP as this project speaks it: one request, one answer, bounded in time and size.

HTTPS only, plain HTTP on loopback only; redirects are not followed (an attacker who controls one
answer must not choose the next host), bodies are capped, and one deadline covers connecting,
shaking hands, sending and reading, because a server that drips a byte a second, in a body or in a
header, defeats a time-out per read. Looking up a name is the system's, and bounded by it.
An answer that breaks off is no answer.

No retries, no cookies, no proxies, no pool: a frozen Lambda would keep dead connections.
http.client and ssl are half the import time of urllib3.
"""

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol, cast
from urllib.parse import SplitResult, urlsplit

from machine_identity.errors import SettingsError, TransportError
from machine_identity.records import hidden, record

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

MAX_BYTES: Final = 256 * 1024
"""API Gateway itself reads key sets of at most 150 kB; nothing honest is larger than this."""

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CHUNK: Final = 16 * 1024


@record
class Response:
    """What a server answered: status, headers with lower-case names, and the whole body."""

    status: int
    headers: Mapping[str, str] = hidden()
    body: bytes = hidden()


class Transport(Protocol):
    """Sends one request. Raises TransportError when there is no usable answer."""

    def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout: timedelta,
    ) -> Response:
        """Send the request and read the answer, all of it within ``timeout``."""
        ...


_contexts: list[ssl.SSLContext] = []


def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes | None = None,
    timeout: timedelta,
) -> Response:
    """Send one request over HTTPS, or over HTTP to loopback: the Transport of production."""
    deadline = time.monotonic() + timeout.total_seconds()
    parts = _parts(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection = _connection(parts)
        sock = _connected(connection.host, connection.port, deadline)
        with closing(_Wire(sock, deadline)) as wire:
            if parts.scheme == "https":
                wire.secure(_context(), connection.host)
            connection.sock = wire
            connection.request(method, target, body, {"Accept-Encoding": "identity", **headers})
            return _answer(wire, method)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = type(error).__name__
        raise TransportError(f"no answer from {parts.hostname}: {reason}") from None
    except _UnusableError as error:
        raise TransportError(f"{parts.hostname} answers with {error}") from None


def check(url: str) -> None:
    """Say of a setting whether it can be asked at all. Raises SettingsError."""
    try:
        _parts(url)
    except TransportError as error:
        raise SettingsError(str(error)) from None


def prepare(url: str) -> None:
    """Make ready to ask ``url``: whoever does at its start spares its first caller 25 ms."""
    if url.startswith("https://"):
        _context()


class _UnusableError(Exception):
    """There is an answer, and it is not taken."""


class _Wire(io.RawIOBase):
    """A connected socket whose every use ends at one deadline; http.client takes it for a socket.

    A time-out of the socket's own would begin anew with every byte that arrives.
    """

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Speak TLS from here on, with whoever proves to be ``host``."""
        # An end that TLS does not announce is a cut, and whoever cut it is not the server.
        self._sock = context.wrap_socket(
            self._timed(), server_hostname=host.encode("ascii"), suppress_ragged_eofs=False
        )

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        return self._timed().recv_into(buffer)

    def sendall(self, data: "ReadableBuffer") -> None:
        self._timed().sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def close(self) -> None:
        self._sock.close()
        super().close()

    def _timed(self) -> socket.socket:
        self._sock.settimeout(_left(self._deadline))
        return self._sock


def _parts(url: str) -> SplitResult:
    """Return the URL in parts. Raises TransportError unless it may be spoken to."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise TransportError("that is not a URL") from None
    spoken = parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)
    if not (spoken and host):
        raise TransportError(f"only https is spoken, and {host or 'that'} is not it")
    if "@" in parts.netloc:
        raise TransportError(f"a URL that names a user of {host} is not spoken to")
    return parts


def _connection(parts: SplitResult) -> http.client.HTTPConnection:
    """Return what writes the request; it is given its socket, and opens none."""
    host, port = str(parts.hostname), parts.port
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, 80 if port is None else port)
    return http.client.HTTPSConnection(host, 443 if port is None else port, context=_context())


def _context() -> ssl.SSLContext:
    """Return the one TLS context, made when it is wanted: reading the system's CAs takes time."""
    if not _contexts:
        _contexts.append(ssl.create_default_context())
    return _contexts[0]


def _connected(host: str, port: int, deadline: float) -> socket.socket:
    """Connect to the first address of the host that takes it, all attempts within the deadline."""
    failure = OSError()
    # In octets, because a URL is ASCII and text would have Python load IDNA's tables (2 ms).
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host.encode("ascii"), port, type=socket.SOCK_STREAM
    ):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(_left(deadline))
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
    raise failure


def _answer(wire: _Wire, method: str) -> Response:
    with http.client.HTTPResponse(cast("socket.socket", wire), method=method) as response:
        response.begin()
        if response.status in _REDIRECTS:
            raise _UnusableError("a redirect, which is never followed")
        return Response(
            status=response.status,
            headers=_combined(response.getheaders()),
            body=_read(response),
        )


def _combined(lines: list[tuple[str, str]]) -> dict[str, str]:
    """Join the lines of one name by commas (RFC 9110 section 5.3): none of them is lost."""
    headers: dict[str, str] = {}
    for line, text in lines:
        name, value = line.lower(), text.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _read(response: http.client.HTTPResponse) -> bytes:
    content = bytearray()
    while chunk := response.read1(_CHUNK):
        content += chunk
        if len(content) > MAX_BYTES:
            raise _UnusableError(f"more than {MAX_BYTES} bytes, which are not read")
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    return bytes(content)


def _left(deadline: float) -> float:
    """Return the seconds up to the deadline. Raises TimeoutError when there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
