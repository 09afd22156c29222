// npm's oidc-provider, an OpenID-certified authorization server, over HTTPS on loopback, for clients
// that prove themselves by private_key_jwt: `node oidc_provider.mjs SERVER_PEM ALGORITHM`.
//
// Prints its issuer as a line of JSON, then reads one: {"clients": [{"client_id", "jwks_uri"}, …],
// "scope", "audience", "clock", "initial_access_token"}; with the last clients may register by
// themselves too (RFC 7591), and each change of one brings it a new token (RFC 7592). From then on it prints what it decided, about whom, by which kid,
// and why it refused, and what it fetched; never an assertion or a token. ALGORITHM signs its access
// tokens. Everything that is decided is decided by its own code; its operator's settings say which
// algorithms it takes, and that it may connect to loopback.
//
// The process lives on another clock than the machine's: the time is asked for at the URL "clock"
// before each request. Only Date.now is moved, so no line of the server's own is another.

import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { createInterface } from "node:readline";

import { exportJWK, generateKeyPair } from "jose";
import Provider from "oidc-provider";

const ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384"];
const [, , pem, algorithm] = process.argv;

// Its own remarks must not get between the lines of JSON.
console.info = console.log = console.warn = console.error;

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

function client(scope, { client_id, jwks_uri }) {
  return {
    client_id,
    jwks_uri,
    token_endpoint_auth_method: "private_key_jwt",
    grant_types: ["client_credentials"],
    response_types: [],
    redirect_uris: [],
    id_token_signed_response_alg: algorithm, // it has no other key, and asks for this of everybody
    scope,
  };
}

function kid(assertion) {
  try {
    return JSON.parse(Buffer.from(assertion.split(".")[0], "base64url").toString()).kid;
  } catch {
    return undefined;
  }
}

function tell(ctx, rest) {
  const { client_id, client_assertion } = ctx.oidc?.params ?? {};
  if (client_assertion) say({ client_id, kid: kid(client_assertion), ...rest });
}

function fetched(url, { dispatcher, ...options }) {
  say({ fetched: String(url) });
  return fetch(url, options); // its own dispatcher refuses to connect to loopback
}

async function key() {
  const { privateKey } = await generateKeyPair(algorithm, { extractable: true });
  return { ...(await exportJWK(privateKey)), alg: algorithm, use: "sig", kid: algorithm };
}

const machines = Date.now;
let ahead = 0;
Date.now = () => machines() + ahead;

async function asClock(clock) {
  const { now } = await (await fetch(clock)).json();
  ahead = Date.parse(now) - machines();
}

function registration(initialAccessToken) {
  if (!initialAccessToken) return {};
  return {
    registration: { enabled: true, initialAccessToken },
    registrationManagement: { enabled: true, rotateRegistrationAccessToken: true },
  };
}

async function provider(issuer, { clients, scope, audience, initial_access_token }) {
  const made = new Provider(issuer, {
    clients: clients.map((each) => client(scope, each)),
    clientAuthMethods: ["private_key_jwt"],
    enabledJWA: {
      clientAuthSigningAlgValues: ALGORITHMS,
      idTokenSigningAlgValues: ALGORITHMS,
    },
    fetch: fetched,
    jwks: { keys: [await key()] },
    scopes: [scope],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      ...registration(initial_access_token),
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        getResourceServerInfo: () => ({
          scope,
          audience,
          accessTokenFormat: "jwt",
          accessTokenTTL: 60,
          jwt: { sign: { alg: algorithm } },
        }),
      },
    },
  });
  made.on("grant.success", (ctx) => tell(ctx, { accepted: true }));
  made.on("grant.error", (ctx, error) => {
    tell(ctx, { accepted: false, why: error.error_detail ?? error.message });
  });
  made.on("server_error", (ctx, error) => tell(ctx, { accepted: false, why: error.message }));
  return made;
}

const both = readFileSync(pem);
const server = createServer({ key: both, cert: both }).listen(0, "127.0.0.1", () => {
  const issuer = `https://127.0.0.1:${server.address().port}`;
  createInterface({ input: process.stdin })
    .once("line", async (line) => {
      const settings = JSON.parse(line);
      const answer = (await provider(issuer, settings)).callback();
      server.on("request", async (request, response) => {
        await asClock(settings.clock);
        answer(request, response);
      });
      say({ ready: true });
    })
    .on("close", () => process.exit());
  say({ issuer });
});
