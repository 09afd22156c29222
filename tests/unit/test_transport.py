"""HTTP over real sockets on loopback: what is sent, what is taken, and what a bad server gets."""

import gc
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from machine_identity import transport
from machine_identity.errors import TransportError
from machine_identity.http1 import MAX_BYTES, Response
from machine_identity.transport import send
from tests.authority import LOOPBACK, Authority
from tests.socket_server import SocketServer

type Script = Callable[[socket.socket], None]

PATIENT = timedelta(seconds=5)
SHORT = timedelta(seconds=0.6)
CUT = "less than a whole answer"
NOT_HTTP = "what is not HTTP/1.1"
IN_TIME = 1.1
"""Seconds: well after SHORT, since the machine may be busy, and well before twice as long."""
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Server(SocketServer):
    """Plays a script on each connection, and remembers the requests that it heard."""

    def __init__(self, script: Script, *, host: str = "127.0.0.1") -> None:
        super().__init__(script, host=host)
        self.requests: list[bytes] = []
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def heard(self, connection: socket.socket) -> None:
        """Read one request to its end."""
        request = b""
        while b"\r\n\r\n" not in request:
            request += self._more(connection)
        head, _, body = request.partition(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                while len(body) < int(line.partition(b":")[2]):
                    body += self._more(connection)
        self.requests.append(head + b"\r\n\r\n" + body)

    @staticmethod
    def _more(connection: socket.socket) -> bytes:
        octets = connection.recv(65536)
        if not octets:
            raise ConnectionAbortedError
        return octets

    def drip(self, connection: socket.socket, octets: bytes) -> None:
        """Send a byte every twentieth of a second, for ever."""
        while not self.gone.wait(0.05):
            connection.sendall(octets)


def answering(*raw: bytes, host: str = "127.0.0.1") -> Server:
    """Return a server that hears a request out, sends this, and closes."""

    def script(connection: socket.socket) -> None:
        server.heard(connection)
        for each in raw:
            connection.sendall(each)

    server = Server(script, host=host)
    return server


def get(url: str, timeout: timedelta = PATIENT, **headers: str) -> Response:
    return send("GET", url, headers=headers, timeout=timeout)


def fault(url: str, timeout: timedelta = PATIENT, **headers: str) -> str:
    with pytest.raises(TransportError) as failed:
        get(url, timeout, **headers)
    return str(failed.value)


@pytest.fixture(autouse=True, scope="module")
def no_socket_is_left_open() -> Iterator[None]:
    yield
    gc.collect()  # an unclosed socket warns when it is collected, and a warning is an error


# What is sent


@pytest.mark.parametrize(
    ("rest", "target"),
    [
        ("", b"/"),
        ("/", b"/"),
        ("/a/b", b"/a/b"),
        ("/a?b=c&d=/e", b"/a?b=c&d=/e"),
        ("?b=/c", b"/?b=/c"),
        ("/a#b", b"/a"),
        ("/%2e%2e/a;b", b"/%2e%2e/a;b"),
    ],
)
def test_the_target_is_the_url_s_path_and_query(rest: str, target: bytes) -> None:
    with answering(OK) as server:
        get(server.url + rest)
    assert server.requests[0].startswith(b"GET " + target + b" HTTP/1.1\r\n")


def test_method_headers_and_body_are_sent_as_given() -> None:
    with answering(OK) as server:
        headers = {"Authorization": "Bearer abc", "content-type": "text/plain"}
        send("POST", server.url, headers=headers, body=b"\x00\xff" * 50_000, timeout=PATIENT)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert body == b"\x00\xff" * 50_000
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST / HTTP/1.1"
    assert set(lines[1:]) == {
        f"Host: 127.0.0.1:{server.port}".encode(),
        b"Connection: close",
        b"Accept-Encoding: identity",
        b"User-Agent: machine-identity",
        b"Content-Length: 100000",
        b"Authorization: Bearer abc",
        b"content-type: text/plain",
    }


def test_a_request_goes_where_its_url_says_and_through_no_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with answering(OK) as server:
        assert get(server.url).status == 200


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": "Bearer secret\r\nEvil: 1"}, {"Bad\nsecret": "a"}, {"A": "secret\u20ac"}],
)
def test_a_header_that_would_be_two_is_not_sent_and_not_repeated(headers: dict[str, str]) -> None:
    with answering(OK) as server:
        message = fault(server.url, PATIENT, **headers)
    assert server.requests == []
    assert "secret" not in message


