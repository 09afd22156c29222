"""One name in the store: what stands there, and the writes that replace exactly that.

Whatever goes wrong with a store is a RegistrationError here: ``conflict`` when somebody else
wrote, else ``store``. It decides nothing about clients and sends nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Final, Protocol

from machine_identity.aws import AwsError
from machine_identity.client_registration.answers import Failure, RegistrationError
from machine_identity.client_registration.record import (
    Kept,
    Registered,
    Registering,
    State,
    StoreError,
    Vacant,
    read,
    with_token,
    written,
)
from machine_identity.errors import ConflictError

PAUSES: Final = (timedelta(seconds=1), timedelta(seconds=3))
"""Before a token is offered to the store for the second and the third time; there is no fourth."""


class Store(Protocol):
    """Keeps one secret document a name. AwsError or StoreError when it does not."""

    def read(self, name: str) -> Kept | None:
        """Return the document, or None if there is none."""
        ...

    def write(self, name: str, body: str, *, expected: str | None) -> str:
        """Write over the version ``expected`` (None: none) and return the new one's tag.

        Raises ConflictError when somebody else wrote first.
        """
        ...


class Entry:
    """The record of one name, as it was last read or written."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name
        self._tag: str | None = None
        self._revision = 0
        self.state: State = Vacant()
        self.refresh()

    def refresh(self) -> None:
        """Read what stands there now."""
        with _told(self._name):
            kept = self._store.read(self._name)
            self._tag = None if kept is None else kept.tag
            self.state, self._revision = (Vacant(), 0) if kept is None else read(kept.body)

    def registered(self) -> Registered:
        """Return the client that there is. Raises RegistrationError if there is none."""
        match self.state:
            case Registered():
                return self.state
            case Registering(endpoint=endpoint, since=since):
                raise RegistrationError(
                    Failure.INTERRUPTED,
                    f"a registration of {self._name} at {endpoint} was begun at "
                    f"{since:%Y-%m-%dT%H:%M:%SZ} and nobody kept what came of it",
                )
            case _:
                raise RegistrationError(
                    Failure.NOT_REGISTERED, f"no client is registered under {self._name}"
                )

    def write(self, state: State) -> None:
        """Put ``state`` in place of what was last read or written. Raises RegistrationError."""
        with _told(self._name):
            body = written(state, revision=self._revision + 1)
            self._tag = self._store.write(self._name, body, expected=self._tag)
        self.state, self._revision = state, self._revision + 1

    def put_back(self, state: State) -> None:
        """Write ``state`` as far as it goes: an error that is under way says more than this."""
        with suppress(RegistrationError):
            self.write(state)

    def keep(self, state: Registered, sleep: Callable[[float], None]) -> None:
        """Write what an answer brought; a store that fails for a moment must not lose a token.

        Raises RegistrationError ``not_kept``.
        """
        for pause in (*PAUSES, None):
            try:
                self.write(self._joined(state))
            except RegistrationError as error:
                if pause is None:
                    sentence = f"the registration's token could not be kept: {error.description}"
                    raise RegistrationError(Failure.NOT_KEPT, sentence) from error
                sleep(pause.total_seconds())
                with suppress(RegistrationError):
                    self.refresh()
            else:
                return

    def _joined(self, state: Registered) -> Registered:
        """Return ``state`` with what is kept now, perhaps by somebody else, behind its token."""
        match self.state:
            case Registered(client_id=client_id, tokens=tokens) if client_id == state.client_id:
                return replace(state, tokens=with_token(tokens, *state.tokens))
            case Registered():
                raise RegistrationError(
                    Failure.CONFLICT, f"another client was registered under {self._name} meanwhile"
                )
            case _:
                return state


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Turn what a store raises into one kind of error."""
    try:
        yield
    except ConflictError:
        raise RegistrationError(
            Failure.CONFLICT, f"somebody else is at work on {name} at the same time"
        ) from None
    except (AwsError, StoreError) as error:
        raise RegistrationError(Failure.STORE, str(error)) from error
