"""HTTP as this project speaks it: one request, one answer, bounded in time and size.

HTTPS only, plain HTTP on loopback only; redirects are not followed (an attacker who controls one
answer must not choose the next host), and one deadline covers connecting, shaking hands, sending
and reading, because a server that drips a byte a second, in a body or in a header, defeats a
time-out per read. Looking up a name is the system's, and bounded by it. What is written and how an
answer is read is ``http1``'s.

No retries, no cookies, no proxies, no pool: a frozen Lambda would keep dead connections.
"""

import socket
import ssl
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final, Protocol, Self
from urllib.parse import SplitResult, urlsplit

from machine_identity import http1
from machine_identity.errors import SettingsError, TransportError
from machine_identity.http1 import Response, UnusableResponseError

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_PORTS: Final = {"https": 443, "http": 80}
_CHUNK: Final = 16 * 1024


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


def send(  # noqa: PLR0913 - a Transport's own, and who wants to know of the first byte
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes | None = None,
    timeout: timedelta,
    at_first_byte: Callable[[], None] | None = None,
) -> Response:
    """Send one request over HTTPS, or over HTTP to loopback: the Transport of production.

    ``at_first_byte`` is called once, as soon as anything of an answer has arrived.
    """
    deadline = time.monotonic() + timeout.total_seconds()
    parts = _parts(url)
    try:
        octets = http1.request(method, parts, headers, body)
        return _answered(parts, octets, deadline, at_first_byte)
    except (OSError, ValueError) as error:
        reason = type(error).__name__
        raise TransportError(f"no answer from {parts.hostname}: {reason}") from None
    except UnusableResponseError as error:
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


class _Wire:
    """A connected socket whose every use ends at one deadline.

    A time-out of the socket's own would begin anew with every byte that arrives.
    """

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Speak TLS from here on, with whoever proves to be ``host``."""
        # An end that TLS does not announce is a cut, and whoever cut it is not the server.
        self._sock = context.wrap_socket(
            self._timed(), server_hostname=host.encode("ascii"), suppress_ragged_eofs=False
        )

    def send(self, octets: bytes) -> None:
        """Send all of it."""
        self._timed().sendall(octets)

    def receive(self) -> bytes:
        """Return what comes next; nothing when the other side has ended."""
        return self._timed().recv(_CHUNK)

    def _timed(self) -> socket.socket:
        self._sock.settimeout(_left(self._deadline))
        return self._sock


def _answered(
    url: SplitResult, request: bytes, deadline: float, at_first_byte: Callable[[], None] | None
) -> Response:
    """Send the request to the host of ``url`` and read what it answers."""
    host = str(url.hostname)
    port = _PORTS[url.scheme] if url.port is None else url.port
    with _Wire(_connected(host, port, deadline), deadline) as wire:
        if url.scheme == "https":
            wire.secure(_context(), host)
        wire.send(request)
        reading, octets = http1.Reading(), wire.receive()
        if octets and at_first_byte is not None:
            at_first_byte()
        while (answer := reading.take(octets)) is None:
            octets = wire.receive()
    if answer.status in _REDIRECTS:
        raise UnusableResponseError("a redirect, which is never followed")
    return answer


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


def _context() -> ssl.SSLContext:
    """Return the one TLS context, made when it is wanted: reading the system's CAs takes time."""
    if not _contexts:
        _contexts.append(ssl.create_default_context())
    return _contexts[0]


def _connected(host: str, port: int, deadline: float) -> socket.socket:
    """Connect to the first address of the host that answers in half of what is left.

    The last may take all of it. Equal shares would be too short where there are many addresses.
    """
    # In octets, because a URL is ASCII and text would have Python load IDNA's tables (2 ms).
    found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
    failure = OSError()
    for number, (family, kind, protocol, _, address) in enumerate(found):
        try:
            share = _left(deadline) / min(2, len(found) - number)
            return _opened(socket.socket(family, kind, protocol), address, share)
        except OSError as error:
            failure = error
    raise failure


def _opened(sock: socket.socket, address: object, seconds: float) -> socket.socket:
    try:
        sock.settimeout(seconds)
        sock.connect(address)  # type: ignore[arg-type] # as getaddrinfo gave it
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        sock.close()
        raise
    return sock


def _left(deadline: float) -> float:
    """Return the seconds up to the deadline. Raises TimeoutError when there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
