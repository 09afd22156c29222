"""The two documents: what stands in them, and what never does."""

import json
from dataclasses import replace
from typing import Any, cast

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc.jwk import KeySet

from machine_identity import jwk, publication
from machine_identity.evidence import Standing
from machine_identity.jwk import PublicJwk
from machine_identity.keyring import Incoming, Key, Keyring, Outgoing, State
from machine_identity.publication import Documents
from tests.keyrings import DAY, POLICY, SECOND, START, removed, ring, standing

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
"""Every private or secret member of RFC 7518 section 6."""


def key(public: PublicJwk, state: State) -> Key:
    return Key(jwk=public, arn="arn:secret", created_at=START, state=state, since=START)


KEYRING = ring(
    key(jwk.from_public_key(RSA.public_key(), "PS256"), State.RETIRED),
    key(jwk.from_public_key(RSA.public_key(), "PS256") | {"kid": "twin"}, State.ACTIVE),
    key(jwk.from_public_key(EC.public_key(), "ES256"), State.STANDBY),
    removed(),
    published_revision=5,
)


def documents(keyring: Keyring = KEYRING) -> Documents:
    return publication.documents(keyring, POLICY.max_age)


def key_set(keyring: Keyring = KEYRING) -> Any:
    return json.loads(documents(keyring).jwks)


def test_the_set_holds_every_key_but_removed_ones_in_the_order_of_their_creation() -> None:
    assert key_set()["keys"] == [dict(each.jwk) for each in KEYRING.keys[:3]]


def test_rule_6_the_set_carries_the_revision_at_which_it_last_changed() -> None:
    assert key_set()["revision"] == documents().revision == 5


def test_two_libraries_read_the_set() -> None:
    kids = [each.kid for each in KEYRING.published]
    assert [each.key_id for each in jwt.PyJWKSet.from_dict(key_set()).keys] == kids
    assert [each.kid for each in KeySet.import_key_set(key_set()).keys] == kids


def test_the_discovery_document_is_what_a_strict_reader_requires() -> None:
    """OpenID Connect Discovery 1.0 section 3, as far as a set of keys goes.

    With the implicit grant alone no token endpoint is required; with the default one is.
    """
    assert json.loads(documents().configuration) == {
        "issuer": "https://identity.example",
        "jwks_uri": "https://identity.example/.well-known/jwks.json",
        "authorization_endpoint": "https://identity.example/no-authorization-endpoint",
        "grant_types_supported": ["implicit"],
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256", "PS256"],
    }


@pytest.mark.parametrize("name", PRIVATE)
def test_rule_8_no_private_member_gets_out_whatever_the_keyring_holds(name: str) -> None:
    leaky = cast("PublicJwk", {**KEYRING.keys[0].jwk, name: "c2VjcmV0"})
    keyring = KEYRING.with_key(replace(KEYRING.keys[0], jwk=leaky))
    assert documents(keyring) == documents()


def test_nothing_gets_out_but_the_key_itself() -> None:
    text = documents().jwks.decode() + documents().configuration.decode()
    assert "arn:" not in text
    assert "default" not in text
    for each in (documents(), standing(KEYRING)):
        assert "jwks=" not in repr(each)
        assert "configuration=" not in repr(each)


def test_the_same_keyring_gives_the_same_bytes() -> None:
    other = json.loads(json.dumps(dict(reversed(KEYRING.keys[0].jwk.items()))))
    again = KEYRING.with_key(replace(KEYRING.keys[0], jwk=other, since=START + SECOND))
    assert documents(replace(again, revision=99)) == documents()


def test_both_documents_may_be_cached_for_the_max_age_and_no_longer() -> None:
    assert documents().cache_control == "public, max-age=3000"
    shorter = publication.documents(KEYRING, 1.5 * SECOND)
    assert shorter.cache_control == "public, max-age=1"


STANDS = standing(KEYRING)


@pytest.mark.parametrize("tag", [None, "tag"])
def test_documents_stand_whatever_their_tags(tag: str | None) -> None:
    assert publication.stands(documents(), replace(STANDS, jwks_tag=tag, configuration_tag=tag))


@pytest.mark.parametrize(
    "changed",
    [
        replace(STANDS, jwks=b"{}"),
        replace(STANDS, configuration=None),
        replace(STANDS, cache_control="public, max-age=3001"),
        Standing(),
    ],
)
def test_documents_do_not_stand_if_one_thing_differs(changed: Standing) -> None:
    assert not publication.stands(documents(), changed)


@pytest.mark.parametrize(
    ("jwks", "revision"),
    [
        (documents().jwks, 5),
        (b'{"revision": 7}', 7),
        (None, 0),
        (b"", 0),
        (b"{}", 0),
        (b"[]", 0),
        (b"\xff", 0),
        (b'{"revision": "7"}', 0),
        (b'{"revision": 7.0}', 0),
        (b'{"revision": true}', 0),
    ],
)
def test_the_revision_that_stands_is_read_from_the_set(jwks: bytes | None, revision: int) -> None:
    assert publication.standing_revision(Standing(jwks=jwks)) == revision


