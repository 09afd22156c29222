"""The outside of a rotation, simulated: what it may rely on, and what may go wrong there.

Two stores with compare-and-swap (their tags recur with the content, as S3's do), a key service
with tags, states and an index that may lag, and a public URL with or without a CDN. Real keys.
``tests/contracts`` holds the store and the key service to the same claims as the real ones.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from machine_identity import jwk, publication
from machine_identity.aws import AwsError
from machine_identity.aws.s3 import Document
from machine_identity.client_assertion import PrivateKey
from machine_identity.errors import ConflictError, SettingsError, TransportError
from machine_identity.evidence import OwnedKey
from machine_identity.http1 import Response
from machine_identity.jwk import PublicJwk
from tests.kms import Kms

NOTHING = timedelta()
CDN_MAX_AGE = timedelta(minutes=5)
_CURVES: dict[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1()}
_ALGORITHMS = (*_CURVES, "RS256")
"""What a key of each kind signs with; the first are fast made."""

type Meddler = Callable[[Literal["before", "after"], str], None]
"""Called round every call to the outside; may raise, move the clock, or let somebody else act."""


@dataclass(slots=True, kw_only=True)
class KmsKey:
    """A key as the key service knows it."""

    private: PrivateKey
    intent: str
    created_at: datetime
    enabled: bool = True
    disabled_at: datetime | None = None
    deletion_at: datetime | None = None
    is_ours: bool = True
    """Whether it carries our tags still; an operator may have taken them."""


class Store:
    """Documents with compare-and-swap, as ``aws.s3.Bucket`` promises them."""

    def __init__(
        self, name: str, called: Meddler, time: Callable[[], datetime] | None = None
    ) -> None:
        self._name = name
        self._called = called
        self.time = time
        """The store's own clock, which dates its answers; one without a clock dates none."""
        self.documents: dict[str, Document] = {}
        self._ever: set[str] = set()

    def read(self, key: str) -> Document | None:
        self._called("before", f"{self._name}.read")
        document = self.documents.get(key)
        self._called("after", f"{self._name}.read")
        if document is None or self.time is None:
            return document
        return replace(document, date=format_datetime(self.time(), usegmt=True))

    def has_history(self, key: str) -> bool:
        self._called("before", f"{self._name}.has_history")
        self._called("after", f"{self._name}.has_history")
        return key in self._ever

    def write(
        self, key: str, body: bytes, *, expected: str | None, cache_control: str | None = None
    ) -> str:
        self._called("before", f"{self._name}.write")
        standing = self.documents.get(key)
        if (standing and standing.tag) != expected:
            wanted = (body, cache_control)
            if standing is None or (standing.body, standing.cache_control) != wanted:
                raise ConflictError(f"{key} was written by somebody else at the same time")
            return standing.tag
        tag = hashlib.sha256(body).hexdigest()
        self.documents[key] = Document(body=body, tag=tag, cache_control=cache_control)
        self._ever.add(key)
        self._called("after", f"{self._name}.write")
        return tag

    def delete(self, key: str) -> None:
        """Delete a document, as an operator might."""
        del self.documents[key]


