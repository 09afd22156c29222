// npm's oidc-provider, an OpenID-certified authorization server, with clients that prove themselves
// by private_key_jwt: `node authorization_server.mjs '{"clients": [{"client_id", "jwks_uri"}, …]}'`.
//
// Prints one JSON object a line: first its issuer, then whom it decided about, by which kid, and
// why it refused; never an assertion or a token. Everything that is decided is decided by its own
// code. Changed from its defaults is only what loopback needs, and that an access token lives for
// a second, so that clients keep asking.

import { createServer } from "node:http";

import Provider from "oidc-provider";

const RESOURCE = "urn:rehearsal:api";
const SCOPE = "rehearse";

// Its own remarks must not get between the lines of JSON.
console.info = console.log = console.warn = console.error;

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

function client({ client_id, jwks_uri }) {
  return {
    client_id,
    jwks_uri,
    token_endpoint_auth_method: "private_key_jwt",
    grant_types: ["client_credentials"],
    response_types: [],
    redirect_uris: [],
    scope: SCOPE,
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

const server = createServer().listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: JSON.parse(process.argv[2]).clients.map(client),
    clientAuthMethods: ["private_key_jwt"],
    // Its own guard refuses to connect to loopback addresses; what is fetched stays its decision.
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
    scopes: [SCOPE],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => RESOURCE,
        getResourceServerInfo: () => ({
          scope: SCOPE,
          accessTokenFormat: "jwt",
          accessTokenTTL: 1,
        }),
      },
    },
  });
  provider.on("grant.success", (ctx) => tell(ctx, { accepted: true }));
  provider.on("grant.error", (ctx, error) => {
    tell(ctx, { accepted: false, why: error.error_detail ?? error.message });
  });
  provider.on("server_error", (ctx, error) => tell(ctx, { accepted: false, why: error.message }));
  server.on("request", provider.callback());
  say({ issuer });
});
process.stdin.on("end", () => process.exit()).resume();
