"""API Gateway's HTTP API on loopback: routes, payload 2.0, Lambda authorizer, and its answers.

As on AWS: no identity source is 401 and nobody is asked; a refusal is 403; an authorizer that
fails is 500, as is a function that fails; an unknown route is 404. Header names reach a function
in lower case, several values of one name joined by commas, bodies that are no text in base64.
"""

import base64
import json
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from werkzeug.wrappers import Request, Response

from local.clock import MovableClock
from local.functions import Function, FunctionError
from local.template import ACCOUNT, REGION, Authorizer, Route
from local.trace import Moment, Trace
from machine_identity import clock

API_ID: Final = "embedded"
MOST_BYTES: Final = 10 * 1024 * 1024
"""API Gateway's payload quota."""
_NOT_ASKED: Final = frozenset({"body", "isBase64Encoded"})
"""An authorizer never sees the body."""
_TEXT: Final = ("text/", "application/json", "application/javascript", "application/xml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A WSGI application that stands where API Gateway stands."""

    routes: tuple[Route, ...]
    functions: Mapping[str, Function]
    clock: MovableClock
    trace: Trace

    def __call__(self, request: Request) -> Response:
        """Answer one request."""
        route = self._route(request)
        if route is None:
            return _message(HTTPStatus.NOT_FOUND, "Not Found")
        if (request.content_length or 0) > MOST_BYTES:
            return _message(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Request Entity Too Large")
        request.get_data()  # a caller who is slow to send holds up nobody but itself
        # The key set is read by requests that hold the clock already, and has no time in it.
        with self.clock.held() if route.authorizer else nullcontext():
            event = self._event(request, route)
            response = self._answered(event, route)
        self.trace(Moment(what="api", details={"event": event, "response": response}))
        return response

    def _route(self, request: Request) -> Route | None:
        wanted = (request.method, request.path)
        return next((each for each in self.routes if (each.method, each.path) == wanted), None)

    def _answered(self, event: dict[str, Any], route: Route) -> Response:
        if route.authorizer is not None:
            refused = self._authorized(event, route, route.authorizer)
            if refused is not None:
                return refused
        try:
            return _response(self.functions[route.function].invoke(event))
        except (FunctionError, AttributeError, TypeError, ValueError):
            return _message(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal Server Error")

    def _authorized(
        self, event: dict[str, Any], route: Route, authorizer: Authorizer
    ) -> Response | None:
        """Ask the authorizer and put its context into ``event``; or return the refusal."""
        sources = [event["headers"].get(header, "") for header in authorizer.headers]
        if not all(sources):
            return _message(HTTPStatus.UNAUTHORIZED, "Unauthorized")
        question = {
            **{name: each for name, each in event.items() if name not in _NOT_ASKED},
            "type": "REQUEST",
            "routeArn": f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{API_ID}/$default/"
            f"{route.method}{route.path}",
            "identitySource": sources,
        }
        try:
            answer = self.functions[authorizer.function].invoke(question)
            allowed, context = answer["isAuthorized"], answer.get("context", {})
        except (FunctionError, TypeError, KeyError) as error:
            self.trace(Moment(what="authorizer", details={"event": question, "error": str(error)}))
            return _message(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal Server Error")
        self.trace(Moment(what="authorizer", details={"event": question, "answer": answer}))
        if allowed is not True:
            return _message(HTTPStatus.FORBIDDEN, "Forbidden")
        event["requestContext"]["authorizer"] = {"lambda": context}
        return None

    def _event(self, request: Request, route: Route) -> dict[str, Any]:
        headers: dict[str, str] = {}
        for name, value in request.headers.items():
            known = headers.get(name.lower())
            headers[name.lower()] = value if known is None else f"{known},{value}"
        cookies = headers.pop("cookie", "")
        body, is_base64 = _body(request.get_data(), headers.get("content-type", ""))
        now = self.clock.now()
        return {
            "version": "2.0",
            "routeKey": f"{route.method} {route.path}",
            "rawPath": request.path,
            "rawQueryString": request.query_string.decode("latin-1"),
            "headers": headers,
            **({"cookies": cookies.split("; ")} if cookies else {}),
            **({"queryStringParameters": _query(request)} if request.args else {}),
            "requestContext": {
                "accountId": ACCOUNT,
                "apiId": API_ID,
                "domainName": request.host,
                "domainPrefix": API_ID,
                "http": {
                    "method": request.method,
                    "path": request.path,
                    "protocol": request.environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
                    "sourceIp": request.remote_addr,
                    "userAgent": headers.get("user-agent", ""),
                },
                "requestId": clock.unique(),
                "routeKey": f"{route.method} {route.path}",
                "stage": "$default",
                "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
                "timeEpoch": int(now.timestamp() * 1000),
            },
            **({} if body is None else {"body": body}),
            "isBase64Encoded": is_base64,
        }


def _query(request: Request) -> dict[str, str]:
    return {name: ",".join(request.args.getlist(name)) for name in request.args}


def _body(content: bytes, kind: str) -> tuple[str | None, bool]:
    if not content:
        return None, False
    if kind.lower().startswith(_TEXT):
        try:
            return content.decode(), False
        except UnicodeDecodeError:
            pass  # not the text that it says it is: passed on byte for byte
    return base64.b64encode(content).decode(), True


def _response(answer: Any) -> Response:  # noqa: ANN401 - whatever a function answers
    """Return what API Gateway makes of a function's answer; without a status it is the body."""
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return Response(json.dumps(answer), mimetype="application/json")
    body = answer.get("body") or ""
    content = base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode()
    response = Response(content, status=int(answer["statusCode"]))
    response.headers["content-type"] = "text/plain;charset=UTF-8"
    for name, value in answer.get("headers", {}).items():
        response.headers[name] = str(value)
    for cookie in answer.get("cookies", ()):
        response.headers.add("set-cookie", cookie)
    return response


def _message(status: HTTPStatus, message: str) -> Response:
    return Response(json.dumps({"message": message}), status=status, mimetype="application/json")
