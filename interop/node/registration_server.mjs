// npm's oidc-provider, an OpenID-certified authorization server, at which clients register by
// themselves (RFC 7591) and are managed by the token that they are given (RFC 7592):
// `node registration_server.mjs '{"initial_access_token": …, "rotate": …}'`.
//
// Prints its issuer as one JSON line. Everything that is decided is decided by its own code.
// Changed from its defaults is only what loopback needs, the scope that there is, and when a
// registration's token is rotated: never, or with every update.

import { createServer } from "node:http";

import Provider from "oidc-provider";

const SCOPE = "read";

// Its own remarks must not get between the lines of JSON.
console.info = console.log = console.warn = console.error;

const { initial_access_token, rotate } = JSON.parse(process.argv[2]);

const server = createServer().listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clientAuthMethods: ["private_key_jwt"],
    // Its own guard refuses to connect to loopback addresses; what is fetched stays its decision.
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
    scopes: [SCOPE],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      registration: { enabled: true, initialAccessToken: initial_access_token },
      registrationManagement: { enabled: true, rotateRegistrationAccessToken: rotate },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => "urn:registration:api",
        getResourceServerInfo: () => ({ scope: SCOPE, accessTokenFormat: "jwt" }),
      },
    },
  });
  server.on("request", provider.callback());
  process.stdout.write(`${JSON.stringify({ issuer })}\n`);
});
process.stdin.on("end", () => process.exit()).resume();