def test_an_object_is_named_by_identity_and_path() -> None:
    names = [
        publication.object_key("default", path)
        for path in (publication.JWKS_PATH, publication.CONFIGURATION_PATH)
    ]
    assert names == [
        "default/.well-known/jwks.json",
        "default/.well-known/openid-configuration",
    ]


def test_rule_8_what_stands_in_the_set_and_is_nobodys_is_told_by_its_own_name() -> None:
    ours = key_set()["keys"]
    other = jwk.from_public_key(ec.generate_private_key(ec.SECP256R1()).public_key(), "ES256")
    keys = [
        *ours,
        {**other},
        {**other, "kid": ours[0]["kid"]},
        {**ours[0], "kid": "another"},
        {"kid": "nothing"},
        {"no": "name"},
    ]
    standing = Standing(jwks=json.dumps({"keys": keys}).encode())
    kid = other["kid"]
    assert publication.foreign(standing, KEYRING) == tuple(
        sorted([kid, kid, "another", "nothing"])
    )
    assert publication.foreign(Standing(jwks=documents().jwks), KEYRING) == ()
    assert publication.foreign(Standing(jwks=b"{"), KEYRING) == ()


ELSEWHERE = replace(
    KEYRING,
    incoming=Incoming(url="https://new.example", since=START),
    outgoing=(
        Outgoing(url="https://old.example/a", since=START, retire_interval=DAY),
        Outgoing(url="https://new.example", since=START, retire_interval=DAY),
    ),
)


@pytest.mark.parametrize(
    ("host", "issuer"),
    [
        ("identity.example", "https://identity.example"),
        ("new.example", "https://new.example"),
        ("old.example", "https://old.example/a"),
        ("unheard.example", "https://old.example/a"),
        ("", "https://old.example/a"),
        ("new.example:8443", "https://old.example/a"),
    ],
)
def test_each_issuer_is_told_of_by_its_own_host_and_the_one_before_by_every_other(
    host: str, issuer: str
) -> None:
    configuration = json.loads(documents(ELSEWHERE).configuration)
    plain = json.loads(documents().configuration)
    served = publication.as_served(configuration, host)
    assert served == {
        **plain,
        "issuer": issuer,
        "jwks_uri": issuer + "/.well-known/jwks.json",
        "authorization_endpoint": issuer + "/no-authorization-endpoint",
    }


def test_a_document_of_older_code_without_the_endpoint_leads_to_every_issuer_all_the_same() -> (
    None
):
    old = json.loads(documents(ELSEWHERE).configuration)
    for name in ("authorization_endpoint", "grant_types_supported"):
        del old[name]
    for issuer in ELSEWHERE.issuers:
        served = publication.as_served(old, issuer.removeprefix("https://").partition("/")[0])
        assert (served["issuer"], served["jwks_uri"].startswith(issuer)) == (issuer, True)


@pytest.mark.parametrize("others", [None, "https://new.example", [7], [["https://new.example"]]])
def test_a_member_that_somebody_broke_leads_nowhere_else(others: object) -> None:
    plain = json.loads(documents().configuration)
    served = publication.as_served({**plain, "other_issuers": others}, "new.example")
    assert served == plain


def test_the_issuers_of_a_standing_document_are_told_the_one_in_use_first() -> None:
    told = publication.standing_issuers(Standing(configuration=documents(ELSEWHERE).configuration))
    assert told == ELSEWHERE.issuers
    assert len(told) == 3
    for broken in (None, b"{", b"[]", b'{"other_issuers": ["a"]}'):
        assert publication.standing_issuers(Standing(configuration=broken)) == ()
    for others in ("7", '"abc"', "null", "{}"):
        body = f'{{"issuer": "a", "other_issuers": {others}}}'.encode()
        assert publication.standing_issuers(Standing(configuration=body)) == ("a",)


@pytest.mark.parametrize("host", ["unheard.example", "", "identity.example"])
def test_without_an_issuer_before_every_other_host_is_told_the_one_in_use(host: str) -> None:
    pending = replace(ELSEWHERE, outgoing=())
    configuration = json.loads(documents(pending).configuration)
    assert publication.as_served(configuration, host) == json.loads(documents().configuration)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://New.Example", "new.example"),
        ("https://new.example:443", "new.example"),
        ("https://new.example.", "new.example"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
    ],
)
def test_a_host_is_compared_as_api_gateway_tells_it(url: str, host: str) -> None:
    incoming = replace(ELSEWHERE, incoming=Incoming(url=url, since=START), outgoing=())
    configuration = json.loads(documents(incoming).configuration)
    assert publication.as_served(configuration, host)["issuer"] == url


@pytest.mark.parametrize("issuer", ["https://[", "https://a:b", 7, None])
def test_an_issuer_that_somebody_broke_is_nobodys_host(issuer: object) -> None:
    plain = json.loads(documents().configuration)
    broken = {**plain, "issuer": issuer, "other_issuers": [issuer, "https://new.example"]}
    assert publication.as_served(broken, "new.example")["issuer"] == "https://new.example"


@pytest.mark.parametrize("revision", [2**62, 10**4299, -1, True, "7", 7.0])
def test_rule_6_what_cannot_be_a_revision_is_none(revision: object) -> None:
    standing = Standing(jwks=json.dumps({"keys": [], "revision": revision}).encode())
    assert publication.standing_revision(standing) == 0
