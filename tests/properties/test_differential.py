"""Whatever this verifier accepts, PyJWT and joserfc accept too, on tokens mutated at every layer.

Three ways to look for the contrary: Hypothesis, which shrinks what it finds; a seeded row of
cheap mutations, in the deep form millions of them; and atheris, which follows the coverage of the
code under test, where its wheel is to be had (Linux on x86-64). See ``differential``.
"""

import importlib.util
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from joserfc.errors import JoseError

from machine_identity import access_token, encoding, jose, jws, key_set
from tests.deep import IS_DEEP, deep
from tests.properties.differential import (
    ALGORITHMS,
    AUDIENCE,
    CLAIMS,
    EC_KID,
    HEADERS,
    ISSUER,
    JWKS,
    NOW,
    RSA_KID,
    accepts,
    compare,
    encoded,
    good,
    joserfc_decodes,
    pyjwt_decodes,
    signature,
)
from tests.properties.mutations import LAYERS, Case, Mutator

ROOT = Path(__file__).parent.parent.parent
CASES = 600_000 if IS_DEEP else 40_000

ANY_OCTET = st.binary(min_size=1, max_size=1)
places = st.integers(0, 6000)
texts = st.text(max_size=8)
oddities = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    texts,
    st.lists(texts | st.integers(), max_size=3),
    st.dictionaries(texts, texts, max_size=2),
    st.sampled_from(
        [ISSUER, AUDIENCE, [AUDIENCE], [], NOW, str(NOW), NOW + 600, NOW - 600, float(NOW), 10**30]
    ),
    st.sampled_from(["JWT", "at+jwt", "none", "HS256", "RS256", "ES256", RSA_KID, EC_KID]),
    st.sampled_from(["https://a.example", "http://a.example", {"kty": "oct"}, ["b64"], ["exp"]]),
)
registered = "alg kid typ cty crit b64 zip enc jku jwk x5u x5c x5t x5t#S256 nonce azp scp cnf"
names = st.sampled_from([*CLAIMS, *registered.split()])
SPOILT = ["member", "second member", "left out", "twice", "text", "segment", "signature", "token"]
BASE64_LETTERS = st.sampled_from([bytes([each]) for each in b"AB+/=-_. \n\r\t,%\x00\xff"])
AROUND = st.sampled_from(["", " ", "\n", "\ufeff", "\0", "\N{NO-BREAK SPACE}", "}", " x", "{}"])


def spoilt(content: bytes, place: int, letter: bytes) -> bytes:
    """Replace, insert or remove an octet."""
    at, kind = place // 3 % (len(content) + 1), place % 3
    added = letter if kind else b""
    return content[:at] + added + content[at + (kind != 1) :]


def mutated(draw: st.DrawFn, members: dict[str, Any], layers: set[str]) -> bytes:
    """One of the two objects as text, with some of its members not as they should be."""
    changed = {**members}
    for _ in layers & {"member", "second member"}:
        changed[draw(names)] = draw(oddities)
    if "left out" in layers:
        changed.pop(draw(names), None)
    text = json.dumps(changed, ensure_ascii=len(layers) > 1)
    if "twice" in layers:
        text = f"{text[:-1]}, {json.dumps(draw(names))}: {json.dumps(draw(oddities))}}}"
    if "text" in layers:
        text = draw(AROUND) + text + draw(AROUND)
    content = text.encode(errors="surrogatepass")
    return spoilt(content, draw(places), draw(ANY_OCTET)) if "text" in layers else content


@st.composite
def tokens(draw: st.DrawFn) -> str:
    """Tokens signed over what was mutated at up to two layers, or mutated once more after."""
    algorithm = draw(st.sampled_from(ALGORITHMS))
    layers, which = draw(st.sets(st.sampled_from(SPOILT), max_size=2)), draw(st.integers(0, 1))
    parts = [json.dumps(each).encode() for each in (HEADERS[algorithm], CLAIMS)]
    parts[which] = mutated(draw, (HEADERS[algorithm], CLAIMS)[which], layers)
    segments = [encoded(part) for part in parts]
    if "segment" in layers:
        segments[which] = spoilt(segments[which], draw(places), draw(BASE64_LETTERS))
    content = b".".join(segments)
    sealed = signature(algorithm, content)
    if "signature" in layers:
        sealed = spoilt(sealed, draw(places), draw(ANY_OCTET))
    token = content + b"." + encoded(sealed)
    if "token" in layers:
        token = spoilt(token, draw(places), draw(BASE64_LETTERS))
    return token.decode("latin-1")


