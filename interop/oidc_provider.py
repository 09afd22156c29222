"""npm's oidc-provider in a process of its own; see node/oidc_provider.mjs."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from interop.deployment import AUDIENCE, CLIENT_ID, SCOPE
from interop.trials import NODE_FOLDER
from rehearsal.processes import Process, ProcessError

_START_SECONDS: Final = 20


class OidcProvider:
    """``with OidcProvider(node, pem, algorithm, log) as server``; it decides once it is opened."""

    def __init__(self, node: str, pem: Path, algorithm: str, log: Path) -> None:
        self.issuer = ""
        self._decisions: list[Mapping[str, Any]] = []
        self._decided = threading.Condition()
        self.fetches: list[str] = []
        self._log = log
        self._said = threading.Event()
        program = str(NODE_FOLDER / "oidc_provider.mjs")
        self._process = Process([node, program, str(pem), algorithm], log, self._told)

    def __enter__(self) -> Self:
        self._process.__enter__()
        try:
            self._wait()
        except ProcessError:
            self._process.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.__exit__()

    def open(self, jwks_uri: str, *, clock: str) -> None:
        """Register the one client, and answer requests, on the clock of that URL."""
        self._open(clock, clients=[{"client_id": CLIENT_ID, "jwks_uri": jwks_uri}])

    def open_to(self, initial_access_token: str, *, clock: str) -> None:
        """Let clients with that token register, and answer requests, on the clock of that URL."""
        self._open(clock, clients=[], initial_access_token=initial_access_token)

    def _open(self, clock: str, **more: Any) -> None:
        self._said.clear()
        self._process.send({"scope": SCOPE, "audience": AUDIENCE, "clock": clock, **more})
        self._wait()

    def decisions(self, count: int) -> list[Mapping[str, Any]]:
        """Return the decisions since the last call: client, kid, whether accepted, and why not.

        They come by another way than the answers, and may be a moment later: at least ``count``
        of them are waited for.
        """
        with self._decided:
            if not self._decided.wait_for(lambda: len(self._decisions) >= count, _START_SECONDS):
                raise ProcessError("oidc-provider does not say what it decided")
            decisions, self._decisions = self._decisions, []
            return decisions

    def _wait(self) -> None:
        if not self._said.wait(_START_SECONDS):
            raise ProcessError(f"oidc-provider does not start: {self._log.read_text()}")

    def _told(self, line: Mapping[str, Any]) -> None:
        if "issuer" in line:
            self.issuer = line["issuer"]
            self._said.set()
        elif "ready" in line:
            self._said.set()
        elif "fetched" in line:
            self.fetches.append(line["fetched"])
        else:
            with self._decided:
                self._decisions.append(line)
                self._decided.notify_all()
