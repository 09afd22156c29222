"""An HTTP server for one WSGI application, on a free loopback port, in a thread of this process.

HTTPS where it is given a context, for parties that take nothing else. It prints no request, and
its ``Date`` header tells the time of the stack, which may be moved, not that of the machine.
Nothing here is for any other network than loopback.
"""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from email.utils import format_datetime
from ssl import SSLContext
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from werkzeug.serving import WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

HOST: Final = "127.0.0.1"
_POLL_SECONDS: Final = 0.05


class LoopbackServer:
    """``with LoopbackServer(app, now=…) as server``; it listens at ``server.url`` meanwhile."""

    def __init__(
        self,
        app: "WSGIApplication",
        *,
        now: Callable[[], datetime],
        handler: type[WSGIRequestHandler] = WSGIRequestHandler,
        tls: SSLContext | None = None,
    ) -> None:
        self._app = app
        self._tls = tls
        self._handler = _quiet(handler, now)
        self._url: str | None = None
        self._closing = ExitStack()

    @property
    def url(self) -> str:
        """Scheme, host and port, without a slash at the end. Raises RuntimeError when closed."""
        if self._url is None:
            raise RuntimeError("the server is not running")
        return self._url

    def __enter__(self) -> Self:
        """Bind the port and serve."""
        server = make_server(
            HOST,
            0,
            self._app,
            threaded=True,
            request_handler=self._handler,
            ssl_context=self._tls,
        )
        # A daemon: an interrupt between two of these lines must not keep the process alive.
        thread = Thread(target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True)
        thread.start()
        self._closing.callback(thread.join)
        self._closing.callback(server.shutdown)
        scheme = "http" if self._tls is None else "https"
        self._url = f"{scheme}://{HOST}:{server.server_port}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop serving and free the port; requests under way are not waited for."""
        self._url = None
        self._closing.close()


def _quiet(
    handler: type[WSGIRequestHandler], now: Callable[[], datetime]
) -> type[WSGIRequestHandler]:
    class Quiet(handler):  # type: ignore[valid-type,misc] # the base is an argument
        protocol_version = "HTTP/1.1"
        timeout = 30  # of a caller that stops sending; in seconds
        disable_nagle_algorithm = True  # headers and body are two writes, and ACKs are delayed

        def log_request(self, *_: object) -> None:
            """Print nothing: a request line is of no use to whoever watches the stack."""

        def date_time_string(self, *_: object) -> str:
            return format_datetime(now(), usegmt=True)

    return Quiet