@pytest.mark.parametrize("path", ["/a b", "/é", "/\x00"])
def test_a_path_that_is_no_request_target_is_not_sent(path: str) -> None:
    with answering(OK) as server:
        fault(server.url + path)
    assert server.requests == []


# What is taken


def test_an_answer_has_its_status_its_headers_in_lower_case_and_its_body() -> None:
    lines = b"Content-Type: text/html\r\nX-A:  b \r\nContent-Length: 4\r\n\r\n"
    with answering(b"HTTP/1.1 404 Whatever\r\n", lines, b"\x00\xff{}") as server:
        given = get(server.url)
    headers = {"content-type": "text/html", "x-a": "b", "content-length": "4"}
    assert given == Response(status=404, headers=headers, body=b"\x00\xff{}")


def test_no_line_of_a_header_is_lost() -> None:
    raw = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=86400\r\ncache-control: public\r\n\r\n"
    with answering(raw) as server:
        assert get(server.url).headers["cache-control"] == "max-age=86400, public"


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}left over",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n1;a=b\r\n}\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    ],
)
def test_the_body_is_read_to_its_end_whatever_marks_it(raw: bytes) -> None:
    with answering(raw) as server:
        assert get(server.url).body == b"{}"


@pytest.mark.parametrize("status", [b"304 Not Modified", b"204 No Content"])
def test_an_answer_without_a_body_has_none(status: bytes) -> None:
    with answering(b"HTTP/1.1 " + status + b"\r\netag: a\r\n\r\n") as server:
        assert get(server.url).body == b""


def test_no_repr_shows_a_header_or_a_body() -> None:
    with answering(b"HTTP/1.1 200 OK\r\nset-cookie: secret\r\n\r\nsecret") as server:
        given = get(server.url)
    assert (given.headers["set-cookie"], given.body) == ("secret", b"secret")
    assert "secret" not in repr(given)


def test_the_first_byte_is_told_of_once_and_before_the_rest_has_come() -> None:
    told, in_time = list[str](), threading.Event()

    def script(connection: socket.socket) -> None:
        server.heard(connection)
        connection.sendall(OK[:1])
        if in_time.wait(PATIENT.total_seconds() / 2):
            told.append("before the rest")
        connection.sendall(OK[1:])

    def first_byte() -> None:
        told.append("first byte")
        in_time.set()

    with Server(script) as server:
        send("GET", server.url, headers={}, timeout=PATIENT, at_first_byte=first_byte)
    assert told == ["first byte", "before the rest"]


def test_where_nothing_comes_no_first_byte_is_told_of() -> None:
    told: list[bool] = []
    with answering() as server, pytest.raises(TransportError):
        send(
            "GET",
            server.url,
            headers={},
            timeout=PATIENT,
            at_first_byte=lambda: told.append(True),
        )
    assert told == []


# What is not taken


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed(status: int) -> None:
    with answering(OK) as other:
        location = f"location: {other.url}/secret\r\n".encode()
        with answering(f"HTTP/1.1 {status} Go\r\n".encode() + location + b"\r\n") as server:
            message = fault(server.url)
    assert message == "127.0.0.1 answers with a redirect, which is never followed"
    assert (len(server.requests), other.requests) == (1, [])


@pytest.mark.parametrize("status", [300, 304, 400, 500])
def test_what_is_no_redirect_is_an_answer(status: int) -> None:
    with answering(f"HTTP/1.1 {status} Oh\r\nlocation: /\r\n\r\n".encode()) as server:
        assert get(server.url).status == status


