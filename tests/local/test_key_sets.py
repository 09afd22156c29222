"""How the authorization server fetches and keeps clients' key sets, over real HTTP."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from local.registrations import FederatedCredential, PrivateKeyJwt
from machine_identity.providers import CAREFUL_KEY_SET_CACHE
from tests.local.authorization import (
    CLIENT_ID,
    CONFIGURATION,
    JWKS,
    OTHER,
    RSA,
    SECOND,
    Publisher,
    World,
    public,
)

# Key sets and their cache


def rolled(world: World) -> Callable[[], str]:
    """Fetch the set, publish another key in it, and return what signs with that."""
    world.granted()
    world.publisher.publish(public(RSA), public(OTHER))
    return lambda: world.assertion(key=OTHER, header={"kid": public(OTHER)["kid"]})


def test_a_key_set_is_kept_for_as_long_as_the_provider_says_and_no_unknown_kid_fetches_it(
    world: World,
) -> None:
    signed = rolled(world)
    world.instant += CAREFUL_KEY_SET_CACHE - SECOND
    assert world.refused(signed()) == (401, "invalid_client", 7000272)
    assert world.server.fetches == {world.publisher.url + JWKS: 1}
    world.instant += SECOND
    world.granted(signed())
    assert world.server.fetches == {world.publisher.url + JWKS: 2}
    assert world.publisher.paths == [JWKS, JWKS]


def test_a_key_that_was_withdrawn_is_good_until_the_copy_is_old(world: World) -> None:
    world.granted()
    world.publisher.publish(public(OTHER))
    world.instant += CAREFUL_KEY_SET_CACHE - SECOND
    world.granted()
    world.instant += SECOND
    assert world.refused() == (401, "invalid_client", 7000272)


def test_the_cache_may_be_made_shorter(publisher: Publisher) -> None:
    world = World(publisher, key_set_cache=timedelta(minutes=1))
    with world.server:
        world.register()
        signed = rolled(world)
        world.instant += 59 * SECOND
        assert world.refused(signed()) == (401, "invalid_client", 7000272)
        world.instant += SECOND
        world.granted(signed())


def test_a_server_that_fetches_for_an_unknown_kid_does_so_for_no_known_one(
    publisher: Publisher,
) -> None:
    world = World(publisher, refetches_on_unknown_kid=True)
    with world.server:
        world.register()
        signed = rolled(world)
        world.granted()
        assert publisher.paths == [JWKS]
        world.granted(signed())
        assert publisher.paths == [JWKS, JWKS]
        sent = world.assertion(header={"kid": "nowhere"})
        assert world.refused(sent) == (401, "invalid_client", 7000272)
        assert publisher.paths == [JWKS, JWKS, JWKS]


def test_after_a_clock_went_back_the_set_is_fetched_anew(world: World) -> None:
    world.granted()
    world.instant -= SECOND
    world.granted()
    assert world.publisher.paths == [JWKS, JWKS]


def test_an_app_that_is_registered_anew_elsewhere_is_not_judged_by_the_old_set(
    world: World,
) -> None:
    world.granted()
    world.publisher.documents["/other.json"] = {"keys": [public(OTHER)]}
    world.register(credential=PrivateKeyJwt(jwks_uri=f"{world.publisher.url}/other.json"))
    assert world.refused() == (401, "invalid_client", 7000272)


@pytest.mark.parametrize(
    "document",
    [
        None,
        b"<html>",
        b"\xff",
        b"[" * 100_000,
        [],
        {},
        {"keys": []},
        {"keys": 5},
        {"keys": [5]},
        {"keys": [{"kty": []}]},
        {"keys": [{"kty": "RSA", "n": "AQAB"}]},
        {"keys": [{"kty": "EC", "crv": "P-0", "x": "AA", "y": "AA"}]},
        {"keys": [{"kty": "RSA", "n": "*", "e": "AQAB"}]},
    ],
)
def test_a_key_set_that_is_none_is_an_unusable_endpoint_and_is_not_kept(
    world: World, document: object
) -> None:
    world.publisher.documents = {JWKS: document}
    assert world.refused() == (400, "invalid_request", 50166)
    world.publisher.publish(public(RSA))
    world.granted()


def test_an_error_is_no_key_set_whatever_its_body_looks_like(world: World) -> None:
    world.publisher.status = 500
    assert world.refused() == (400, "invalid_request", 50166)


def test_a_key_of_an_unknown_kind_does_not_spoil_the_set(world: World) -> None:
    world.publisher.publish({"kty": "AKP", "kid": "post-quantum"}, public(RSA))
    world.granted()


def test_an_endpoint_that_is_not_there_is_said_to_be_unreachable_and_asked_again(
    world: World,
) -> None:
    gone = Publisher()
    gone.close()
    world.register(credential=PrivateKeyJwt(jwks_uri=gone.url + JWKS))
    for count in (1, 2):
        assert world.refused() == (400, "invalid_request", 90061)
        assert world.server.fetches == {gone.url + JWKS: count}


def test_an_old_set_is_not_used_when_no_new_one_is_to_be_had(world: World) -> None:
    world.granted()
    world.publisher.documents = {}
    world.instant += CAREFUL_KEY_SET_CACHE
    assert world.refused() == (400, "invalid_request", 50166)


def test_requests_at_the_same_time_fetch_the_set_once(world: World) -> None:
    world.publisher.delay = 0.1
    forms = [world.form() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(world.post, forms))
    assert [answer.status for answer in answers] == [200] * 4
    assert world.publisher.paths == [JWKS]


# Federated credentials


def federated(world: World, **overrides: Any) -> str:
    ours = {"iss": world.publisher.url, "aud": "api://AzureADTokenExchange"}
    return world.assertion(header={"typ": "JWT"}, **{**ours, **overrides})


def test_a_federated_issuer_is_believed_by_way_of_its_discovery_document(world: World) -> None:
    world.register("entra-federated")
    world.granted(federated(world))
    assert world.publisher.paths == [CONFIGURATION, JWKS]
    world.instant += timedelta(hours=48) - SECOND
    world.granted(federated(world))
    assert world.publisher.paths == [CONFIGURATION, JWKS]
    world.instant += SECOND
    world.granted(federated(world))
    assert world.server.fetches == {
        world.publisher.url + CONFIGURATION: 2,
        world.publisher.url + JWKS: 2,
    }


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"iss": CLIENT_ID}, 700211),
        ({"sub": "machine-8"}, 700213),
        ({"aud": "api://azureadtokenexchange"}, 700212),
    ],
)
def test_a_federated_credential_matches_exactly(
    world: World, claims: dict[str, str], code: int
) -> None:
    world.register("entra-federated")
    assert world.refused(federated(world, **claims)) == (401, "invalid_client", code)


def test_the_issuer_of_a_federated_credential_is_compared_with_its_slash(world: World) -> None:
    issuer = world.publisher.url + "/"
    credential = FederatedCredential(issuer=issuer, subject=CLIENT_ID)
    world.register("entra-federated", credential=credential)
    assert world.refused(federated(world, iss=issuer)) == (400, "invalid_request", 50166)
    world.publisher.publish(public(RSA), issuer=issuer)
    world.granted(federated(world, iss=issuer))


@pytest.mark.parametrize("document", [None, b"<html>", [], "issuer"])
def test_a_discovery_document_that_is_none_is_an_unusable_endpoint(
    world: World, document: object
) -> None:
    world.register("entra-federated")
    world.publisher.documents[CONFIGURATION] = document
    assert world.refused(federated(world)) == (400, "invalid_request", 50166)


@pytest.mark.parametrize("change", [{"issuer": "https://evil.example"}, {"jwks_uri": 5}])
def test_a_discovery_document_of_another_issuer_is_not_used(
    world: World, change: dict[str, object]
) -> None:
    world.register("entra-federated")
    right = {"issuer": world.publisher.url, "jwks_uri": world.publisher.url + JWKS}
    world.publisher.documents[CONFIGURATION] = {**right, **change}
    assert world.refused(federated(world)) == (400, "invalid_request", 50166)
    assert world.publisher.paths == [CONFIGURATION]
