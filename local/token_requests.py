"""A request for a token, as it must be before it matters who sent it (RFC 6749, RFC 7521)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from local.entra_errors import EntraError, Fault
from machine_identity.client_credentials import ASSERTION_TYPE

_DEFAULT: Final = "/.default"


class Form(Protocol):
    """The parameters of a body, of which one name may stand there more than once."""

    def lists(self) -> Iterable[tuple[str, list[str]]]:
        """Return each name with all of its values."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """What is asked for, and by what the client would prove itself."""

    client_id: str
    scope: str
    assertion: str = field(repr=False)

    @property
    def resource(self) -> str:
        """The App ID URI before ``/.default``, the one scope of this grant. Raises EntraError."""
        resource = self.scope.removesuffix(_DEFAULT)
        if resource in {"", self.scope} or " " in resource:
            raise EntraError(Fault.SCOPE)
        return resource


def read(form: Form) -> TokenRequest:
    """Return what the form asks for. Raises EntraError."""
    given = _single(form)
    if not given.keys() >= {"grant_type", "client_id", "scope"}:
        raise EntraError(Fault.MISSING_PARAMETER)
    if given["grant_type"] != "client_credentials":
        raise EntraError(Fault.UNSUPPORTED_GRANT)
    assertion = given.get("client_assertion")
    if assertion is None or given.get("client_assertion_type") != ASSERTION_TYPE:
        raise EntraError(Fault.NO_CREDENTIAL)
    return TokenRequest(client_id=given["client_id"], scope=given["scope"], assertion=assertion)


def _single(form: Form) -> Mapping[str, str]:
    given = {}
    for name, values in form.lists():
        if len(values) != 1:  # which of them counts would be anybody's guess
            raise EntraError(Fault.BAD_REQUEST)
        given[name] = values[0]
    return given
