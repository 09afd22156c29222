"""Tells the story, steps 0 to 13, while it happens, and then rotates the key under a client.

Everything shown was seen: the parties tell what they do as moments (see ``trace``), and each
step is held against what it must have done. The demo succeeds only if every step did.
"""

import json
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from local import tokens
from local.client import Client
from local.narrator import Narrator, shortened
from local.rotation_demo import rotate_under_a_client
from local.stack import Stack
from machine_identity import transport
from machine_identity.client_credentials import ASSERTION_TYPE

if TYPE_CHECKING:
    from local.token_requests import TokenRequest
    from local.trace import Moment

TEXT: Final = "hello world"
TIMEOUT: Final = timedelta(seconds=10)


class UnexpectedError(Exception):
    """A step did not do what it says."""


class Demo:
    """One telling, over one stack."""

    def __init__(self, stack: Stack, narrator: Narrator) -> None:
        self._stack = stack
        self._say = narrator
        self._moments: list[Moment] = []
        self._client = Client(lambda_url=stack.addresses["lambda"], api_url=stack.api_url)
        stack.watchers.add(self._moments.append)

    def run(self) -> None:
        """Tell all of it. Raises UnexpectedError."""
        self._say.title("One machine, no secret: from a KMS key to HELLO WORLD")
        kid = self._key()
        token = self._token(kid)
        self._call(token)
        self._say.title("What does not get in")
        self._refusals(token)
        self._say.title("The key rotates while a client keeps calling")
        rotate_under_a_client(self._stack, self._client, self._say)
        self._say.step("", "That is all", "every step, refusal and call did what it says")
        self._say.note("make serve keeps the stack up and prints a call of each kind")

    def _key(self) -> str:
        say = self._say
        status = self._client.invoke("RotationFunction", {"command": "status"})
        self._expect("keys" in status, f"the state of the keys, and not {status}")
        keys = {key["state"]: key for key in status["keys"]}
        self._expect(keys.keys() == {"active", "standby"}, "one active and one standby key")
        say.step("0", "rotation", "made two keys in KMS; the private halves never leave it")
        for state, key in keys.items():
            say.show(f"{state:<8}", key["kid"])
        published = self._fetched(self._stack.addresses["jwks_uri"])
        kids = [key["kid"] for key in published["keys"]]
        self._expect(set(kids) == {key["kid"] for key in keys.values()}, "both are published")
        say.good(f"both public halves are at {self._stack.addresses['jwks_uri']}")
        return str(keys["active"]["kid"])

    def _token(self, kid: str) -> str:
        say = self._say
        answer = self._client.invoke("TokenFunction", {})
        self._expect("access_token" in answer, f"an access token, and not {answer}")
        told = self._moment("token_request")
        asked, decision = told["asked"], told["decision"]
        header = tokens.header(asked.assertion)
        say.step("1", "token", "builds a client assertion (RFC 7523), signed by kms:Sign")
        say.show("header", header)
        say.show("claims", tokens.claims(asked.assertion))
        self._expect(header["kid"] == kid, "the active key signs")
        say.step("2", "token", f"POST {self._stack.authorization_server.token_endpoint}")
        say.show("form", _form(asked))
        say.step("3-5", "authorization server", "reads alg and kid, fetches our JWKS URI")
        self._expect(decision.found is not None, "the key is in the published set")
        say.show("jwks_uri", decision.found.url)
        place = f"{decision.found.kids.index(kid) + 1} of {len(decision.found.kids)}"
        say.show("kid     ", f"{kid} is key {place} in the published set")
        self._expect(decision.found.fetched_at == decision.at, "fetched for this very request")
        say.step("6", "authorization server", "checks signature, iss, sub, aud, exp, jti, scope")
        self._expect(decision.fault is None, "the assertion is accepted")
        say.good("and issues an access token:")
        say.show("claims", tokens.claims(answer["access_token"]))
        before = len(self._moments)
        again = self._client.invoke("TokenFunction", {})
        say.step("7-8", "token", "keeps the access token in memory until shortly before its end")
        self._expect(again["access_token"] == answer["access_token"], "the same token again")
        self._expect(len(self._moments) == before, "nobody was asked for it")
        say.good(f"asked again: the same token, for another {again['expires_in']} s, from memory")
        return str(answer["access_token"])

    def _call(self, token: str) -> None:
        say, body = self._say, json.dumps({"text": TEXT})
        say.step("9", "client", f"POST {self._stack.api_url}/api/uppercase")
        say.show("authorization", "Bearer " + shortened(token))
        say.show("body", body)
        answer = self._client.call(body.encode(), token)
        decided = self._moment("authorizer")
        self._expect(answer.status == HTTPStatus.OK, f"status 200, and not {answer.status}")
        say.step(
            "10-12", "authorizer", "reads kid, fetches the issuer's key set, checks all of it"
        )
        say.show("kid", tokens.header(token)["kid"])
        say.show("context", decided["answer"]["context"])
        say.step("13", "uppercase", f"answers with status {answer.status}")
        say.show("body", json.dumps(answer.members))
        self._expect(answer.members == {"result": TEXT.upper()}, "HELLO WORLD")

    def _refusals(self, token: str) -> None:
        body = json.dumps({"text": TEXT}).encode()
        claims = {**tokens.claims(token), "roles": ["Administrator"]}
        forged = tokens.with_claims(token, claims)
        cases = (
            ("no token", HTTPStatus.UNAUTHORIZED, None, body),
            ("a token with a changed role", HTTPStatus.FORBIDDEN, forged, body),
            ("a body that is no JSON", HTTPStatus.BAD_REQUEST, token, b"hello"),
        )
        self._refused_assertions()
        for name, expected, bearer, content in cases:
            answer = self._client.call(content, bearer)
            self._expect(answer.status == expected, f"{name} is answered with {expected}")
            self._say.good(f"{name}: {answer.status} {json.dumps(answer.members)}")

    def _refused_assertions(self) -> None:
        """Show the authorization server what it saw before, and a key that nobody published."""
        server = self._stack.authorization_server
        asked = self._moment("token_request")["asked"]
        stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        header = {"kid": "of-a-stranger", "typ": tokens.header(asked.assertion)["typ"]}
        claims = tokens.claims(asked.assertion)
        other = jwt.encode(claims, stranger, algorithm="RS256", headers=header)
        for name, assertion in (
            ("an assertion for the second time", asked.assertion),
            ("one by a key that was never published", other),
        ):
            form = urlencode({**_form(asked), "client_assertion": assertion}).encode()
            kind = {"content-type": "application/x-www-form-urlencoded"}
            answer = transport.send(
                "POST", server.token_endpoint, headers=kind, body=form, timeout=TIMEOUT
            )
            refusal = json.loads(answer.body)
            self._expect(answer.status != HTTPStatus.OK, f"{name} is refused")
            reason = refusal["error_description"].split(":")[0]
            self._say.good(f"{name}: {answer.status} {refusal['error']}, {reason}")

    def _moment(self, what: str) -> Any:  # noqa: ANN401 - what the parties tell
        """Return the details of the last moment of that kind."""
        told = [moment for moment in self._moments if moment.what == what]
        self._expect(bool(told), f"the {what} was seen")
        return told[-1].details

    def _expect(self, is_so: bool, what: str) -> None:  # noqa: FBT001 - an assertion
        if not is_so:
            raise UnexpectedError(what)

    def _fetched(self, url: str) -> Any:  # noqa: ANN401 - any JSON
        answer = transport.send("GET", url, headers={}, timeout=TIMEOUT)
        return json.loads(answer.body)


def _form(asked: "TokenRequest") -> dict[str, str]:
    """Return what was posted, the assertion shortened."""
    return {
        "grant_type": "client_credentials",
        "client_id": asked.client_id,
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": shortened(asked.assertion),
        "scope": asked.scope,
    }
