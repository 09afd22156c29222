// Where an issuer's key set is, from its discovery document, read as strictly as the specification
// asks: for libraries that are to be told where.

export async function keySetOf(issuer) {
  const answer = await fetch(`${issuer}/.well-known/openid-configuration`);
  const { issuer: named, jwks_uri } = await answer.json();
  if (named !== issuer) throw new Error("the document names another issuer");
  return jwks_uri;
}
