"""What comes of a request, and what to tell of one that went wrong; nothing is sent or kept."""

from dataclasses import dataclass, field

from machine_identity.client_registration.answers import (
    Failure,
    RegisteredClient,
    RegistrationError,
    TokenRefusedError,
    legible,
)
from machine_identity.client_registration.metadata import Difference
from machine_identity.client_registration.record import Registered, Registering, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A client as the server has it now, and what of it is not as it was asked for."""

    client: RegisteredClient
    changed: tuple[Difference, ...] = ()
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What nothing that is shown may repeat."""


def check_free(state: State, name: str, *, again: bool) -> None:
    """Raise RegistrationError unless a client may be registered under that name."""
    match state:
        case Registered(client_id=client_id):
            raise already_registered(name, client_id)
        case Registering(endpoint=endpoint, since=since) if not again:
            raise RegistrationError(
                Failure.INTERRUPTED,
                f"a registration of {name} at {endpoint} was begun at "
                f"{since:%Y-%m-%dT%H:%M:%SZ} and nobody kept what came of it: there may be a "
                "client of that name there. Look for it, then adopt it, or register again and "
                "say so",
            )
        case _:
            return


def check_useful(outcome: Outcome) -> None:
    """Raise RegistrationError if the server registered a client that we cannot be."""
    wrong = [each for each in outcome.changed if each.matters]
    if not wrong:
        return
    shown = "; ".join(
        f"{each.name} is {legible(each.registered, outcome.secrets)} and was to be "
        f"{legible(each.asked, outcome.secrets)}"
        for each in wrong
    )
    raise RegistrationError(
        Failure.REPLACED,
        f"the client {outcome.client.client_id} is registered and kept, and of no use so: {shown}",
    )


def already_registered(name: str, client_id: str) -> RegistrationError:
    """Return what to tell who would register a second client under one name."""
    return RegistrationError(
        Failure.ALREADY_REGISTERED, f"{name} is registered already, as {client_id}"
    )


def perhaps_registered(error: RegistrationError, client_name: str) -> RegistrationError:
    """Return what to tell of a registration without an answer, or without a usable one."""
    return RegistrationError(
        error.code,
        f"{error.description}; there may be a client named {client_name} now that nobody manages",
    )


def lost(error: TokenRefusedError, registered: Registered) -> TokenRefusedError:
    """Return what to tell of a token that is refused."""
    why = ""
    if registered.unanswered and registered.unanswered_at:
        why = (
            f"; the {registered.unanswered} of {registered.unanswered_at:%Y-%m-%dT%H:%M:%SZ} "
            "had no answer, and the token may have changed with it"
        )
    return TokenRefusedError(
        error.code,
        f"the server takes none of the tokens that are kept, or has no client "
        f"{registered.client_id} any more{why}. A client that is there goes on working; ask the "
        "server's operator for a new token, and adopt it",
    )
