"""An authorizer that looks at nothing and refuses: the start of Python, which nobody saves."""


def handler(_event: object, _context: object) -> dict[str, object]:
    """Answer ``isAuthorized``, which is never."""
    return {"isAuthorized": False}
