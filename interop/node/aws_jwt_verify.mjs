// npm's aws-jwt-verify, with its own cache and its own fetcher, which speaks https only.

import { JwtVerifier } from "aws-jwt-verify";

import { answerQuestions } from "../../rehearsal/node/lines.mjs";
import { keySetOf } from "./discovery.mjs";

answerQuestions(({ issuer, audience }) => {
  const verifier = keySetOf(issuer).then((jwksUri) =>
    JwtVerifier.create({ issuer, audience, jwksUri }),
  );
  return async (assertion) => (await verifier).verify(assertion);
});