def test_an_answer_as_large_as_is_allowed_is_read_and_a_byte_more_is_not() -> None:
    for octets in (MAX_BYTES, MAX_BYTES + 1):
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {octets}\r\n\r\n".encode()
        with answering(head, b"a" * octets) as server:
            if octets == MAX_BYTES:
                assert len(get(server.url).body) == MAX_BYTES
            else:
                message = fault(server.url)
                assert message.startswith("127.0.0.1 answers with more than 262144 bytes")


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"a" * 65536),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            b"400\r\n" + b"a" * 1024 + b"\r\n",
        ),
    ],
)
def test_an_endless_answer_ends_at_the_limit(head: bytes, piece: bytes) -> None:
    def script(connection: socket.socket) -> None:
        server.heard(connection)
        connection.sendall(head)
        while not server.gone.is_set():
            connection.sendall(piece)

    with Server(script) as server:
        assert "more than 262144 bytes" in fault(server.url)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "nothing"),
        (b"HTTP/1.1 200 OK\r\nx: ", CUT),
        (b"HTTP/1.1 100 Continue\r\n\r\n", CUT),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", CUT),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 9\r\n\r\n{}", CUT),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n", CUT),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n{}", CUT),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nsecret\r\n", NOT_HTTP),
        (b"secret\r\n\r\n", NOT_HTTP),
    ],
)
def test_half_an_answer_or_none_is_no_answer(raw: bytes, reason: str) -> None:
    with answering(raw) as server:
        assert fault(server.url) == f"127.0.0.1 answers with {reason}"


def test_nobody_at_home_is_no_answer() -> None:
    with answering(OK) as server:
        url = server.url
    assert fault(url) == "no answer from 127.0.0.1: ConnectionRefusedError"


def test_a_name_that_nobody_knows_is_no_answer() -> None:
    assert fault("https://" + "x" * 64 + ".example") == (
        f"no answer from {'x' * 64}.example: gaierror"
    )


# One deadline


def silent(server: Server, connection: socket.socket) -> None:
    server.heard(connection)
    server.gone.wait()


def dripping_status(server: Server, connection: socket.socket) -> None:
    server.heard(connection)
    connection.sendall(b"HTTP/1.1 200 ")
    server.drip(connection, b"a")


