"""HTTP as this project speaks it: one request, one answer, bounded in time and size.

HTTPS only, plain HTTP on loopback only; redirects are not followed (an attacker who controls one
answer must not choose the next host), bodies are capped, and one deadline covers connecting,
sending and reading, because a server that drips a byte a second defeats a time-out per read.
No retries, no cookies, no proxies, no pool: a frozen Lambda would keep dead connections.
http.client and ssl are half the import time of urllib3.
"""

import http.client
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Protocol
from urllib.parse import urlsplit

from machine_identity.errors import TransportError

MAX_BYTES: Final = 256 * 1024
"""API Gateway itself reads key sets of at most 150 kB; nothing honest is larger than this."""

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_CHUNK: Final = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What a server answered: status, headers with lower-case names, and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


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
    """Send one request over HTTPS, or over HTTP to loopback; this is the Transport of production."""
    deadline = time.monotonic() + timeout.total_seconds()
    host = urlsplit(url).hostname
    connection = _connection(url, timeout.total_seconds())
    try:
        target = url[url.index("/", url.index("//") + 2) :] if url.count("/") > 2 else "/"
        connection.request(method, target, body, {"Accept-Encoding": "identity", **headers})
        response = connection.getresponse()
        content = _read(response, connection, deadline)
        names = {name.lower(): value for name, value in response.getheaders()}
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise TransportError(f"no answer from {host}: {type(error).__name__}") from None
    finally:
        connection.close()
    if response.status in {301, 302, 303, 307, 308}:
        raise TransportError(f"{host} answers with a redirect, which is never followed")
    return Response(status=response.status, headers=names, body=content)


def _connection(url: str, timeout: float) -> http.client.HTTPConnection:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise TransportError("that is not a URL") from None
    if host and parts.scheme == "https":
        if not _contexts:
            _contexts.append(ssl.create_default_context())
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=_contexts[0])
    if host in _LOOPBACK and parts.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=timeout)
    raise TransportError(f"only https is spoken, and {host or 'that'} is not it")


def _read(
    response: http.client.HTTPResponse, connection: http.client.HTTPConnection, deadline: float
) -> bytes:
    content = bytearray()
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if connection.sock is not None:
            connection.sock.settimeout(left)
        chunk = response.read1(_CHUNK)
        if not chunk:
            return bytes(content)
        content += chunk
        if len(content) > MAX_BYTES:
            raise TransportError(f"an answer of more than {MAX_BYTES} bytes is not read")
