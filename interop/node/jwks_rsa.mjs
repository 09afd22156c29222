// npm's jwks-rsa, which finds keys, with jsonwebtoken, which verifies by them, as the README of the
// first joins the two.

import jwt from "jsonwebtoken";
import jwksClient from "jwks-rsa";

import { answerQuestions } from "../../rehearsal/node/lines.mjs";
import { keySetOf } from "./discovery.mjs";

answerQuestions(({ issuer, audience, algorithm }) => {
  const client = keySetOf(issuer).then((jwksUri) => jwksClient({ jwksUri }));
  const options = { issuer, audience, algorithms: [algorithm] };
  return async (assertion) => {
    const keys = await client;
    const getKey = (header, done) =>
      keys.getSigningKey(header.kid).then((key) => done(null, key.getPublicKey()), done);
    await new Promise((resolve, reject) => {
      jwt.verify(assertion, getKey, options, (error) => {
        // Its errors are of one class and have no codes: they are told apart by their first words.
        if (error) reject(Object.assign(error, { code: error.message.split(".")[0] }));
        else resolve();
      });
    });
  };
});