def dripping_header(server: Server, connection: socket.socket) -> None:
    server.heard(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nx: ")
    server.drip(connection, b"a")


def continuing(server: Server, connection: socket.socket) -> None:
    server.heard(connection)
    server.drip(connection, b"HTTP/1.1 100 Continue\r\n\r\n")


def dripping_body(server: Server, connection: socket.socket) -> None:
    server.heard(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    server.drip(connection, b"a")


def dripping_body_of_a_closed_connection(server: Server, connection: socket.socket) -> None:
    server.heard(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
    server.drip(connection, b"a")


def dripping_chunk_size(server: Server, connection: socket.socket) -> None:
    server.heard(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    server.drip(connection, b"0")


def stopping_late(server: Server, connection: socket.socket) -> None:
    """Fall silent when most of the time is used up: what is left must not begin anew."""
    server.heard(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
    server.gone.wait(0.55)
    connection.sendall(b"a")
    server.gone.wait()


def deaf(server: Server, _connection: socket.socket) -> None:
    server.gone.wait()


@pytest.mark.parametrize(
    "play",
    [
        silent,
        dripping_status,
        dripping_header,
        continuing,
        dripping_body,
        dripping_body_of_a_closed_connection,
        dripping_chunk_size,
        stopping_late,
        deaf,
    ],
)
def test_one_deadline_covers_sending_and_all_of_the_answer(
    play: Callable[[Server, socket.socket], None],
) -> None:
    with Server(lambda connection: play(server, connection)) as server:
        begun_at = time.monotonic()
        with pytest.raises(TransportError, match=r"no answer from 127\.0\.0\.1: TimeoutError"):
            send("POST", server.url, headers={}, body=b"a" * 10_000_000, timeout=SHORT)
        assert 0.6 <= time.monotonic() - begun_at < IN_TIME


def test_one_deadline_covers_the_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_contexts", [])
    with Server(lambda connection: deaf(server, connection)) as server:
        ssl.create_default_context()  # reading the CAs is not what is measured
        begun_at = time.monotonic()
        message = fault(server.url.replace("http:", "https:"), SHORT)
        assert message == "no answer from 127.0.0.1: TimeoutError"
        assert time.monotonic() - begun_at < IN_TIME


@contextmanager
def hanging(address: str, port: int = 0) -> Iterator[int]:
    """Have a port where connecting hangs: nobody accepts, and the queue is full."""
    with ExitStack() as opened:
        full = opened.enter_context(socket.create_server((address, port), backlog=0))
        for _ in range(3):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)  # noqa: FBT003 - its only argument
            waiting.connect_ex(full.getsockname())
        yield full.getsockname()[1]


def test_one_deadline_covers_all_addresses_of_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    with hanging("127.0.0.1") as port:
        resolve(monkeypatch, "localhost", ["127.0.0.1"] * 4)
        begun_at = time.monotonic()
        message = fault(f"http://localhost:{port}", SHORT)
        assert message == "no answer from localhost: TimeoutError"
        assert 0.6 <= time.monotonic() - begun_at < IN_TIME


def test_a_slow_answer_that_ends_in_time_is_taken() -> None:
    def script(connection: socket.socket) -> None:
        server.heard(connection)
        for octet in OK:
            server.gone.wait(0.005)
            connection.sendall(bytes([octet]))

    with Server(script) as server:
        assert get(server.url, PATIENT).body == b"{}"


def test_an_address_that_hangs_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(OK) as server, hanging("127.0.0.2", server.port):
        resolve(monkeypatch, "localhost", ["127.0.0.2", "127.0.0.1"])
        assert get(f"http://localhost:{server.port}", SHORT).status == 200


def test_an_honest_host_is_reached_however_many_addresses_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Far(socket.socket):
        def connect(self, where: Any) -> None:
            if self.gettimeout() is not None and (self.gettimeout() or 0) < 0.2:
                raise TimeoutError
            time.sleep(0.2)
            super().connect(where)

    resolve(monkeypatch, "localhost", ["127.0.0.1"] * 16)
    with answering(OK) as server:
        monkeypatch.setattr(socket, "socket", Far)
        assert get(f"http://localhost:{server.port}", SHORT).status == 200


def test_a_family_that_the_system_does_not_know_is_not_the_last_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve(monkeypatch, "localhost", ["::1", "127.0.0.1"])

    class OfOneFamily(socket.socket):
        def __init__(self, family: int = -1, *arguments: int, **named: int | None) -> None:
            if family == socket.AF_INET6:
                raise OSError("Address family not supported by protocol")
            super().__init__(family, *arguments, **named)  # type: ignore[arg-type] # as it came

    with answering(OK) as server:
        monkeypatch.setattr(socket, "socket", OfOneFamily)
        assert get(f"http://localhost:{server.port}").status == 200


@pytest.mark.parametrize("seconds", [0, -1])
def test_when_there_is_no_time_nobody_is_asked(seconds: int) -> None:
    with answering(OK) as server:
        message = fault(server.url, timedelta(seconds=seconds))
    assert message == "no answer from 127.0.0.1: TimeoutError"
    assert server.requests == []


# Whom we speak to


def resolve(monkeypatch: pytest.MonkeyPatch, name: str, addresses: list[str]) -> None:
    """Let ``name`` have these addresses."""
    real = socket.getaddrinfo

    def getaddrinfo(host: bytes, port: int, *arguments: Any, **named: Any) -> Any:
        wanted = addresses if host == name.encode() else [host.decode()]
        return [each for one in wanted for each in real(one, port, *arguments, **named)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_an_address_that_does_not_answer_is_not_the_last_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve(monkeypatch, "localhost", ["127.0.0.2", "127.0.0.1"])
    with answering(OK) as server:
        assert get(server.url.replace("127.0.0.1", "localhost")).status == 200
    assert f"Host: localhost:{server.port}".encode() in server.requests[0]


def test_a_loopback_of_ipv6_is_spoken_to() -> None:
    with answering(OK, host="::1") as server:
        assert get(server.url).status == 200
    assert f"Host: [::1]:{server.port}".encode() in server.requests[0]


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://[::1]/", ("::1", 80)),
        ("http://127.0.0.1", ("127.0.0.1", 80)),
        ("https://[::1]/", ("::1", 443)),
        ("https://127.0.0.1/", ("127.0.0.1", 443)),
        ("https://127.0.0.1:0/", ("127.0.0.1", 0)),
    ],
)
def test_a_url_without_a_port_has_its_scheme_s(
    monkeypatch: pytest.MonkeyPatch, url: str, address: tuple[str, int]
) -> None:
    tried: list[tuple[str, int]] = []

    class Refused(socket.socket):
        def connect(self, where: Any) -> None:
            assert (self.gettimeout() or 0) > 0
            tried.append(where[:2])
            raise ConnectionRefusedError

    monkeypatch.setattr(socket, "socket", Refused)
    fault(url)
    assert tried == [address]


@pytest.mark.parametrize(
    "url",
    [
        "http://identity.example",
        "http://127.0.0.1.identity.example",
        "http://127.0.0.2",
        "http://0.0.0.0",
        "ftp://127.0.0.1",
        "file:///etc/passwd",
        "//127.0.0.1",
        "127.0.0.1",
        "https://",
        "https:///a",
        "http:///a",
        "",
    ],
)
def test_only_https_is_spoken_and_http_only_to_loopback(url: str) -> None:
    assert fault(url).startswith("only https is spoken, and ")


@pytest.mark.parametrize("user", ["secret@", "user:secret@", "@", "good.example%2f@"])
def test_a_url_that_names_a_user_is_not_spoken_to(user: str) -> None:
    message = fault(f"https://{user}evil.example/")
    assert message == "a URL that names a user of evil.example is not spoken to"


@pytest.mark.parametrize(
    "url", ["https://[::1", "https://a:port/", "https://a:65536/", "https://[secret]/"]
)
def test_what_is_no_url_is_said_to_be_none(url: str) -> None:
    assert fault(url) == "that is not a URL"


@pytest.mark.parametrize("host", ["a b", "a\x7fb"])
def test_a_host_with_characters_that_no_host_has_gets_no_request(host: str) -> None:
    assert "no answer from" in fault(f"https://{host}/")


# TLS


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Authority:
    """Return the authority that this process trusts, and no other."""
    made = Authority()
    (tmp_path / "ca.pem").write_bytes(made.pem())
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    monkeypatch.setattr(transport, "_contexts", [])
    return made


@pytest.mark.parametrize(
    ("host", "name"), [("127.0.0.1", LOOPBACK), ("localhost", x509.DNSName("localhost"))]
)
def test_https_is_spoken_to_a_server_that_proves_its_name(
    authority: Authority, tmp_path: Path, host: str, name: x509.GeneralName
) -> None:
    large = b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n" + b"a" * 200_000
    with answering(large) as server:
        server.context = authority.context(name, tmp_path)
        for _ in range(2):
            assert get(f"https://{host}:{server.port}/a").body == b"a" * 200_000
    assert server.requests[0].startswith(b"GET /a HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("signer", "name"),
    [
        (None, x509.DNSName("other.example")),
        (None, x509.DNSName("127.0.0.1")),
        (Authority(), LOOPBACK),
    ],
)
def test_a_server_that_does_not_prove_its_name_is_sent_nothing(
    authority: Authority,
    tmp_path: Path,
    signer: Authority | None,
    name: x509.GeneralName,
) -> None:
    with answering(OK) as server:
        server.context = (signer or authority).context(name, tmp_path)
        message = fault(server.url.replace("http:", "https:"))
    assert message == "no answer from 127.0.0.1: SSLCertVerificationError"
    assert server.requests == []


def test_a_server_that_speaks_no_tls_is_sent_nothing(authority: Authority) -> None:
    assert authority
    with Server(lambda connection: connection.sendall(OK)) as server:
        assert fault(server.url.replace("http:", "https:")) == "no answer from 127.0.0.1: SSLError"


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}",
    ],
)
def test_an_answer_that_is_cut_below_tls_is_no_answer(
    authority: Authority, tmp_path: Path, raw: bytes
) -> None:
    with answering(raw) as server:
        server.context = authority.context(LOOPBACK, tmp_path)
        message = fault(server.url.replace("http:", "https:"))
    assert message == "no answer from 127.0.0.1: SSLEOFError"


def test_an_answer_that_tls_says_is_over_is_taken(authority: Authority, tmp_path: Path) -> None:
    def script(connection: socket.socket) -> None:
        server.heard(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}")
        assert isinstance(connection, ssl.SSLSocket)
        connection.unwrap()

    with Server(script) as server:
        server.context = authority.context(LOOPBACK, tmp_path)
        assert get(server.url.replace("http:", "https:")).body == b"{}"


def test_one_deadline_covers_an_answer_over_tls(authority: Authority, tmp_path: Path) -> None:
    with Server(lambda connection: dripping_header(server, connection)) as server:
        server.context = authority.context(LOOPBACK, tmp_path)
        begun_at = time.monotonic()
        message = fault(server.url.replace("http:", "https:"), SHORT)
        assert message == "no answer from 127.0.0.1: TimeoutError"
        assert time.monotonic() - begun_at < IN_TIME
