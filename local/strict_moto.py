"""moto's KMS and S3, strict where moto is lenient; local/aws.py puts them to work.

``Sign`` and ``Verify`` salt PSS with the digest's length, hash ``RAW`` messages of at most 4096
bytes and no ``DIGEST``, and know ``DryRun``; only an enabled SIGN_VERIFY key signs, with an
algorithm of its spec, or shows its public half; the deletion window is 7 to 30 days, a key on its
way out changes no more, and ARNs are answered. One lock round S3 makes its conditional writes
atomic. All of it as the API references of the operations say, errors included.

Not here: permissions, key policies, throttling, S3's 409, the five minutes until a tag counts, and
the end of a key whose deletion date is past.
"""

import base64
import json
from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, Never

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from flask import Flask
from moto.core.exceptions import JsonRESTError
from moto.core.utils import convert_to_flask_response
from moto.kms.models import Key
from moto.kms.responses import KmsResponse
from moto.moto_server.werkzeug_app import create_backend_app

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from moto.backends import SERVICE_NAMES

_MOST_BYTES: Final = 4096
"""Of a RAW message (the API reference of kms:Sign)."""
_SHORTEST_WINDOW_DAYS: Final = 7
_LONGEST_WINDOW_DAYS: Final = 30
"""Of a deletion, which is also the default (the API reference of kms:ScheduleKeyDeletion)."""

_HASHES: Final = (hashes.SHA256(), hashes.SHA384(), hashes.SHA512())
type _Scheme = tuple[hashes.HashAlgorithm, Callable[[Any], tuple[Any, ...]]]


def _schemes(digest: hashes.HashAlgorithm) -> dict[str, _Scheme]:
    bits = digest.digest_size * 8
    pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
    return {
        f"RSASSA_PKCS1_V1_5_SHA_{bits}": (digest, lambda used: (padding.PKCS1v15(), used)),
        f"RSASSA_PSS_SHA_{bits}": (digest, lambda used: (pss, used)),
        f"ECDSA_SHA_{bits}": (digest, lambda used: (ec.ECDSA(used),)),
    }


_SCHEMES: Final = {name: each for digest in _HASHES for name, each in _schemes(digest).items()}
"""By signing algorithm: its hash, and what else ``cryptography`` wants to be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What is to be signed or verified, and how, after everything that KMS refuses was refused."""

    arn: str
    private_key: Any = field(repr=False)
    message: bytes = field(repr=False)
    scheme: tuple[Any, ...]
    algorithm: str

    def answer(self, **members: object) -> str:
        """Return the answer to the call, with what every such answer says."""
        return json.dumps({"KeyId": self.arn, "SigningAlgorithm": self.algorithm, **members})


