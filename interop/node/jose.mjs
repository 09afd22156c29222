// npm's jose, with its remote key set.

import { createRemoteJWKSet, jwtVerify } from "jose";

import { answerQuestions } from "../../rehearsal/node/lines.mjs";
import { keySetOf } from "./discovery.mjs";

answerQuestions(({ issuer, audience, algorithm }) => {
  const keys = keySetOf(issuer).then((uri) => createRemoteJWKSet(new URL(uri)));
  const options = { issuer, audience, algorithms: [algorithm] };
  return async (assertion) => jwtVerify(assertion, await keys, options);
});
