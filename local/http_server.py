"""A WSGI server on a free loopback port, in threads, without a request log."""

import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Self

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

type Application = Callable[[Request], Response]


class _Silent(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes, and ACKs are delayed

    def log(self, *_: Any) -> None:  # noqa: ANN401 - werkzeug's own
        """Say nothing: a request line is not for a log (tokens have been sent in queries)."""


class HttpServer:
    """Serves ``application``, which may be set after the port is known."""

    def __init__(self, port: int = 0) -> None:
        self.application: Application = lambda _: Response(status=HTTPStatus.SERVICE_UNAVAILABLE)
        self._server = make_server(
            "127.0.0.1",
            port,
            Request.application(self._answer),
            threaded=True,
            request_handler=_Silent,
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, request: Request) -> Response:
        return self.application(request)
