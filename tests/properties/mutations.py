"""Good tokens and key sets, spoilt at one or two layers: cheap enough for millions of cases.

Everything before the signature is signed again over what became of it, so that it is the reader
that must refuse, not the signature. Most are signed on a curve, which takes a thirtieth of RSA's
time.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random  # noqa: TID251 - seeded, and reported with the seed
from typing import Any, Final

from tests.properties.differential import (
    AUDIENCE,
    CLAIMS,
    DOCUMENT,
    EC_KID,
    FREE_KID,
    HEADERS,
    ISSUER,
    JWKS,
    NOW,
    RSA_KID,
    encoded,
    good,
    signature,
)

LAYERS: Final = ("token", "segment", "signature", "text", "header", "claims", "key set")
ODDITIES: Final[Sequence[Any]] = (
    *(None, True, False, 0, -1, 1, 2**53, 2**64, -(2**70), 10**30, 0.5, 1e300, float(NOW)),
    *("", " ", "a", "A" * 300, "\x00", "é", "\u2028", "🙂", "\ud800", "a b", "a\tb", '"', "\\"),
    *([], [[]], {}, [None], ["a", 1], {"a": 1}, {"kty": "oct", "k": "AA"}, ["b64"], ["exp"]),
    *(ISSUER, ISSUER + "/", [ISSUER], AUDIENCE, [AUDIENCE], [AUDIENCE, 7], AUDIENCE.upper()),
    *(NOW, str(NOW), NOW + 61, NOW - 61, NOW + 60, NOW - 60, 253402214400, float("nan")),
    *("none", "HS256", "RS256", "PS256", "ES256", "ES384", "rs256", "JWT", "at+jwt", "AT+JWT"),
    *(RSA_KID, EC_KID, FREE_KID, "sig", "enc", ["verify"], ["sign"], ["verify", "sign"]),
    *("RSA", "EC", "OKP", "P-256", "P-384", "AQAB", "AQ", "Aw", "AQABAA", "AAEAAQ", "AQAB="),
    *("https://a.example", "http://a.example", "file:///etc/passwd", ["MII"], "MII"),
)
HEADER_NAMES: Final = (
    *("alg", "kid", "typ", "cty", "crit", "b64", "zip", "enc", "jku", "jwk", "x5u", "x5c"),
    *("x5t", "x5t#S256", "epk", "apu", "nonce", "url", "exp"),
)
CLAIM_NAMES: Final = (
    *CLAIMS,
    *("azp", "appid", "scp", "cnf", "nonce", "events", "at_hash", "typ", "token_use", "act"),
)
KEY_NAMES: Final = (
    *("kty", "kid", "use", "alg", "key_ops", "n", "e", "crv", "x", "y", "d", "k", "p", "oth"),
    *("x5c", "x5t", "x5t#S256", "x5u", "ext"),
)
PIECES: Final = tuple(
    each.encode()
    for each in (
        *(" ", "\n", "\t", "\r", "\f", "\0", "\ufeff", "\xa0", "=", "==", "+", "/", "-", "_", "."),
        *("{", "}", "[", "]", ",", ":", '"', "\\", "\\u0061", "\\ud800", "\\ud83d\\ude42", "//"),
        *("NaN", "Infinity", "-Infinity", "1e400", "-0", "01", "0.0", "1E2", "null", "true"),
        *('"exp":0,', '"alg":"none",', '"kid":"x",', ',"iss":"x"', "/**/", "'", "[" * 20),
    )
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A token and the key set that it is judged under."""

    layer: str
    token: str
    document: bytes = DOCUMENT


class Mutator:
    """An endless row of cases; of one seed the same mutations, under keys that are always new."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - no secret
        self._good = [good(algorithm) for algorithm in HEADERS for _ in range(4)]

    def case(self) -> Case:
        layer = self._random.choice(LAYERS)
        if layer == "token":
            octets = self._spoilt(self._random.choice(self._good).encode())
            return Case(layer=layer, token=octets.decode("latin-1"))
        if layer == "key set":
            token = self._random.choice(self._good)
            return Case(layer=layer, token=token, document=self._key_set())
        return Case(layer=layer, token=self._resigned(layer))

    def _resigned(self, layer: str) -> str:
        algorithm = "ES256" if self._random.random() < 0.98 else self._random.choice([*HEADERS])
        header, claims = HEADERS[algorithm], CLAIMS
        if layer == "header" or self._random.random() < 0.1:
            header = self._changed(header, HEADER_NAMES)
        if layer == "claims" or self._random.random() < 0.1:
            claims = self._changed(claims, CLAIM_NAMES)
        texts = [self._text(header), self._text(claims)]
        which = self._random.randrange(2)
        if layer == "text":
            texts[which] = self._spoilt(texts[which])
        segments = [encoded(text) for text in texts]
        if layer == "segment":
            segments[which] = self._spoilt(segments[which])
        content = b".".join(segments)
        sealed = signature(algorithm, content)
        if layer == "signature":
            sealed = self._spoilt(sealed)
        return (content + b"." + encoded(sealed)).decode("latin-1")

    def _key_set(self) -> bytes:
        keys = [dict(each) for each in JWKS]
        for _ in range(self._random.randrange(3)):
            at = self._random.randrange(len(keys))
            keys[at] = self._changed(keys[at], KEY_NAMES)
        texts = [self._text(each) for each in self._random.sample(keys, len(keys))]
        text = b'{"keys": [' + b", ".join(texts) + b"]}"
        return self._spoilt(text) if self._random.random() < 0.5 else text

    def _changed(self, members: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
        name, changed = self._random.choice(names), dict(members)
        if self._random.random() < 0.1:
            changed.pop(name, None)
        else:
            changed[name] = self._random.choice(ODDITIES)
        return changed

    def _text(self, members: dict[str, Any]) -> bytes:
        """The object as JSON; now and then with a member named twice."""
        text = json.dumps(members, ensure_ascii=self._random.random() < 0.5)
        if self._random.random() < 0.05:
            name, value = self._random.choice(list(members.items()))
            text = f"{text[:-1]}, {json.dumps(name)}: {json.dumps(value)}}}"
        return text.encode(errors="surrogatepass")

    def _spoilt(self, content: bytes) -> bytes:
        for _ in range(self._random.choice((1, 1, 1, 2, 4))):
            at = self._random.randrange(len(content) + 1)
            kind = self._random.randrange(6)
            piece = self._piece(content)
            # Insert, replace, remove, or repeat what is there.
            gone = (0, len(piece), 1, 0, 1, self._random.randrange(9))[kind]
            new = (piece, piece, b"", content[at : at + 9], piece[:1], b"")[kind]
            content = content[:at] + new + content[at + gone :]
        return content

    def _piece(self, content: bytes) -> bytes:
        if self._random.random() < 0.5:
            return self._random.choice(PIECES)
        if content and self._random.random() < 0.5:
            at = self._random.randrange(len(content))
            return bytes([content[at] ^ 1 << self._random.randrange(8)])
        return self._random.randbytes(1)
