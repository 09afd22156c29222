// The verifiers of npm that the README compares with, each told all that its own options can say.
//
// aws-jwt-verify and jose fetch the key set by themselves; fast-jwt has no client for one, so it is
// given its key, prepared, which is the fastest that it can be. No check is written for a library
// that has none of that kind: what it then lets in, the table says.

import { constants, createPublicKey, verify } from "node:crypto";
import { createRequire } from "node:module";

import { JwtVerifier } from "aws-jwt-verify";
import { createVerifier } from "fast-jwt";
import { createRemoteJWKSet, jwtVerify } from "jose";

const LEEWAY = 60; // seconds; ours has the same
const require = createRequire(import.meta.url);

function version(name) {
  return require(`./node_modules/${name}/package.json`).version;
}

// Returns the yardstick, ready for pieces that `signed` took apart ahead of all measuring.
export function bare(jwk, algorithm) {
  const key = { key: createPublicKey({ key: jwk, format: "jwk" }), dsaEncoding: "der" };
  if (algorithm === "PS256") {
    Object.assign(key, { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 });
  }
  return ([signature, content]) => {
    if (!verify("sha256", content, key, signature)) throw new Error("the signature does not hold");
  };
}

// Verifiers by name; each returns, or resolves, if the token is good, and throws if it is not.
export function contenders({ algorithm, issuer, audience, scope, type, jwks_uri, jwk }) {
  const fast = {
    key: createPublicKey({ key: jwk, format: "jwk" }).export({ type: "spki", format: "pem" }),
    algorithms: [algorithm],
    allowedIss: issuer,
    allowedAud: audience,
    requiredClaims: ["iss", "aud", "exp"],
    checkTyp: type,
    clockTolerance: LEEWAY * 1000,
  };
  const keys = createRemoteJWKSet(new URL(jwks_uri));
  const expected = {
    algorithms: [algorithm],
    issuer,
    audience,
    typ: type,
    requiredClaims: ["exp"],
    clockTolerance: LEEWAY,
  };
  const aws = JwtVerifier.create({ issuer, audience, scope, jwksUri: jwks_uri, graceSeconds: LEEWAY });
  return {
    first: {
      // It knows no PS algorithm.
      ...(algorithm.startsWith("PS")
        ? {}
        : { [`aws-jwt-verify ${version("aws-jwt-verify")}`]: (token) => aws.verify(token) }),
      [`jose ${version("jose")}`]: (token) => jwtVerify(token, keys, expected),
      [`fast-jwt ${version("fast-jwt")}, key prepared`]: createVerifier(fast),
    },
    // The only one of them that remembers a token.
    again: { [`fast-jwt ${version("fast-jwt")}, its cache on`]: createVerifier({ ...fast, cache: true }) },
  };
}
