"""Step 13: ``POST /api/uppercase`` with ``{"text": …}`` answers ``{"result": …}``.

Uppercasing is Unicode's, special casing included (``ß`` becomes ``SS``). A request that is not
what it should be gets 400, 413 or 415 with ``{"error": code, "message": sentence}``; the sentence
is ours and repeats nothing of the request, nor does a log.

Who may call is not judged here: the gateway asks the authorizer first, and what that found out
arrives in ``requestContext.authorizer.lambda``. No client of AWS, and nothing of the core.
"""

import base64
import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Never, Self

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging import correlation_paths

MAX_BODY_BYTES: Final = 64 * 1024
"""Of the body as the caller sent it, base64 undone; uppercasing trebles it at most."""
HEADERS: Final = {
    "content-type": "application/json",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
}
_PARAMETERS: Final = frozenset({"", "charset=utf-8", 'charset="utf-8"'})

logger = Logger(service="uppercase")


@logger.inject_lambda_context(
    log_event=False, correlation_id_path=correlation_paths.API_GATEWAY_HTTP
)
def handler(event: object, context: object) -> dict[str, Any]:  # noqa: ARG001
    """Answer a request of the HTTP API, payload 2.0."""
    client = client_of(event)
    try:
        result = text_of(Request.from_event(event)).upper()
    except RefusedError as refused:
        logger.warning("refused", extra={"client": client, "code": refused.code})
        return answer(refused.status, error=refused.code, message=refused.message)
    logger.info("answered", extra={"client": client})
    return answer(HTTPStatus.OK, result=result)


class RefusedError(Exception):
    """The request gets an error for an answer; ``message`` tells the caller why."""

    def __init__(
        self, code: str, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST
    ) -> None:
        super().__init__(code)
        self.code, self.message, self.status = code, message, status


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the gateway passes on of a request."""

    content_type: str
    body: str = field(repr=False)
    is_base64: bool

    @classmethod
    def from_event(cls, event: object) -> Self:
        """Read an event of payload 2.0. Raises RefusedError for anything else."""
        # AWS leaves an empty body out; sam local says None, and writes names in Title-Case.
        match {"body": None, **event} if isinstance(event, dict) else event:
            case {
                "version": "2.0",
                "headers": dict(headers),
                "body": str() | None as body,
                "isBase64Encoded": bool(is_base64),
            }:
                content_type = {k.lower(): v for k, v in headers.items()}.get("content-type", "")
                if isinstance(content_type, str):
                    return cls(content_type=content_type, body=body or "", is_base64=is_base64)
        raise RefusedError("invalid_event", "only events of an HTTP API, payload 2.0, are taken")


def client_of(event: object) -> str | None:
    """Return who calls, as the authorizer verified it; None if it did not say."""
    match event:
        case {"requestContext": {"authorizer": {"lambda": {"client": str(client)}}}}:
            return client
    return None


def text_of(request: Request) -> str:
    """Return the text to uppercase. Raises RefusedError."""
    media_type, *parameters = (each.strip() for each in request.content_type.lower().split(";"))
    if media_type != "application/json" or not _PARAMETERS.issuperset(parameters):
        sentence = "the content type must be application/json, in UTF-8"
        raise RefusedError("unsupported_media_type", sentence, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    content = _content(request)
    if len(content) > MAX_BODY_BYTES:
        sentence = f"the body must be at most {MAX_BODY_BYTES} bytes"
        raise RefusedError("body_too_large", sentence, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    document = _document(content)
    if not isinstance(document, dict):
        raise RefusedError("not_an_object", "the body must be a JSON object")
    if "text" not in document:
        raise RefusedError("missing_text", "the object must have the member text")
    if not isinstance(document["text"], str):
        raise RefusedError("text_not_a_string", "text must be a string")
    return _unicode(document["text"])


def answer(status: HTTPStatus, **members: str) -> dict[str, Any]:
    """Return the gateway's answer: a JSON object, in UTF-8."""
    body = json.dumps(members, ensure_ascii=False)
    return {"statusCode": int(status), "headers": HEADERS, "body": body, "isBase64Encoded": False}


def _content(request: Request) -> bytes:
    try:
        if request.is_base64:
            return base64.b64decode(request.body, validate=True)
        return request.body.encode()
    except UnicodeEncodeError:
        raise _not_utf_8() from None
    except ValueError:
        raise RefusedError("invalid_base64", "the body is not base64") from None


def _document(content: bytes) -> object:
    """Return what the JSON says. Python's reader is laxer than RFC 8259, so two hooks refuse."""
    try:
        return json.loads(content.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise _not_utf_8() from None
    except (ValueError, RecursionError):
        raise _malformed() from None


def _unique(members: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse what two readers may read differently (RFC 8259 section 4)."""
    document = dict(members)
    if len(document) < len(members):
        raise RefusedError("duplicate_member", "no member may stand twice in an object")
    return document


def _no_constant(_name: str) -> Never:
    raise _malformed()  # NaN and Infinity are not JSON


def _unicode(text: str) -> str:
    """Refuse half of a surrogate pair, which JSON can write and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RefusedError("invalid_text", "text must be whole Unicode characters") from None
    return text


def _malformed() -> RefusedError:
    return RefusedError("malformed_json", "the body is not JSON")


def _not_utf_8() -> RefusedError:
    return RefusedError("invalid_utf8", "the body is not UTF-8")
