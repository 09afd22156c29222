"""What ``make serve`` prints: where everything is, and a call of each kind, ready to paste."""

from local.stack import LAPTOP, SCOPE, Stack


def usage(stack: Stack) -> str:
    """Return the text for a person who looks at a terminal."""
    at = stack.addresses
    width = max(map(len, at))
    addresses = "\n".join(f"  {name:<{width}}  {url}" for name, url in at.items())
    invoke = f"{at['lambda']}/2015-03-31/functions"
    post = f"curl -i {at['api']}/api/uppercase -H 'content-type: application/json'"
    hello = """-d '{"text": "hello world"}'"""
    cut = r"""sed 's/.*"access_token": "\([^"]*\)".*/\1/'"""
    return f"""The stack is up; Ctrl-C ends it.

{addresses}

The published keys, and the document that leads to them:
  curl -i {at["jwks_uri"]}
  curl -i {at["issuer"]}/.well-known/openid-configuration

An access token, into a variable:
  TOKEN=$(curl -s {invoke}/TokenFunction/invocations -d '{{}}' | {cut})

The API: 200 with the token, 401 without, 403 with another, 400 for a body that is no JSON:
  {post} -H "authorization: Bearer $TOKEN" {hello}
  {post} {hello}
  {post} -H "authorization: Bearer ${{TOKEN}}x" {hello}
  {post} -H "authorization: Bearer $TOKEN" -d hello

The keys and what each waits for; a rotation; a month on:
  curl -s {invoke}/RotationFunction/invocations -d '{{"command": "status"}}'
  curl -s {invoke}/RotationFunction/invocations -d '{{"command": "rotate"}}'
  curl -s {at["control"]}/clock -d '{{"advance_seconds": 2592000}}'
  curl -s {invoke}/RotationFunction/invocations -d '{{"command": "status"}}'
(a token expires when the clock is moved: get another)
{_laptop(stack)}
The functions' logs, on the machine's own time: {stack.logs}
"""


def _laptop(stack: Stack) -> str:
    """Return the call of the client without AWS, if its key was given."""
    if stack.client_key is None:
        return ""
    return f"""
Without AWS, by the key in {stack.client_key}:
  .venv/bin/machine-identity call --key {stack.client_key} --text "hello world" \\
    --authorization-server {stack.authorization_server.issuer} \\
    --client-id {LAPTOP} --scope {SCOPE} --api {stack.api_url}
"""
