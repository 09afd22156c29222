"""Our key set over HTTP, as the real origin serves it, with a note of who fetched what.

Each reader is given the URL with its own name in the query: ``…/jwks.json?reader=jose-2``. The
answers are those of ``machine_identity.origin`` over the published bucket. One thing is stricter:
while the bucket fails, the origin would serve its last good copy for five minutes, and the
compressed policy counts with none; so what is not what stands in the bucket now is a 503.
"""

import json
from contextlib import ExitStack
from typing import Final, Self

from werkzeug.wrappers import Request, Response

from local.loopback import LoopbackServer
from machine_identity import clock
from machine_identity.origin import Found, Origin, Store, Unavailable, answer
from machine_identity.publication import CONFIGURATION_PATH, JWKS_PATH
from rehearsal.record import Fetched, Record

_NOT_FOUND: Final = 404


class Site:
    """``with Site(bucket, identity, record) as site``: two documents under ``site.url``."""

    def __init__(self, bucket: Store, identity: str, record: Record) -> None:
        self.identity = identity
        self.record = record
        self._origin = Origin(store=bucket, identity=identity, clock=clock)
        self._server = LoopbackServer(Request.application(self._answer), now=clock.now)
        self._open = ExitStack()

    @property
    def url(self) -> str:
        """Our issuer."""
        return self._server.url

    def key_set_for(self, reader: str) -> str:
        """Return the URL of the key set by which ``reader`` is known."""
        return f"{self.url}{JWKS_PATH}?reader={reader}"

    def __enter__(self) -> Self:
        self._open.enter_context(self._server)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _answer(self, request: Request) -> Response:
        if request.path not in {JWKS_PATH, CONFIGURATION_PATH}:
            return Response(status=_NOT_FOUND)
        found = self._origin.find(request.path)
        if isinstance(found, Found) and found.fault:
            found = Unavailable(fault=found.fault)
        given = answer(found, if_none_match=request.headers.get("if-none-match"))
        if isinstance(found, Found) and request.path == JWKS_PATH:
            self._note(request.args.get("reader", ""), found.copy.text)
        headers = {"content-type": "application/json", **given.headers}
        return Response(given.text, status=given.status, headers=headers)

    def _note(self, reader: str, text: str) -> None:
        kids = frozenset(key["kid"] for key in json.loads(text)["keys"])
        self.record.fetched.append(Fetched(at=clock.now(), reader=reader, kids=kids))
