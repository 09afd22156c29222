"""What a stranger finds who comes for our keys, and what we find at the server: fault by fault.

Each check is one thing that must hold before a provider takes an assertion: OpenID Connect
Discovery 1.0 sections 3 and 4.3, RFC 8414 sections 2 and 3.3, RFC 7517 section 5, and what the
provider's entry adds. What does not hold is told with how to mend it. A check that rests on one
that failed is left out: it would repeat the same fault in other words.

It fetches nothing and measures nothing; see ``cli.provider`` for that.
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

from machine_identity import key_set
from machine_identity.client_credentials import is_same_origin, object_in, printable
from machine_identity.errors import KeySetUnavailableError
from machine_identity.http1 import Response
from machine_identity.providers import AssertionIssuer, Audience, Provider
from machine_identity.publication import CONFIGURATION_PATH, JWKS_PATH

_JSON: Final = frozenset({"application/json", "application/jwk-set+json"})
_DEMANDED: Final = (
    "response_types_supported",
    "subject_types_supported",
    "id_token_signing_alg_values_supported",
)
"""What OpenID Connect Discovery 1.0 section 3 requires beside the URLs."""
_MOST_SHOWN: Final = 300
_METHOD: Final = "private_key_jwt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What came of asking for one URL, and how long it took, connecting and all."""

    url: str
    response: Response | None
    """None where there was no answer."""
    why: str = ""
    """Why not."""
    first_byte_after: timedelta
    """Where nothing came, how long it was waited for."""
    whole_after: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check: what was looked at, and what is wrong with it, if anything is."""

    what: str
    fault: str = ""
    mend: str = ""

    @property
    def is_good(self) -> bool:
        """Whether it is as it must be."""
        return not self.fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What the provider is to be told, as far as it is known."""

    provider: Provider
    issuer: str
    """Our own, under which the documents stand."""
    kid: str = ""
    """The key that must be there; empty is any that the provider can use."""


def of_configuration(asked: Deployment, fetched: Fetched) -> Iterator[Finding]:
    """Check our discovery document."""
    what = "our discovery document"
    members = yield from _document(what, fetched, asked.provider)
    if members is None:
        return
    yield _issuer(f"{what} names our issuer", asked.issuer, members.get("issuer"))
    wanted, told = urls(asked.issuer)[1], members.get("jwks_uri")
    fault = "" if told == wanted else f"jwks_uri is {_shown(told)}, and not {wanted}"
    mend = "Let the next tick of rotation write it anew; a proxy in between must not rewrite it."
    yield _found(f"{what} leads to our key set", fault, mend)
    missing = [each for each in _DEMANDED if not members.get(each)]
    fault = f"it does not say {', '.join(missing)}, which strict readers demand" if missing else ""
    yield _found(f"{what} says what readers demand", fault, mend)


def of_key_set(asked: Deployment, fetched: Fetched) -> Iterator[Finding]:
    """Check our key set."""
    what = "our key set"
    members = yield from _document(what, fetched, asked.provider)
    if members is None or fetched.response is None:
        return
    algorithms, takes = frozenset(asked.provider.algorithms), ", ".join(asked.provider.algorithms)
    try:
        keys = key_set.read(fetched.response.body)
    except KeySetUnavailableError as error:
        yield _found(f"{what} can be read", str(error), "Let the next tick write it anew.")
        return
    usable = sorted(kid for kid, key in keys.items() if key.algorithms & algorithms)
    yield _found(
        f"{what} has a key for {asked.provider.name}",
        "" if usable else f"none of its {len(keys)} usable keys signs {takes}",
        f"Deploy with a SigningAlgorithm that it takes: {takes}.",
    )
    if asked.kid:
        fault = f"{asked.kid} is not among {', '.join(usable) or 'none'}"
        mend = (
            "Ask rotation for its status: a key that was created is published by the same tick, "
            "and a cache in between may be as old as the max-age."
        )
        yield _found(f"{what} has the key", "" if asked.kid in usable else fault, mend)
    most = asked.provider.most_keys
    if most is not None:
        fault = f"it has {len(keys)} keys, and {asked.provider.name} takes {most}"
        yield _found(f"{what} is small enough", "" if len(keys) <= most else fault, "Revoke some.")


def of_server(asked: Deployment, issuer: str, fetched: Fetched) -> Iterator[Finding]:
    """Check the authorization server's own discovery document."""
    what = "the server's discovery document"
    members = yield from _document(what, fetched, None)
    if members is None:
        return
    yield _issuer(f"{what} names the server", issuer, members.get("issuer"))
    endpoint = members.get("token_endpoint")
    fault = "" if isinstance(endpoint, str) else "there is no token_endpoint in it"
    pinned = asked.provider.audience is not Audience.TOKEN_ENDPOINT
    if isinstance(endpoint, str) and not pinned and not is_same_origin(endpoint, issuer):
        fault = f"token_endpoint is {_shown(endpoint)}, on another host than the server's own"
    mend = "Give the issuer of the very server whose token endpoint you mean."
    yield _found(f"{what} has a token endpoint", fault, mend)
    if asked.provider.issuer is AssertionIssuer.CLIENT:
        yield from _authentication(asked.provider, members)


