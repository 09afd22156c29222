"""A request that is one and no other, and an answer however its octets arrive."""

import http.client
import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machine_identity import http1
from machine_identity.http1 import MAX_BYTES, MAX_HEAD, Reading, Response, UnusableResponseError

if TYPE_CHECKING:
    import socket

CUT = "less than a whole answer"
NOT_HTTP = "what is not HTTP/1.1"
LONG_HEAD = f"more than {MAX_HEAD} bytes of headers"
TOO_LARGE = f"more than {MAX_BYTES} bytes, which are not read"

LENGTH = b"HTTP/1.1 200 OK\r\nETag: a\r\ncontent-length: 2\r\n\r\n{}"
IN_CHUNKS = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
CHUNKS = IN_CHUNKS + (b"1;a=b\r\n{\r\n1\r\n}\r\n0\r\nx-trailer: 1\r\n\r\n")
UNTIL_THE_END = b"HTTP/1.0 200\r\n\r\n{}"
INTERIM = (
    b"HTTP/1.1 103 Early Hints\r\nlink: a\r\ncontent-type: b\r\n\r\nHTTP/1.1 199 X\r\n\r\n"
) + LENGTH


def read(pieces: Iterable[bytes]) -> Response:
    """Return the answer that arrives in these pieces, or up to their end."""
    reading = Reading()
    for piece in pieces:
        answer = reading.take(piece)
        if answer is not None:
            return answer
    answer = reading.take(b"")
    assert answer is not None
    return answer


def refusal(*pieces: bytes) -> str:
    with pytest.raises(UnusableResponseError) as refused:
        read(pieces)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
    return str(refused.value)


# An answer


@pytest.mark.parametrize("raw", [LENGTH, CHUNKS, UNTIL_THE_END, INTERIM])
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_rule_3_it_is_the_same_however_it_arrives(raw: bytes, size: int) -> None:
    pieces = [raw[place : place + size] for place in range(0, len(raw), size)]
    answer = read(pieces)
    assert (answer.status, answer.body) == (200, b"{}")


@pytest.mark.parametrize("raw", [LENGTH, CHUNKS, INTERIM])
def test_rule_3_it_is_whole_with_its_last_octet_and_before_it_nothing(raw: bytes) -> None:
    reading = Reading()
    assert reading.take(raw[:-1]) is None
    assert reading.take(raw[-1:]) is not None
    for length in range(1, len(raw)):
        assert refusal(raw[:length]) == CUT


def test_rule_3_without_a_length_the_end_of_the_connection_is_its_end() -> None:
    assert Reading().take(UNTIL_THE_END) is None
    assert read([UNTIL_THE_END, b"more"]).body == b"{}more"


def test_rule_3_nothing_is_no_answer() -> None:
    assert refusal() == "nothing"


def test_rule_4_nothing_of_an_interim_answer_or_a_trailer_is_in_the_answer() -> None:
    assert read([INTERIM]).headers == {"etag": "a", "content-length": "2"}
    assert read([CHUNKS]).headers == {"transfer-encoding": "chunked"}


@pytest.mark.parametrize(
    "more",
    [
        b"x",
        b"\r\n",
        b"HTTP/1.1 500 Oh\r\netag: b\r\ncontent-length: 1\r\n\r\nx",
        LENGTH,
        b"a" * 99,
    ],
)
@pytest.mark.parametrize("raw", [LENGTH, CHUNKS])
def test_rule_4_what_follows_the_answer_is_not_looked_at(raw: bytes, more: bytes) -> None:
    assert read([raw + more]) == read([raw])


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 9\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0x2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n a: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na : b\r\n\r\n",
        b"HTTP/1.1 200 OK\na: b\n\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Now\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n{}",
        IN_CHUNKS.replace(b"chunked", b"gzip, chunked") + b"2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 104 X\r\ncontent-length: 5\r\n\r\nhello" + LENGTH,
        b"HTTP/1.1 103 X\r\ncontent-length: 0\r\n\r\n" + LENGTH,
        b"HTTP/1.1 103 X\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + LENGTH,
        b"HTTP/1.1 099 X\r\n\r\n" + LENGTH,
        b"HTTP/1.1 000 X\r\n\r\n" + LENGTH,
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/0.9 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 secret\r\n\r\n",
        b"secret\r\n\r\n",
        b"{}",
    ],
)
def test_rule_2_what_has_two_readings_is_no_answer(raw: bytes) -> None:
    assert refusal(raw) == NOT_HTTP


@pytest.mark.parametrize("octets", [MAX_BYTES, MAX_BYTES + 1])
@pytest.mark.parametrize("head", ["content-length: {}\r\n", ""])
def test_rule_5_a_body_up_to_the_limit_is_taken(head: str, octets: int) -> None:
    raw = b"HTTP/1.1 200 OK\r\n" + head.format(octets).encode() + b"\r\n" + b"a" * octets
    if octets == MAX_BYTES:
        assert len(read([raw]).body) == MAX_BYTES
    else:
        assert refusal(raw) == TOO_LARGE