class _StrictKms(KmsResponse):
    """moto's KMS, with the operations that it is lenient in done over."""

    @abstractmethod
    def now(self) -> datetime:
        """Return the instant that deletion dates are counted from."""

    @abstractmethod
    def denied(self) -> frozenset[str]:
        """Return the operations that are denied, as an organisation's policy may deny them."""

    def sign(self) -> str:
        order = self._order()
        signature = order.private_key.sign(order.message, *order.scheme)
        return order.answer(Signature=base64.b64encode(signature).decode())

    def verify(self) -> str:
        order = self._order()
        signature = base64.b64decode(self._get_param("Signature"))
        try:
            order.private_key.public_key().verify(signature, order.message, *order.scheme)
        except InvalidSignature:
            _refuse("KMSInvalidSignatureException", "")
        return order.answer(SignatureValid=True)

    def get_public_key(self) -> str:
        key = self._enabled_key()
        if key.key_spec.startswith(("SYMMETRIC", "HMAC")):
            _refuse("UnsupportedOperationException", f"{key.arn} is not asymmetric.")
        answer = json.loads(super().get_public_key())
        return json.dumps({**answer, "KeyId": key.arn, "KeySpec": key.key_spec})

    def disable_key(self) -> str:
        if "DisableKey" in self.denied():
            _refuse("AccessDeniedException", "An explicit deny in a service control policy.")
        self.kms_backend.disable_key(self._key_not_pending().id)
        return "{}"

    def enable_key(self) -> str:
        self.kms_backend.enable_key(self._key_not_pending().id)
        return "{}"

    def schedule_key_deletion(self) -> str:
        days = self._get_param("PendingWindowInDays", _LONGEST_WINDOW_DAYS)
        if not _SHORTEST_WINDOW_DAYS <= days <= _LONGEST_WINDOW_DAYS:
            _refuse("ValidationException", "PendingWindowInDays must be between 7 and 30.")
        key = self._key_not_pending()
        self.kms_backend.schedule_key_deletion(key.id, days)
        deletion_at = self.now() + timedelta(days=days)
        key.deletion_date = deletion_at.replace(tzinfo=None)  # moto reckons in naive UTC
        return json.dumps(
            {
                "KeyId": key.arn,
                "DeletionDate": deletion_at.timestamp(),
                "KeyState": key.key_state,
                "PendingWindowInDays": days,
            }
        )

    def cancel_key_deletion(self) -> str:
        key = self._key()
        if key.key_state != "PendingDeletion":
            _refuse("KMSInvalidStateException", f"{key.arn} is not pending deletion.")
        self.kms_backend.cancel_key_deletion(key.id)
        return json.dumps({"KeyId": key.arn})

    def _key(self) -> Key:
        """Return the key that ``KeyId`` names: an id, an ARN or an alias."""
        key_id = self._get_param("KeyId")
        self._validate_key_id(key_id)
        return self.kms_backend.describe_key(key_id)

    def _key_not_pending(self) -> Key:
        key = self._key()
        if key.key_state == "PendingDeletion":
            _refuse("KMSInvalidStateException", f"{key.arn} is pending deletion.")
        return key

    def _enabled_key(self) -> Key:
        key = self._key_not_pending()
        if not key.enabled:
            _refuse("DisabledException", f"{key.arn} is disabled.")
        return key

    def _order(self) -> _Order:
        algorithm = self._get_param("SigningAlgorithm")
        if algorithm not in _SCHEMES:
            _refuse("ValidationException", "SigningAlgorithm is none that is known here.")
        digest, scheme = _SCHEMES[algorithm]
        message, used = self._message(digest)
        key = self._enabled_key()
        if key.key_usage != "SIGN_VERIFY":
            _refuse("InvalidKeyUsageException", f"{key.arn} key usage is {key.key_usage}.")
        if algorithm not in key.signing_algorithms:
            _refuse("InvalidKeyUsageException", f"Algorithm {algorithm} does not fit {key.arn}.")
        if self._get_param("DryRun"):
            _refuse("DryRunOperationException", "The request would have succeeded.")
        private_key: Any = key.private_key  # moto's wrapper of one of cryptography's
        return _Order(
            arn=key.arn,
            private_key=private_key.private_key,
            message=message,
            scheme=scheme(used),
            algorithm=algorithm,
        )

    def _message(
        self, digest: hashes.HashAlgorithm
    ) -> tuple[bytes, hashes.HashAlgorithm | Prehashed]:
        """Return the message, and the hash as ``cryptography`` is to apply it, or not."""
        message: bytes = self._get_param("Message")
        kind = self._get_param("MessageType", "RAW")
        is_message = kind == "RAW" and 0 < len(message) <= _MOST_BYTES
        is_digest = kind == "DIGEST" and len(message) == digest.digest_size
        if not (is_message or is_digest):
            _refuse("ValidationException", "MessageType and the length of Message do not fit.")
        return message, digest if is_message else Prehashed(digest)


def apps(
    now: Callable[[], datetime], denied: Callable[[], frozenset[str]]
) -> "Callable[[SERVICE_NAMES], Flask]":
    """Return what makes the application of each service, for moto's dispatcher."""

    class Kms(_StrictKms):
        def now(self) -> datetime:
            return now()

        def denied(self) -> frozenset[str]:
            return denied()

    def app(service: "SERVICE_NAMES") -> Flask:
        made = create_backend_app(service)
        match service:
            case "kms":
                view = convert_to_flask_response(Kms.dispatch)
                made.view_functions = dict.fromkeys(made.view_functions, view)
            case "s3":
                # Flask's own way of putting something before an application.
                made.wsgi_app = _one_at_a_time(made.wsgi_app)  # type: ignore[method-assign,assignment]
        return made

    return app


def _one_at_a_time(app: "WSGIApplication") -> "WSGIApplication":
    """Make comparing an ETag and writing one step: moto does it in two, without a lock."""
    lock = RLock()

    def locked(environ: "WSGIEnvironment", start: "StartResponse") -> "Iterable[bytes]":
        with lock:
            return app(environ, start)

    return locked


def _refuse(code: str, message: str) -> Never:
    raise JsonRESTError(code, message)