class KeyService:
    """Keys with tags and states, as KMS has them; stricter than moto.

    KMS is eventually consistent: how long it takes until what it was told counts everywhere can be
    set, one duration a kind; and each nth call may be one too many.
    """

    def __init__(self, clock: Callable[[], datetime], called: Meddler) -> None:
        self.clock = clock
        self._called = called
        self._made = 0
        self._asked = 0
        self.keys: dict[str, KmsKey] = {}
        self.make: Callable[[ec.EllipticCurve, int], ec.EllipticCurvePrivateKey] = _made
        """Makes the private half of the nth key."""
        self.index_lag = NOTHING
        self.tags_count_after = NOTHING
        self.known_after = NOTHING
        """How long a new key is unknown to those who ask about it."""
        self.disable_lag = NOTHING
        """How long a disabled key still signs."""
        self.throttles_each = 0
        """Of how many calls one is refused; 0 refuses none."""

    def create(self, algorithm: str, intent: str) -> str:
        with self._asked_for("kms:CreateKey"):
            arn = f"arn:aws:kms:eu-central-1:123456789012:key/{self._made}"
            private = self._private(algorithm)
            self.keys[arn] = KmsKey(private=private, intent=intent, created_at=self.clock())
            self._made += 1
        return arn

    def _private(self, algorithm: str) -> PrivateKey:
        curve = _CURVES.get(algorithm)
        return _rsa(self._made) if curve is None else self.make(curve, self._made)

    def public_key(self, arn: str, algorithm: str) -> PublicJwk:
        with self._asked_for("kms:GetPublicKey"):
            self._authorized(arn, "kms:GetPublicKey")
            key = self.keys[arn]
            if key.deletion_at is not None:
                raise AwsError("kms:GetPublicKey", "KMSInvalidStateException")
            if not key.enabled:
                raise AwsError("kms:GetPublicKey", "DisabledException")
        return jwk.from_public_key(key.private.public_key(), algorithm)

    def find(self, intent: str) -> str | None:
        with self._asked_for("tag:GetResources"):
            return next((arn for arn in self._shown() if self.keys[arn].intent == intent), None)

    def any(self) -> bool:
        with self._asked_for("tag:GetResources"):
            return bool(self._shown())

    def is_usable(self, arn: str, algorithm: str) -> bool:
        with self._asked_for("kms:DescribeKey"):
            self._authorized(arn, "kms:DescribeKey")
            key = self.keys[arn]
        return key.enabled and key.deletion_at is None and self._fits(arn, algorithm)

    def search(self) -> tuple[OwnedKey, ...]:
        with self._asked_for("tag:GetResources"):
            return tuple(self._owned(arn) for arn in self._shown())

    def _owned(self, arn: str) -> OwnedKey:
        key = self.keys[arn]
        shown = key.enabled and key.deletion_at is None
        algorithm = next(name for name in _ALGORITHMS if self._fits(arn, name))
        public = jwk.from_public_key(key.private.public_key(), algorithm) if shown else None
        is_ending = key.deletion_at is not None
        return OwnedKey(
            arn=arn, intent=key.intent, created_at=key.created_at, jwk=public, is_ending=is_ending
        )

    def _fits(self, arn: str, algorithm: str) -> bool:
        try:
            jwk.from_public_key(self.keys[arn].private.public_key(), algorithm)
        except SettingsError:
            return False
        return True

    def arns(self) -> tuple[str, ...]:
        with self._asked_for("tag:GetResources"):
            return tuple(self._shown())

    def kid(self, arn: str) -> str | None:
        with self._asked_for("kms:DescribeKey"):
            self._authorized(arn, "kms:DescribeKey")
            public = self._owned(arn).jwk
        return None if public is None else public["kid"]

    def disable(self, arn: str) -> None:
        with self._asked_for("kms:DisableKey"):
            self._authorized(arn, "kms:DisableKey")
            key = self.keys[arn]
            key.disabled_at = self.clock() if key.enabled else key.disabled_at
            key.enabled = False

    def schedule_deletion(self, arn: str, window: timedelta) -> None:
        with self._asked_for("kms:ScheduleKeyDeletion"):
            self._authorized(arn, "kms:ScheduleKeyDeletion")
            key = self.keys[arn]
            key.deletion_at = key.deletion_at or self.clock() + window

    def exists(self, arn: str) -> bool:
        """Whether the key is not deleted yet."""
        deletion_at = self.keys[arn].deletion_at
        return deletion_at is None or self.clock() < deletion_at

    def is_known(self, arn: str) -> bool:
        """Whether whoever asks about the key is told of it."""
        return self.exists(arn) and self.clock() >= self.keys[arn].created_at + self.known_after

    @contextmanager
    def _asked_for(self, call: str) -> Iterator[None]:
        self._called("before", call)
        self._asked += 1
        if self.throttles_each and self._asked % self.throttles_each == 0:
            raise AwsError(call, "ThrottlingException")
        yield
        self._called("after", call)

    def _shown(self) -> list[str]:
        now = self.clock()
        shown = [
            arn
            for arn, key in self.keys.items()
            if key.is_ours and now >= key.created_at + self.index_lag
        ]
        return [arn for arn in shown if self.exists(arn)]

    def _authorized(self, arn: str, operation: str) -> None:
        if arn not in self.keys or not self.is_known(arn):
            raise AwsError(operation, "NotFoundException")
        key = self.keys[arn]
        if self.clock() < key.created_at + self.tags_count_after or not key.is_ours:
            raise AwsError(operation, "AccessDeniedException")


