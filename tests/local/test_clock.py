"""The stack's clock: it moves forward, for all, and never under a request."""

import threading
import time
from datetime import timedelta

from local.clock import MovableClock

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


def test_it_goes_on_ticking_from_where_it_was_moved_to() -> None:
    clock = MovableClock()
    instant = clock.now() + HOUR
    clock.move_to(instant)
    assert timedelta() <= clock.now() - instant < SECOND
    assert HOUR - SECOND < clock.offset <= HOUR


def test_it_never_goes_back() -> None:
    clock = MovableClock()
    before = clock.now()
    clock.move_to(before - HOUR)
    assert clock.now() >= before
    assert clock.offset == timedelta()


def test_it_waits_for_whoever_holds_it_and_lets_nobody_in_meanwhile() -> None:
    clock, seen = MovableClock(), list[str]()
    start = clock.now()

    def late_reader() -> None:
        with clock.held():
            seen.append("moved" if clock.now() >= start + HOUR else "early")

    with clock.held():
        mover = threading.Thread(target=clock.move_to, args=(start + HOUR,))
        mover.start()
        time.sleep(0.1)
        reader = threading.Thread(target=late_reader)
        reader.start()
        time.sleep(0.1)
        assert clock.now() < start + HOUR
        assert seen == []
    mover.join()
    reader.join()
    assert seen == ["moved"]


def test_many_may_hold_it_at_once() -> None:
    clock, both = MovableClock(), threading.Barrier(2)

    def hold() -> None:
        with clock.held():
            both.wait(timeout=5)

    threads = [threading.Thread(target=hold) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not both.broken