@pytest.mark.parametrize(
    ("start", "endless", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n", LONG_HEAD),
        (b"HTTP/1.1 200 OK\r\na: ", b"b", LONG_HEAD),
        (b"HTTP/1.1 200 ", b"O", LONG_HEAD),
        (b"", b"\r\n", LONG_HEAD),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", LONG_HEAD),
        (IN_CHUNKS, b"1;a=b\r\n{\r\n", TOO_LARGE),
        (IN_CHUNKS + b"1;", b"a", TOO_LARGE),
        (IN_CHUNKS + b"0\r\n", b"a: b\r\n", TOO_LARGE),
    ],
)
def test_rule_5_nothing_that_goes_on_for_ever_is_kept_for_ever(
    start: bytes, endless: bytes, reason: str
) -> None:
    piece = endless * (16 * 1024 // len(endless))
    assert refusal(*filter(None, [start, *[piece] * 33])) == reason


@pytest.mark.parametrize("octets", [MAX_HEAD, MAX_HEAD + 1])
def test_rule_5_a_head_up_to_the_limit_is_taken(octets: int) -> None:
    start, end = b"HTTP/1.1 200 OK\r\na: ", b"\r\n"
    head = start + b"b" * (octets - len(start) - len(end)) + end
    reading = Reading()
    if octets == MAX_HEAD:
        assert reading.take(head) is None
        assert reading.take(b"content-length: 0\r\n\r\n") is not None
    else:
        with pytest.raises(UnusableResponseError, match=LONG_HEAD):
            reading.take(head)


class _Socket(io.BytesIO):
    def makefile(self, _mode: str) -> io.BytesIO:
        return self


def as_the_standard_library(raw: bytes) -> tuple[int, dict[str, str], bytes] | None:
    """Return what http.client makes of the octets, or None."""
    try:
        response = http.client.HTTPResponse(cast("socket.socket", _Socket(raw)))
        response.begin()
        headers: dict[str, str] = {}
        for name, value in response.getheaders():
            key, text = name.lower(), value.strip()
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
        # RFC 9112 section 6.3: a 304 has no body, where http.client still looks for its chunks.
        return response.status, headers, b"" if response.status == 304 else response.read()
    except (http.client.HTTPException, OSError, ValueError):
        return None


LINE = st.sampled_from(
    [
        *(b"ETag: a", b"a:b", b"A:  b \t", b"cache-control: max-age=1", b"x: \xe9", b"x:"),
        *(b"content-length: 3", b"content-length: 0", b"Content-Length: 7"),
        *(b"transfer-encoding: chunked", b"Transfer-Encoding: Chunked", b"connection: close"),
        *(b"connection: keep-alive", b"bad line", b" folded", b": no name", b"a\x00: b"),
    ]
)
BODY = st.sampled_from(
    [
        *(b"", b"{}", b"abc", b"abcdefg", b"3\r\nabc\r\n0\r\n\r\n", b"3;x\r\nabc\r\n0\r\n\r\n"),
        *(b"3\r\nabc\r\n0\r\na: b\r\n\r\n", b"3\r\nab\r\n0\r\n\r\n", b"0\r\n\r\n", b"fffffff\r\n"),
    ]
)
STATUS = st.sampled_from(
    [b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 404 ", b"HTTP/1.1 304 X", b"HTTP/1.1 503"]
)


@given(STATUS, st.lists(LINE, max_size=4), BODY, st.integers(0, 3))
def test_what_is_read_here_the_standard_library_reads_alike(
    status: bytes, lines: list[bytes], body: bytes, cut: int
) -> None:
    raw = b"\r\n".join([status, *lines, b"", body])
    raw = raw[: len(raw) - cut]
    try:
        answer = read([raw])
    except UnusableResponseError:
        return
    assert (answer.status, answer.headers, answer.body) == as_the_standard_library(raw)


# A request


def test_a_request_has_its_host_and_length_and_ends_the_connection() -> None:
    url = urlsplit("https://api.example:8443/a?b=c#d")
    assert http1.request("POST", url, {"a": "b"}, b"{}") == (
        b"POST /a?b=c HTTP/1.1\r\nHost: api.example:8443\r\nConnection: close\r\n"
        b"Accept-Encoding: identity\r\nUser-Agent: machine-identity\r\n"
        b"Content-Length: 2\r\na: b\r\n\r\n{}"
    )
    assert http1.request("GET", urlsplit("https://api.example"), {}, None) == (
        b"GET / HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n"
        b"Accept-Encoding: identity\r\nUser-Agent: machine-identity\r\n\r\n"
    )


@pytest.mark.parametrize("text", ["a\r\nb: c", "a\nb", "a\rb", "a\x00", "a\x7f", "é", "a\u2028b"])
def test_rule_1_a_line_that_could_be_two_is_not_written(text: str) -> None:
    url = urlsplit("https://api.example/")
    for headers in ({"a": text}, {text: "a"}):
        with pytest.raises(ValueError, match=r"^$"):
            http1.request("GET", url, headers, None)
    with pytest.raises(ValueError, match=r"^$"):
        http1.request(text, url, {}, None)


@pytest.mark.parametrize(
    "url",
    [
        *("https://api.example/a b", "https://api.example/a?b c", "https://api.example/é"),
        *("https://api example/", "https://api.example/\x00", "https://api.example/\x7f"),
    ],
)
def test_rule_1_a_url_that_is_no_target_is_not_written(url: str) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        http1.request("GET", urlsplit(url), {}, None)


@pytest.mark.parametrize("name", ["a: b", "a:", ":"])
def test_rule_1_nor_is_a_name_with_a_value_in_it(name: str) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        http1.request("GET", urlsplit("https://api.example/"), {name: "c"}, None)
