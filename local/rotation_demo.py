"""Rotates the key of a running stack while a client calls without a pause, and counts.

The stack's time is moved an hour at a time, each time between two calls of the client, so that
every hour has its calls and every call its assertion: an access token lives an hour.
"""

import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from local.client import Client
from local.narrator import Narrator
from local.stack import Stack
from local.trace import Moment

HOUR: Final = timedelta(hours=1)
_CALLS_AN_HOUR: Final = 2
_MOST_HOURS: Final = 24 * 10
_TEXT: Final = "hello world"


class RotationError(Exception):
    """The rotation did not go as it should, or a call failed."""


@dataclass(slots=True)
class _Caller:
    """A client that calls until it is told to stop, but never while the clock is moved."""

    client: Client
    between_calls: threading.Lock = field(default_factory=threading.Lock)
    called: threading.Condition = field(default_factory=threading.Condition)
    is_stopped: bool = False
    calls: int = 0
    failed: int = 0

    def run(self) -> None:
        while not self.is_stopped:
            with self.between_calls:
                result = self._result()
            with self.called:
                self.calls += 1
                self.failed += result != _TEXT.upper()
                self.called.notify_all()

    def wait_for_calls(self, count: int) -> None:
        with self.called:
            aim = self.calls + count
            self.called.wait_for(lambda: self.calls >= aim or self.is_stopped)

    def _result(self) -> str | None:
        try:
            return self.client.uppercase(_TEXT)
        except Exception:  # noqa: BLE001 - whatever it is, it is a call that failed
            return None


def rotate_under_a_client(stack: Stack, client: Client, say: Narrator) -> None:
    """Do and tell one whole rotation. Raises RotationError unless not one call failed."""
    judged: Counter[tuple[str, bool]] = Counter()

    def watch(moment: Moment) -> None:
        if moment.what == "token_request":
            decision = moment.details["decision"]
            judged[decision.kid or "", decision.fault is None] += 1

    stack.watchers.add(watch)
    caller = _Caller(client)
    thread = threading.Thread(target=caller.run, daemon=True)
    thread.start()
    try:
        old, new = _rotated(stack, client, caller, say)
    finally:
        caller.is_stopped = True
        thread.join()
    _told(caller, judged, old, new, say)


def _rotated(stack: Stack, client: Client, caller: _Caller, say: Narrator) -> tuple[str, str]:
    """Ask for a rollover and let hours pass until the old key is gone; return both names."""
    start, keys = stack.clock.now(), _keys(client)
    old, new = (next(k for k, s in keys.items() if s == state) for state in ("active", "standby"))
    answer = client.invoke("RotationFunction", {"command": "rotate"})
    cache = _hours(stack.provider.key_set_cache)
    say.note(f"the authorization server may use a copy of our key set for {cache}, and does;")
    say.note("the stack's clock is moved an hour at a time; the client never stops calling")
    say.step("", "operator", f"rotate: not yet, because {answer['wait']['why']}")
    for _ in range(_MOST_HOURS):
        with caller.between_calls:
            stack.advance(HOUR)
            now, before, keys = stack.clock.now(), keys, _keys(client)
        _tell_changes(before, keys, now - start, caller, say)
        caller.wait_for_calls(_CALLS_AN_HOUR)
        if keys.get(old) == "removed":
            return old, new
    raise RotationError(f"after {_MOST_HOURS} hours the old key is still {keys.get(old)}")


def _tell_changes(
    before: dict[str, str], keys: dict[str, str], passed: timedelta, caller: _Caller, say: Narrator
) -> None:
    for kid, state in sorted(keys.items(), key=lambda each: each[1]):  # what becomes active first
        was = before.get(kid, "created")
        if was != state:
            line = f"{kid[:12]}…  {was} → {state}"
            say.show(f"+{_hours(passed):>8}", f"{line:<40} {caller.calls:>4} calls so far")


def _told(
    caller: _Caller,
    judged: Counter[tuple[str, bool]],
    old: str,
    new: str,
    say: Narrator,
) -> None:
    accepted_old, accepted_new = judged[old, True], judged[new, True]
    refused = sum(count for (_, accepted), count in judged.items() if not accepted)
    say.step("", "result", f"{caller.calls} calls, {caller.failed} failed")
    say.note("an access token lives an hour, so each hour took an assertion:")
    say.show("assertions", f"{accepted_old} signed by the old key, {accepted_new} by the new one")
    say.show("refused   ", str(refused))
    if caller.failed or refused or not (accepted_old and accepted_new):
        raise RotationError(f"{caller.failed} calls failed and {refused} assertions were refused")
    say.good("not one call failed")


def _keys(client: Client) -> dict[str, str]:
    status: Any = client.invoke("RotationFunction", {"command": "status"})
    return {key["kid"]: key["state"] for key in status["keys"]}


def _hours(duration: timedelta) -> str:
    return f"{duration / HOUR:.0f} h"
