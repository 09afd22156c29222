// The verifier that npm's aws-jwt-verify makes, with its own cache of the key set.
//
// Its fetcher speaks https only, and this is loopback: the one part that is not the library's is
// the fetch itself, which it takes as an option.

import { JwtVerifier } from "aws-jwt-verify";
import { SimpleJwksCache } from "aws-jwt-verify/jwk";

import { answerQuestions } from "./lines.mjs";

const fetcher = {
  async fetch(uri) {
    const answer = await fetch(uri);
    if (!answer.ok) throw new Error(`the key set is answered with ${answer.status}`);
    return answer.arrayBuffer();
  },
};

answerQuestions(({ jwks_uri, issuer, audience }) => {
  const cache = new SimpleJwksCache({ fetcher });
  const verifier = JwtVerifier.create({ issuer, audience, jwksUri: jwks_uri }, { jwksCache: cache });
  return (assertion) => verifier.verify(assertion);
});
