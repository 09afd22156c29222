import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from machine_identity import clock, jwk, transport
from machine_identity.aws import AwsError
from machine_identity.aws.s3 import Document
from machine_identity.client_assertion import Draft, SigningKey
from machine_identity.http1 import Response
from rehearsal.processes import Questions
from rehearsal.record import Record
from rehearsal.site import Site

TIMEOUT = timedelta(seconds=5)


class Shelf:
    """A store that holds one key set, until it fails."""

    def __init__(self, *keys: jwk.PublicJwk) -> None:
        self.body = json.dumps({"keys": keys}).encode()
        self.fails = False

    def read(self, key: str) -> Document | None:
        if self.fails:
            raise AwsError("s3:GetObject", "SlowDown")
        if key != "ours/.well-known/jwks.json":
            return None
        return Document(body=self.body, tag="1", cache_control="public, max-age=5")


PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC = jwk.from_public_key(PRIVATE.public_key(), "RS256")


@pytest.fixture
def shelf() -> Shelf:
    return Shelf(PUBLIC)


@pytest.fixture
def site(shelf: Shelf) -> Iterator[Site]:
    with Site(shelf, "ours", Record()) as site:
        yield site


def get(url: str) -> Response:
    return transport.send("GET", url, headers={}, timeout=TIMEOUT)


def test_who_fetched_which_keys_is_written_down(site: Site) -> None:
    before = clock.now()

    answer = get(site.key_set_for("jose-3"))

    (fetched,) = site.record.fetched
    assert (answer.status, answer.headers["cache-control"]) == (200, "public, max-age=5")
    assert (fetched.reader, fetched.kids) == ("jose-3", frozenset({PUBLIC["kid"]}))
    assert before <= fetched.at <= clock.now()


def test_a_copy_that_the_bucket_does_not_confirm_is_not_served(site: Site, shelf: Shelf) -> None:
    get(site.key_set_for("jose-3"))
    shelf.fails = True

    answer = get(site.key_set_for("jose-3"))

    assert answer.status == 503
    assert len(site.record.fetched) == 1


def test_what_is_not_there_is_not_served_and_not_written_down(site: Site) -> None:
    assert get(f"{site.url}/.well-known/openid-configuration").status == 503
    assert get(f"{site.url}/index.html").status == 404
    assert site.record.fetched == []


def assertion(key: SigningKey, *, audience: str, issuer: str) -> str:
    draft = Draft(
        issuer=issuer,
        subject="reader",
        audience=audience,
        typ="JWT",
        algorithms=("RS256",),
        lifetime=timedelta(seconds=10),
    )
    return key.sign(draft, now=clock.now(), jti=clock.unique())


def test_pyjwks_verifier_fetches_the_set_once_a_reader_and_judges(
    site: Site, tmp_path: Path
) -> None:
    ours = SigningKey(kid=PUBLIC["kid"], algorithm="RS256", private_key=PRIVATE)
    strange = SigningKey(kid="strange", algorithm="RS256", private_key=PRIVATE)
    questions = Questions([sys.executable, "-m", "rehearsal.pyjwk_client"], tmp_path / "log")

    def ask(key: SigningKey, reader: str, audience: str = "us") -> tuple[bool, str]:
        answer = questions.ask(
            {
                "reader": reader,
                "jwks_uri": site.key_set_for(reader),
                "issuer": site.url,
                "audience": "us",
                "assertion": assertion(key, audience=audience, issuer=site.url),
            }
        )
        return answer["accepted"], answer.get("why", "")

    with questions.process:
        assert ask(ours, "one") == (True, "")
        assert ask(ours, "one") == (True, "")
        assert ask(ours, "two") == (True, "")
        assert ask(ours, "one", audience="them") == (False, jwt.InvalidAudienceError.__name__)
        # The copy is not half a minute old, and the unknown key is not looked for.
        assert ask(strange, "one") == (False, jwt.PyJWKClientError.__name__)

    assert [each.reader for each in site.record.fetched] == ["one", "two"]
