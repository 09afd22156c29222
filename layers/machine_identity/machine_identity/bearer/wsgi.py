"""The guard of a WSGI application (PEP 3333): Flask, Django, Bottle and others."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from machine_identity import clock
from machine_identity.bearer.judgement import CLAIMS, Judge, Refused
from machine_identity.verifier import Verifier

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


class Guarded:
    """The application behind the guard; who calls is ``environ["machine_identity.claims"]``.

    A server joins two headers of one name by a comma, which no token has in it.
    """

    def __init__(
        self, application: "WSGIApplication", verifier: Verifier, *, realm: str = "api"
    ) -> None:
        self._application = application
        self._judge = Judge(verifier, realm=realm)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Let the call through, or answer it."""
        judged = self._judge.judge([environ.get("HTTP_AUTHORIZATION", "")], clock.now())
        if isinstance(judged, Refused):
            start_response(judged.line, list(judged.headers))
            return []
        return self._application({**environ, CLAIMS: judged}, start_response)
