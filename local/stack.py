"""The whole deployment on loopback: every function of template.yaml, and what it talks to.

Starts, in this order: the clock, AWS, the sockets (a function must know the gateway's address
before it starts, the authorization server that of the key set), the authorization server, the
functions, the schedules. Their first run makes the keys. All of it ends with the ``with`` block.

Loopback only: whoever can reach the control or the Lambda endpoint owns the stack.
"""

import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from ssl import SSLContext
from typing import Final, Self

from werkzeug.wrappers import Request, Response

from local.administrator import Administrator
from local.authorization_server import AuthorizationServer
from local.aws import Aws
from local.clock import MovableClock
from local.control import ClockControl, LambdaControl
from local.functions import Function
from local.gateway import Gateway
from local.loopback import LoopbackServer
from local.registrations import API_AUDIENCE, API_URI, ROLE, App, Certificates, app_for
from local.schedules import Schedules
from local.template import REGION, Template, load
from local.trace import Watchers
from machine_identity.aws.signer import REFRESH_INTERVAL
from machine_identity.jwk import PublicJwk
from machine_identity.key_files import public_jwk
from machine_identity.providers import DEFAULT, PROVIDERS
from machine_identity.publication import JWKS_PATH

CLIENT_ID: Final = "0f9a4b1e-5d7c-4c35-9d53-8f1f2a6b7c10"
LAPTOP: Final = "laptop"
"""The client that signs with a PEM file, if there is one."""
SCOPE: Final = f"{API_URI}/.default"
NOT_OURS: Final = frozenset(
    {"AuthorizationServer", "ClientId", "Scope", "Audience", "RequiredRoles", "PublicUrl"}
)
"""Parameters that the stack itself must choose."""


class Stack:
    """``with Stack() as stack``; parameters of the template may be given by name."""

    def __init__(
        self,
        parameters: Mapping[str, str] | None = None,
        *,
        client_key: Path | None = None,
        tls: SSLContext | None = None,
    ) -> None:
        """Raise TemplateError for a parameter that the template does not take.

        ``client_key`` is a PEM file: its public half is published and registered as LAPTOP.
        Raises SettingsError if it is none. With ``tls`` the API and the authorization server
        speak HTTPS, and whoever is to trust its certificate finds it by SSL_CERT_FILE.
        """
        self._tls = tls
        self.client_key = client_key
        self._laptop = None if client_key is None else public_jwk(client_key)
        self._given = dict(parameters or {})
        load(self._parameters("https://as.example", "https://api.example"))
        self._open = ExitStack()
        self.clock = MovableClock()
        self.watchers = Watchers()
        self.provider = PROVIDERS[self._given.get("Provider", DEFAULT)]

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            self._start(starting)
            self._open = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def advance(self, by: timedelta) -> datetime:
        """Move the clock, run the schedules that fall due, and return the new present."""
        return self._schedules.advance(by)

    def go_dark(self) -> None:
        """Answer no more at the public URL, as when its domain or what stands in front fails."""
        self._api.__exit__(None, None, None)

    def warnings(self) -> list[str]:
        """Return the last thing that each function complained about."""
        lines = {path.stem: path.read_text().splitlines() for path in self.logs.iterdir()}
        said = {name: [line for line in each if _is_warning(line)] for name, each in lines.items()}
        return [f"{name}: {each[-1]}" for name, each in said.items() if each]

    @property
    def addresses(self) -> dict[str, str]:
        """The URLs of the stack, by the names that programs rely on."""
        return {
            "api": self.api_url,
            "issuer": self.api_url,
            "jwks_uri": self.api_url + JWKS_PATH,
            "aws": self.aws.url,
            "lambda": self._lambda.url,
            "authorization_server": self.authorization_server.issuer,
            "graph": self.authorization_server.graph_url,
            "control": self._control.url,
        }

    def _start(self, starting: ExitStack) -> None:
        self.logs = Path(starting.enter_context(tempfile.TemporaryDirectory(prefix="embedded-")))
        self.aws = starting.enter_context(Aws(now=self.clock.now))
        # The functions must know the API's address before there is an API.
        self._api = starting.enter_context(self._server(self._answer, self._tls))
        self.api_url = self._api.url
        self.authorization_server = starting.enter_context(
            AuthorizationServer(now=self.clock.now, trace=self.watchers, tls=self._tls)
        )
        app = app_for(self.provider, client_id=CLIENT_ID, public_url=self.api_url)
        self.authorization_server.register(app)
        if self._laptop is not None:
            self._register(self._laptop, starting)
        template = load(self._parameters(self.authorization_server.issuer, self.api_url))
        self._make_buckets(template)
        self.functions = {
            spec.name: Function(
                spec,
                aws=self.aws.environment,
                clock=self.clock,
                log=self.logs / f"{spec.name}.log",
            )
            for spec in template.functions
        }
        for function in self.functions.values():
            starting.callback(function.close)
        self._gateway = Gateway(
            routes=template.routes,
            functions=self.functions,
            clock=self.clock,
            trace=self.watchers,
        )
        self._schedules = Schedules(template.schedules, self.functions, self.clock)
        starting.callback(self._schedules.close)
        self._lambda = starting.enter_context(
            self._server(LambdaControl(functions=self.functions, clock=self.clock))
        )
        self._control = starting.enter_context(
            self._server(ClockControl(clock=self.clock, advance=self.advance))
        )
        self.administrator = self._administrator_of(app, template)
        if self.administrator is not None:
            self.administrator.configure()
        self._schedules.start()
        if self.administrator is not None:
            self.administrator.register()
            self.advance(2 * REFRESH_INTERVAL)  # then the signer knows its certificate's name

    def _answer(self, request: Request) -> Response:
        return self._gateway(request)

    def _server(
        self, answer: Callable[[Request], Response], tls: SSLContext | None = None
    ) -> LoopbackServer:
        return LoopbackServer(Request.application(answer), now=self.clock.now, tls=tls)

    def _register(self, laptop: PublicJwk, starting: ExitStack) -> None:
        keys = json.dumps({"keys": [laptop]})
        server = self._server(lambda _: Response(keys, mimetype="application/json"))
        url = starting.enter_context(server).url
        app = app_for(PROVIDERS[DEFAULT], client_id=LAPTOP, public_url=url)
        self.authorization_server.register(app)

    def _parameters(self, authorization_server: str, public_url: str) -> dict[str, str]:
        return {
            **self._given,
            "AuthorizationServer": authorization_server,
            "ClientId": CLIENT_ID,
            "Scope": SCOPE,
            "Audience": API_AUDIENCE,
            "RequiredRoles": ROLE,
            "PublicUrl": public_url,
        }

    def _administrator_of(self, app: App, template: Template) -> Administrator | None:
        """Return who registers the first certificate, where certificates are registered."""
        if not isinstance(app.credential, Certificates):
            return None
        (token,) = (each for each in template.functions if each.name == "TokenFunction")
        return Administrator(
            server=self.authorization_server,
            app=app,
            s3=self.aws.client("s3"),
            state_bucket=token.environment["STATE_BUCKET"],
            functions=self.functions,
        )

    def _make_buckets(self, template: Template) -> None:
        s3 = self.aws.client("s3")
        for bucket in template.buckets:
            s3.create_bucket(
                Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
            )
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def _is_warning(line: str) -> bool:
    return '"level": "WARNING"' in line or '"level":"WARNING"' in line or "ERROR" in line
