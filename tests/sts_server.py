"""STS on loopback, as far as GetWebIdentityToken goes: form in, XML out, a token really signed."""

from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from machine_identity import jwk
from tests.loopback import Loopback, Quiet

ROLE = "arn:aws:iam::123456789012:role/orders"
ISSUER = "https://8f2c.tokens.sts.global.api.aws"
_ANSWER = """<GetWebIdentityTokenResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<GetWebIdentityTokenResult><WebIdentityToken>{token}</WebIdentityToken>
<Expiration>{until}</Expiration></GetWebIdentityTokenResult>
<ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></GetWebIdentityTokenResponse>"""
_ERROR = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>
<Type>Sender</Type><Code>{code}</Code><Message>as documented</Message></Error>
<RequestId>r-1</RequestId></ErrorResponse>"""


class StsServer(Loopback):
    """``with StsServer() as sts``; ``error`` makes it refuse with a code."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.public = jwk.from_public_key(self.key.public_key(), "RS256")
        self.error = ""
        self.forms: list[dict[str, str]] = []
        super().__init__(self._handler(), ThreadingHTTPServer)

    def answer(self, form: dict[str, str]) -> tuple[int, str]:
        self.forms.append(form)
        if self.error:
            return 403, _ERROR.format(code=self.error)
        if form["Action"] != "GetWebIdentityToken":
            return 400, _ERROR.format(code="InvalidAction")
        now = datetime.now(UTC)  # noqa: TID251 - AWS has a clock of its own
        until = now + timedelta(seconds=int(form["DurationSeconds"]))
        claims = {
            "iss": ISSUER,
            "sub": ROLE,
            "aud": form["Audience.member.1"],
            "iat": int(now.timestamp()),
            "exp": int(until.timestamp()),
            "jti": f"aws-{len(self.forms)}",
        }
        token = jwt.encode(claims, self.key, "RS256", headers={"kid": self.public["kid"]})
        return 200, _ANSWER.format(token=token, until=until.isoformat())

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(Quiet, BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                form = {name: each[0] for name, each in parse_qs(body).items()}
                status, text = server.answer(form)
                self.send_response(status)
                self.send_header("content-type", "text/xml")
                self.send_header("content-length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

        return Handler