def _authentication(provider: Provider, members: Mapping[str, Any]) -> Iterator[Finding]:
    """Check how clients prove themselves there; what the server leaves out, it does not deny."""
    methods = members.get("token_endpoint_auth_methods_supported", [_METHOD])
    fault = "" if _METHOD in methods else f"it takes {', '.join(map(_shown, methods))}"
    yield _found(f"the server takes {_METHOD}", fault, "Switch it on there, or another provider.")
    algorithms = members.get(
        "token_endpoint_auth_signing_alg_values_supported", [*provider.algorithms]
    )
    common = [each for each in provider.algorithms if each in algorithms]
    fault = "" if common else f"it takes {', '.join(map(_shown, algorithms))}"
    mend = "Deploy with a SigningAlgorithm of these."
    yield _found("the server takes an algorithm of ours", fault, mend)


def urls(issuer: str) -> tuple[str, str]:
    """Return where our two documents are looked for (OpenID Connect Discovery 1.0 section 4)."""
    base = issuer.removesuffix("/")
    return base + CONFIGURATION_PATH, base + JWKS_PATH


def _document(
    what: str, fetched: Fetched, provider: Provider | None
) -> Generator[Finding, None, dict[str, Any] | None]:
    """Check that it is there, is JSON, says so, and came in time; return what it says."""
    answer = fetched.response
    if answer is None:
        mend = (
            "The name must resolve, the port be open, the certificate be a public CA's, and no "
            "redirect be in the way: providers follow none."
        )
        yield _found(f"{what} is there", f"{fetched.url}: {fetched.why}", mend)
        return None
    if answer.status != HTTPStatus.OK:
        fault = f"{fetched.url} is answered with status {answer.status}"
        yield _found(f"{what} is there", fault, _mended(answer.status))
        return None
    yield Finding(what=f"{what} is there")
    yield _typed(what, answer)
    if provider is not None:
        yield _timed(what, fetched, provider)
    members = object_in(answer.body)
    if members is None:
        mend = "Something else answers under this URL: look at it in a browser."
        yield _found(f"{what} can be read", "it is not a JSON object", mend)
        return None
    return members


def _typed(what: str, answer: Response) -> Finding:
    told = answer.headers.get("content-type", "")
    is_json = told.split(";")[0].strip().lower() in _JSON
    fault = "" if is_json else f"its Content-Type is {_shown(told)}, and strict readers want JSON"
    mend = "Have whatever serves it say application/json."
    return _found(f"{what} says that it is JSON", fault, mend)


def _timed(what: str, fetched: Fetched, provider: Provider) -> Finding:
    """Judge the first byte; how long the rest took is told, and judged by nobody."""
    first, limit = _seconds(fetched.first_byte_after), _seconds(provider.fetch_limit)
    told = f"first byte after {first} s, all of it after {_seconds(fetched.whole_after)} s"
    is_late = fetched.first_byte_after > provider.fetch_limit
    fault = (
        f"its first byte came after {first} s, and {provider.name} may wait no longer than "
        f"{limit} s"
    )
    mend = "Ask again, since a first answer may be a cold start; a CDN in front makes it fast."
    return _found(f"{what} comes in time ({told})", fault if is_late else "", mend)


def _issuer(what: str, wanted: str, told: object) -> Finding:
    """Compare whole, as every reader does (RFC 8414 section 3.3)."""
    if told == wanted:
        return Finding(what=what)
    fault = f"issuer is {_shown(told)}, and not {wanted}"
    mend = "Issuers are compared character by character, case included: use one spelling."
    if isinstance(told, str) and told.rstrip("/") == wanted.rstrip("/"):
        fault += ": they differ in the slash at the end"
        mend = f"Write it as the document does, {_shown(told)}, wherever it is registered."
    return _found(what, fault, mend)


def _found(what: str, fault: str, mend: str) -> Finding:
    return Finding(what=what, fault=fault, mend=mend if fault else "")


def _mended(status: int) -> str:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "The function behind it fails, or nothing is published: run a tick, read its log."
    return "Nothing is served under this URL: compare it with IssuerUrl in the stack's outputs."


def _shown(value: object) -> str:
    """Return what a public document says, however long its words; a stranger's all the same."""
    if not isinstance(value, str) or not value:
        return "not there"
    return value if value.isprintable() and len(value) <= _MOST_SHOWN else printable(value)


def _seconds(duration: timedelta) -> str:
    return f"{duration.total_seconds():.2f}"
