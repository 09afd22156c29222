"""One exchange of HTTP/1.1 as octets (RFC 9112): a request written, an answer read, no socket.

1. A request has no line that a receiver could read as two, or as none: printable ASCII only.
2. An answer is read by llhttp, Node's parser, as strictly as it can: no bare line feed, no folded
   line, no second length, no length beside chunks; nor is any transfer encoding but chunks taken.
   What is refused is no answer.
3. An answer that breaks off is no answer; without a length the end of the connection is its end.
4. Interim answers (1xx) are passed over, trailers and what follows the answer are not looked at.
5. A body has at most 256 KiB, all before it about 64, and all that arrives twice as much.

The standard library's http.client brings the package for mail, which every cold start would wait
12 ms for; httptools takes 2. HEAD, whose answers have a length and no body, is not spoken here.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from machine_identity.records import hidden, record

MAX_BYTES: Final = 256 * 1024
"""API Gateway itself reads key sets of at most 150 kB; nothing honest is larger than this."""
MAX_HEAD: Final = 64 * 1024
"""Status and headers, with those of interim answers; servers keep theirs below 16 KiB."""

_LEAST, _LEAST_FINAL = 100, 200
_VERSIONS: Final = frozenset({"1.0", "1.1"})
_FRAMES: Final = frozenset({"content-length", "transfer-encoding"})


@record
class Response:
    """What a server answered: status, headers with lower-case names, and the whole body."""

    status: int
    headers: Mapping[str, str] = hidden()
    body: bytes = hidden()


class UnusableResponseError(Exception):
    """There is no answer, or one that is not taken; the text goes on from "answers with"."""


def request(
    method: str, url: SplitResult, headers: Mapping[str, str], body: bytes | None
) -> bytes:
    """Write a request to the host of ``url``, after which the connection ends (rule 1).

    Raises ValueError.
    """
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    if " " in target + url.netloc or any(":" in name for name in headers):
        raise ValueError
    length = {} if body is None else {"Content-Length": str(len(body))}
    every = {
        "Host": url.netloc,
        "Connection": "close",
        "Accept-Encoding": "identity",
        "User-Agent": "machine-identity",  # firewalls refuse who names none
        **length,
        **headers,
    }
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {each}" for name, each in every.items())]
    if not all(line.isascii() and line.isprintable() for line in lines):
        raise ValueError
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


class Reading:
    """An answer on its way in."""

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._received = self._status = 0
        self._is_head_read = self._is_whole = False

    def take(self, octets: bytes) -> Response | None:
        """Take what arrived next, nothing being the end; return the answer as soon as it is whole.

        Raises UnusableResponseError.
        """
        if octets:
            self._feed(octets)
        else:
            self._end()
        if not self._is_whole:
            return None
        return Response(status=self._status, headers=self._headers, body=bytes(self._body))

    def _feed(self, octets: bytes) -> None:
        self._received += len(octets)
        try:
            self._parser.feed_data(octets)
        except (HttpParserError, HttpParserUpgrade):
            if not self._is_whole:  # else it is what follows (rule 4)
                raise UnusableResponseError("what is not HTTP/1.1") from None
        if not self._is_head_read and self._received > MAX_HEAD:
            raise UnusableResponseError(f"more than {MAX_HEAD} bytes of headers")
        if len(self._body) > MAX_BYTES or self._received > 2 * MAX_BYTES:
            raise UnusableResponseError(f"more than {MAX_BYTES} bytes, which are not read")

    def _end(self) -> None:
        if not self._received:
            raise UnusableResponseError("nothing")
        if not self._is_head_read or not _FRAMES.isdisjoint(self._headers):
            raise UnusableResponseError("less than a whole answer")
        self._is_whole = True

    # What the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        """Join the lines of one name by commas (RFC 9110 section 5.3): none of them is lost."""
        if self._is_head_read:
            return  # a trailer, or of what follows
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
        known = self._headers.get(key)
        self._headers[key] = text if known is None else f"{known}, {text}"

    def on_headers_complete(self) -> None:
        """Go on to the body, unless the answer is an interim one or what follows."""
        if self._is_head_read:
            return
        status, encoding = self._parser.get_status_code(), self._headers.get("transfer-encoding")
        is_read = self._parser.get_http_version() in _VERSIONS and status >= _LEAST
        if not is_read or (encoding or "chunked").lower() != "chunked":
            raise ValueError  # which the parser makes an error of its own
        if status < _LEAST_FINAL:
            if not _FRAMES.isdisjoint(self._headers):
                raise ValueError  # RFC 9110 section 8.6: it has no body, and two readings
            return
        self._status, self._is_head_read = status, True

    def on_body(self, octets: bytes) -> None:
        """Take a piece of the body."""
        if self._is_head_read and not self._is_whole:
            self._body += octets

    def on_message_complete(self) -> None:
        """Have the whole answer, or forget the headers of an interim one."""
        self._is_whole = self._is_head_read
        if not self._is_whole:
            self._headers.clear()
