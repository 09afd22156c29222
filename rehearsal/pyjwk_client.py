"""The verifier that PyJWT makes with its PyJWKClient, all of its defaults as they are.

``python -m rehearsal.pyjwk_client`` speaks as node/lines.mjs does: a question a line, an answer a
line, and an instance for each reader.
"""

import json
import sys
from typing import Any

import jwt


def main() -> None:
    """Answer questions until standard input ends."""
    readers: dict[str, jwt.PyJWKClient] = {}
    for line in sys.stdin:
        question = json.loads(line)
        reader = question["reader"]
        if reader not in readers:
            readers[reader] = jwt.PyJWKClient(question["jwks_uri"])
        sys.stdout.write(json.dumps(_answer(readers[reader], question)) + "\n")
        sys.stdout.flush()


def _answer(keys: jwt.PyJWKClient, question: dict[str, Any]) -> dict[str, object]:
    assertion = question["assertion"]
    try:
        key = keys.get_signing_key_from_jwt(assertion)
        jwt.decode(
            assertion,
            key,
            algorithms=["RS256"],
            audience=question["audience"],
            issuer=question["issuer"],
        )
    except jwt.PyJWTError as error:
        return {"id": question["id"], "accepted": False, "why": type(error).__name__}
    return {"id": question["id"], "accepted": True}


if __name__ == "__main__":
    main()
