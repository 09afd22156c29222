"""What is published: as it stands in the bucket, and as a stranger gets it.

A stranger may be given a copy that is as old as the stage says, or nothing at all.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime

from machine_identity import publication
from machine_identity.aws.s3 import Document
from machine_identity.errors import TransportError
from machine_identity.http1 import Response
from machine_identity.publication import CONFIGURATION_PATH, JWKS_PATH
from tests.outside import Meddler, Store
from tests.properties.parties import Shown
from tests.world import ISSUER, START

NOTHING = timedelta()


class PublicSide:
    """The published documents of one identity, with their past."""

    def __init__(self, called: Meddler, clock: Callable[[], datetime]) -> None:
        self.store = Store("published", called, clock)
        self.lag = NOTHING
        """How old the copies are that are given out."""
        self.is_blind = False
        """Whether there is no answer."""
        self._called = called
        self._clock = clock
        self._past: dict[str, list[tuple[datetime, Document | None]]] = {
            JWKS_PATH: [(START, None)],
            CONFIGURATION_PATH: [(START, None)],
        }

    def document(self, path: str) -> Document | None:
        """Return a published document as it stands in the bucket."""
        return self.store.documents.get(publication.object_key("default", path))

    def key_set(self) -> Shown:
        """Return what the key set says that stands in the bucket."""
        return shown(self._clock(), self.document(JWKS_PATH))

    def edit(self, path: str, document: Document | None) -> None:
        """Replace a published document by hand."""
        key = publication.object_key("default", path)
        self.store.documents.pop(key, None)
        if document is not None:
            self.store.documents[key] = document

    def remember(self) -> None:
        """Take down what stands in the bucket now."""
        for path, past in self._past.items():
            if past[-1][1] is not (standing := self.document(path)):
                past.append((self._clock(), standing))

    def get(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout: timedelta,
    ) -> Response:
        """Answer a stranger's request; a transport."""
        del method, headers, body, timeout
        self._called("before", "probe")
        if self.is_blind:
            raise TransportError("no answer")
        document = self._served(url.removeprefix(ISSUER))
        told = {"date": format_datetime(self._clock(), usegmt=True)}
        if document is None or not _is_servable(document):
            return Response(status=503, headers=told, body=b"")
        told["cache-control"] = document.cache_control or "no-store"
        return Response(status=200, headers=told, body=document.body)

    def _served(self, path: str) -> Document | None:
        then = self._clock() - self.lag
        copies = [doc for at, doc in self._past[path] if at <= then and doc is not None]
        return copies[-1] if copies and self.lag else self._past[path][-1][1]


def shown(at: datetime, document: Document | None) -> Shown:
    """Return what a key set document says; nothing for one that the origin does not serve."""
    try:
        keys = json.loads(document.body)["keys"] if document is not None else []
        kids = frozenset(key["kid"] for key in keys)
    except (ValueError, KeyError, TypeError):
        kids = frozenset()
    caching = (document.cache_control or "") if document is not None else ""
    seconds = int(caching.rpartition("max-age=")[2] or 0) if "max-age=" in caching else 0
    return Shown(at=at, kids=kids or None, max_age=timedelta(seconds=seconds))


def _is_servable(document: Document) -> bool:
    """Whether the origin gives the document out: see ``machine_identity.origin``."""
    try:
        members = json.loads(document.body)
    except ValueError:
        return False
    return isinstance(members, dict) and (bool(members.get("keys")) or "jwks_uri" in members)