def key_of(token: str) -> Mapping[str, Any]:
    header = encoding.json_object(encoding.base64url(token.partition(".")[0].encode()))
    return next(each for each in JWKS if each["kid"] == header["kid"])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_all_three_accept_a_good_token(algorithm: str) -> None:
    token = good(algorithm)
    assert accepts(token)
    pyjwt_decodes(token, key_of(token))
    joserfc_decodes(token, key_of(token))


@pytest.mark.parametrize(
    ("decodes", "refusal"),
    [(pyjwt_decodes, jwt.InvalidTokenError), (joserfc_decodes, JoseError)],
)
@pytest.mark.parametrize(
    "token",
    [
        good("RS256", exp=NOW - 61),
        good("RS256", nbf=NOW + 61),
        good("RS256", iat=NOW + 61),
        good("RS256", aud="api://other"),
        good("RS256", iss="https://other.example"),
        good("RS256", exp="tomorrow"),
        good("RS256")[:-8] + "AAAAAAAA",
        good("RS256", header={"crit": ["x"], "x": 1}),
    ],
)
def test_the_references_are_asked_as_strictly_as_they_can_be(
    token: str, decodes: Callable[[str, Mapping[str, Any]], None], refusal: type[Exception]
) -> None:
    assert not accepts(token)
    with pytest.raises(refusal):
        decodes(token, key_of(token))


@given(tokens())
@example(good("RS256"))
@example(good("RS256", sub=7))
@example(good("RS256", jti=7))
@example(good("RS256", nbf=None))
@example(good("RS256", exp=NOW))
@example(good("ES256", aud=[AUDIENCE, "other"]))
@example(good("RS256", header={"jku": "https://a.example", "x5c": ["x"], "jwk": {"kty": "oct"}}))
@example(good("RS256", header={"x5c": "x"}))
@example(good("RS256") + "=")
@settings(max_examples=5000 if IS_DEEP else 500, deadline=None)
def test_what_is_accepted_here_the_references_accept(token: str) -> None:
    event("accepted" if compare(token) else "refused")


def judged(case: Case) -> bool:
    try:
        return compare(case.token, case.document)
    except Exception as error:
        error.add_note(f"{case}")
        raise


@pytest.mark.parametrize("seed", [1, 2] if IS_DEEP else [1])
def test_of_a_long_row_of_mutations_none_is_accepted_here_alone_and_none_crashes(
    seed: int, record_property: Callable[[str, object], None]
) -> None:
    mutator, counts = Mutator(seed), Counter[tuple[str, bool]]()
    for _ in range(CASES):
        case = mutator.case()
        counts[case.layer, judged(case)] += 1
    assert counts.keys() == {(layer, accepted) for layer in LAYERS for accepted in (True, False)}
    accepted = sum(count for (_, is_accepted), count in counts.items() if is_accepted)
    record_property("counted", f"{CASES} cases of seed {seed}, {accepted} accepted by all three")


def believed(token: jws.UnverifiedToken, _: object) -> jws.SignedClaims:
    return jws.SignedClaims(typ=token.typ, claims=token.claims)


def always(*_: object) -> tuple[datetime, datetime]:
    return datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("module", "name", "laxer"),
    [
        (jws, "verify", believed),
        (jws, "_UNSUPPORTED", frozenset({"b64", "zip", "enc"})),
        (jws, "_REGISTERED", {}),
        (jws, "base64url", lambda text: encoding.base64url(text.rstrip(b"="))),
        (access_token, "_check_times", always),
        (access_token, "_check_audience", lambda *_: None),
        (access_token, "_text", lambda claims, name: str(claims.get(name, ""))),
        (key_set, "_is_for_signatures", lambda _: True),
        (jose, "CERTIFICATES", {}),
    ],
)
def test_a_verifier_that_leaves_out_one_check_is_found_out(
    module: Any, name: str, laxer: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, laxer)
    mutator = Mutator(1)
    with pytest.raises((jwt.PyJWTError, JoseError)):  # noqa: PT012 - one of many
        for _ in range(20_000):
            judged(mutator.case())


@deep
@pytest.mark.skipif(not importlib.util.find_spec("atheris"), reason="no wheel of atheris here")
def test_mutation_by_coverage_finds_nothing_either(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    bounds = ["-max_total_time=150", "-max_len=4096", "-print_final_stats=1"]
    run = subprocess.run(
        [sys.executable, "-m", "tests.properties.coverage_guided", tmp_path, *bounds],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr[-5000:]
    done = re.search(r"number_of_executed_units: (\d+)", run.stderr)
    assert done is not None, run.stderr[-5000:]
    assert int(done[1]) > 10_000
    record_property("counted", f"{done[1]} inputs")
