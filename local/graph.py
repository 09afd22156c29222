"""Microsoft Graph, of which three calls are here: an application's certificates, rolled by itself.

``POST /applications/{id}/addKey`` and ``removeKey`` want a token for Graph of the same client and
a proof of possession, and no permission; ``GET /applications/{id}?$select=keyCredentials`` wants
the role ``Application.Read.All``. An application is addressed by its object ID, or by its client
ID as ``applications(appId='…')``.

An application without a valid certificate can prove nothing, so it can roll nothing. Nobody
minds that a removed certificate was the last, or the one that signed the proof. What is added
twice is there twice. Only certificates to verify with: no ``X509CertAndPassword``, no service
principals, and nobody may roll the keys of another, whatever roles it has.
"""

import base64
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Protocol

from flask import Flask, Response, jsonify, request

from local import disturbances, graph_errors, graph_requests, proofs
from local.directory import Directory
from local.disturbances import Disturbance, LoseAnswer, Refuse
from local.graph_errors import GraphError, GraphFault
from local.proofs import ProofRules
from local.registrations import GRAPH, App
from machine_identity import clock

ROOT: Final = "/graph/v1.0"
READ_ROLE: Final = "Application.Read.All"
_BEARER: Final = "Bearer "


class Tokens(Protocol):
    """Reads access tokens of the authorization server that stands beside."""

    def verified(self, token: str) -> Mapping[str, Any] | None:
        """Return the claims, if the signature is its own; what they say is not looked at."""
        ...


type Act = Callable[[App, datetime], Response]


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The calls, for a Flask application that serves them under ``ROOT``."""

    directory: Directory
    tokens: Tokens
    rules: ProofRules
    now: Callable[[], datetime]
    _ordered: deque[Disturbance] = field(default_factory=deque)

    def disturb(self, *ordered: Disturbance) -> None:
        """Let the next calls go wrong, one for each disturbance."""
        self._ordered.extend(ordered)

    def serve(self, app: Flask) -> None:
        """Answer these calls too."""
        calls = (
            ("POST", "/addKey", self._add_key),
            ("POST", "/removeKey", self._remove_key),
            ("GET", "", self._listing),
        )
        for method, path, act in calls:
            for owner in ("/<object_id>", "(appId='<client_id>')"):
                rule = f"{ROOT}/applications{owner}{path}"
                view = partial(self._answered, act)
                app.add_url_rule(rule, endpoint=rule, view_func=view, methods=[method])
        app.register_error_handler(GraphError, lambda error: self._refused(error.fault))

    def _answered(self, act: Act, object_id: str = "", client_id: str = "") -> Response:
        ordered = self._ordered.popleft() if self._ordered else None
        if isinstance(ordered, Refuse):
            return self._refused(ordered.fault, ordered.retry_after)
        answer = self._done(act, object_id, client_id)
        if isinstance(ordered, LoseAnswer):
            if ordered.fault is not None:
                return self._refused(ordered.fault)
            disturbances.cut()
        return answer

    def _done(self, act: Act, object_id: str, client_id: str) -> Response:
        now = self.now()
        caller = self._caller(now)
        by_object_id, by_client_id = self.directory.by_object_id, self.directory.app
        app = by_object_id(object_id) if object_id else by_client_id(client_id)
        if app is None:
            raise GraphError(GraphFault.UNKNOWN_APPLICATION)
        if caller.get("azp") != app.client_id:
            raise GraphError(GraphFault.FORBIDDEN)
        if act == self._listing and READ_ROLE not in caller.get("roles", ()):
            raise GraphError(GraphFault.FORBIDDEN)
        return act(app, now)

    def _caller(self, now: datetime) -> Mapping[str, Any]:
        credentials = request.headers.get("Authorization", "")
        if not credentials.startswith(_BEARER):
            raise GraphError(GraphFault.NO_TOKEN)
        claims = self.tokens.verified(credentials.removeprefix(_BEARER))
        if claims is None:
            raise GraphError(GraphFault.BAD_TOKEN)
        if claims["aud"] != GRAPH.client_id:
            raise GraphError(GraphFault.TOKEN_AUDIENCE)
        if now.timestamp() >= claims["exp"] + self.rules.leeway.total_seconds():
            raise GraphError(GraphFault.TOKEN_EXPIRED)
        return claims

    def _add_key(self, app: App, now: datetime) -> Response:
        members = graph_requests.members(request)
        self._check_proof(members, app, now)
        credential = graph_requests.new_credential(members, key_id=clock.unique(), now=now)
        self.directory.add(app, credential, now)
        context = f"{request.host_url}{ROOT[1:]}/$metadata#microsoft.graph.keyCredential"
        return jsonify({"@odata.context": context, **credential.resource()})

    def _remove_key(self, app: App, now: datetime) -> Response:
        members = graph_requests.members(request)
        self._check_proof(members, app, now)
        if not self.directory.remove(app, graph_requests.key_id(members), now):
            raise GraphError(GraphFault.UNKNOWN_KEY)
        return Response(status=204)

    def _listing(self, app: App, now: datetime) -> Response:
        is_selected = "keyCredentials" in request.args.get("$select", "").split(",")
        shown = [
            each.resource(key=base64.b64encode(each.der).decode() if is_selected else None)
            for each in self.directory.keys(app, now)
        ]
        names = {} if is_selected else {"id": app.object_id, "appId": app.client_id}
        return jsonify({**names, "keyCredentials": shown})

    def _check_proof(self, members: Mapping[str, Any], app: App, now: datetime) -> None:
        proof = members.get("proof")
        if not isinstance(proof, str) or not proof:
            raise GraphError(GraphFault.FORBIDDEN)
        keys = self.directory.keys(app, now)
        proofs.check(proof, keys, app.object_id, self.rules, now)

    def _refused(self, fault: GraphFault, retry_after: timedelta | None = None) -> Response:
        answer = jsonify(graph_errors.body(fault, now=self.now(), request_id=clock.unique()))
        answer.status_code = fault.value.status
        if retry_after is not None:
            answer.headers["Retry-After"] = str(int(retry_after.total_seconds()))
        return answer