class SigningService:
    """KMS as the token function reaches it: it signs with keys that are there and enabled."""

    def __init__(self, keys: KeyService, called: Meddler) -> None:
        self._keys = keys
        self._called = called

    def sign(self, **request: Any) -> dict[str, Any]:
        self._called("before", "kms:Sign")
        arn, kms = request["KeyId"], Kms()
        if arn in self._keys.keys and self._keys.is_known(arn):
            key = self._keys.keys[arn]
            kms.keys = {arn: key.private}
            if key.deletion_at is not None:
                kms.refusals = {arn: "KMSInvalidStateException"}
            elif not key.enabled and not self._signs_still(key):
                kms.refusals = {arn: "DisabledException"}
        answer = kms.sign(**request)
        self._called("after", "kms:Sign")
        return answer

    def _signs_still(self, key: KmsKey) -> bool:
        """Whether it was disabled so short a time ago that it does not count yet."""
        at = key.disabled_at
        return at is not None and self._keys.clock() < at + self._keys.disable_lag


@dataclass(slots=True, kw_only=True)
class PublicUrl:
    """What a stranger is served: the documents in the bucket, or a CDN's copy within max-age."""

    store: Store
    clock: Callable[[], datetime]
    unreachable: set[str] = field(default_factory=set)
    """The hosts under which nothing is served; the documents tell issuers apart by their host."""
    has_cdn: bool = False
    failure: int | TransportError | None = None
    """A status that is answered, or an error that is raised, instead of the documents."""
    max_age: timedelta | None = None
    """What the CDN says instead of the documents' own max-age."""
    _copies: dict[str, tuple[datetime, Document]] = field(default_factory=dict)

    def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout: timedelta,
    ) -> Response:
        assert (method, body, timeout > NOTHING) == ("GET", None, True)
        assert "authorization" not in {name.lower() for name in headers}, "a stranger has none"
        if isinstance(self.failure, TransportError):
            raise self.failure
        host, path = urlsplit(url).netloc, urlsplit(url).path
        document = None if host in self.unreachable else self.document(path)
        date = format_datetime(self.clock(), usegmt=True)
        if self.failure is not None or document is None:
            error = b'{"error": "none"}'
            return Response(status=self.failure or 503, headers={"date": date}, body=error)
        caching = document.cache_control or ""
        if self.max_age is not None:
            caching = f"public, max-age={int(self.max_age.total_seconds())}"
        headers = {"cache-control": caching, **self._dated(path)}
        body = document.body
        if path == publication.CONFIGURATION_PATH and body.startswith(b"{"):
            body = json.dumps(publication.as_served(json.loads(body), host)).encode()
        return Response(status=200, headers=headers, body=body)

    def _dated(self, path: str) -> dict[str, str]:
        """Return what tells the time: a CDN's copy bears the date at which it was fetched."""
        now = self.clock()
        if not self.has_cdn or path not in self._copies:
            return {"date": format_datetime(now, usegmt=True)}
        fetched_at = self._copies[path][0]
        age = int((now - fetched_at).total_seconds())
        return {"date": format_datetime(fetched_at, usegmt=True), "age": str(age)}

    def document(self, path: str) -> Document | None:
        """Return the document as it is served at this instant."""
        now = self.clock()
        standing = self.store.documents.get(publication.object_key("default", path))
        if not self.has_cdn or standing is None:
            return standing
        fetched_at, copy = self._copies.get(path, (None, standing))
        if fetched_at is None or now >= fetched_at + CDN_MAX_AGE:
            self._copies[path] = now, standing
            return standing
        return copy


@lru_cache
def _rsa(number: int) -> rsa.RSAPrivateKey:
    """Return the nth RSA key, the same in every world: such keys take long to make."""
    del number
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _made(curve: ec.EllipticCurve, number: int) -> ec.EllipticCurvePrivateKey:
    del number
    return ec.generate_private_key(curve)
