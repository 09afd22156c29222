"""The embedded stack decides as the handler alone: with its gateway, processes and template."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pytest
from werkzeug.wrappers import Request

from local.clock import MovableClock
from local.functions import Function
from local.gateway import Gateway
from local.loopback import LoopbackServer
from local.template import load
from local.trace import Watchers
from tests.decisions import ENVIRONMENT, EXPECTED, JWKS, REQUESTS, is_allowed, post, status
from tests.handlers import event
from tests.key_set_server import KeySetServer

PARAMETERS = {"AuthorizationServer": "https://as.example", "ClientId": "c", "Scope": "s"}


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    authorizer: Function
    api: str
    issuer: KeySetServer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Give the API's two functions as the template has them, with the issuer of the cases."""
    logs = tmp_path_factory.mktemp("logs")
    template = load(PARAMETERS)
    clock = MovableClock()
    with ExitStack() as opened:
        issuer = opened.enter_context(KeySetServer(JWKS))
        told = {"AuthorizerFunction": {**ENVIRONMENT, "JWKS_URI": issuer.jwks_uri}}
        functions = {
            spec.name: Function(
                replace(spec, environment={**spec.environment, **told.get(spec.name, {})}),
                aws={},
                clock=clock,
                log=logs / spec.name,
            )
            for spec in template.functions
        }
        for each in functions.values():
            opened.callback(each.close)
        gateway = Gateway(
            routes=template.routes, functions=functions, clock=clock, trace=Watchers()
        )
        server = LoopbackServer(Request.application(gateway), now=clock.now)
        yield World(
            authorizer=functions["AuthorizerFunction"],
            api=opened.enter_context(server).url,
            issuer=issuer,
        )


@pytest.mark.parametrize("case", EXPECTED)
def test_each_event_is_decided_as_it_is_written_down(world: World, case: str) -> None:
    answer = world.authorizer.invoke(event("authorizer", case))
    assert answer["isAuthorized"] is is_allowed(case)


@pytest.mark.parametrize("case", REQUESTS)
def test_and_so_is_the_request_that_it_stands_for(world: World, case: str) -> None:
    assert post(world.api, case) == status(case)


def test_one_fetch_of_the_key_set_was_enough_for_all_of_them(world: World) -> None:
    for case in REQUESTS:
        post(world.api, case)
    assert world.issuer.fetches == 1
