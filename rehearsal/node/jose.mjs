// The verifier that npm's jose makes with its remote key set, all of its defaults as they are.

import { createRemoteJWKSet, jwtVerify } from "jose";

import { answerQuestions } from "./lines.mjs";

answerQuestions(({ jwks_uri, issuer, audience }) => {
  const keys = createRemoteJWKSet(new URL(jwks_uri));
  return (assertion) => jwtVerify(assertion, keys, { issuer, audience });
});
