"""The tenant's directory: which apps there are, and which certificates each has.

What Graph writes is known everywhere only after a while (``propagation``): until then the token
endpoint, the check of a proof and the listing go on from what they knew, of a new certificate and
of one that was removed. The write itself sees all writes before it.

What is registered by ``register`` was always there. Nothing is kept when the process ends.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Final

from local.key_credentials import KeyCredential
from local.registrations import App, Certificates

_ALWAYS: Final = datetime.min.replace(tzinfo=UTC)
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    credential: KeyCredential
    known_from: datetime = _ALWAYS
    gone_from: datetime = _NEVER


class Directory:
    """The apps, by client ID and by object ID."""

    def __init__(self, *, propagation: timedelta = timedelta()) -> None:
        self._propagation = propagation
        self._apps: dict[str, App] = {}
        self._held: dict[str, list[_Held]] = {}
        self._lock = Lock()

    def register(self, app: App) -> None:
        """Register an app, in the place of one with the same client ID."""
        keys = app.credential.keys if isinstance(app.credential, Certificates) else ()
        with self._lock:
            self._apps[app.client_id] = app
            self._held[app.client_id] = [_Held(credential=each) for each in keys]

    def app(self, client_id: str) -> App | None:
        """Return the app of that client ID."""
        return self._apps.get(client_id)

    def by_object_id(self, object_id: str) -> App | None:
        """Return the app whose application object has that ID."""
        found = [app for app in tuple(self._apps.values()) if app.object_id == object_id]
        return found[0] if found else None

    def keys(self, app: App, now: datetime) -> tuple[KeyCredential, ...]:
        """Return the certificates that are known of an app by now, valid or not."""
        held = self._held[app.client_id]
        return tuple(each.credential for each in held if each.known_from <= now < each.gone_from)

    def add(self, app: App, credential: KeyCredential, now: datetime) -> None:
        """Add a certificate, also one that is there already."""
        with self._lock:
            known_from = now + self._propagation
            self._held[app.client_id].append(_Held(credential=credential, known_from=known_from))

    def remove(self, app: App, key_id: str, now: datetime) -> bool:
        """Remove the certificate of that ID, and say whether there was one."""
        with self._lock:
            held = self._held[app.client_id]
            for index, each in enumerate(held):
                if each.credential.key_id == key_id and each.gone_from == _NEVER:
                    held[index] = replace(each, gone_from=now + self._propagation)
                    return True
            return False
