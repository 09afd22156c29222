"""Waits in an asyncio loop for what a thread does, one thread for all who wait for the same.

Who is cancelled stops waiting, and the work goes on for the others. Each loop waits for itself:
two loops that want the same meet in the token source, as two threads do.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

_under_way: Final[dict[tuple[asyncio.AbstractEventLoop, object], asyncio.Task[Any]]] = {}
"""What is being done in a thread, by loop and subject; each entry goes when it is done."""


async def shared[T](subject: object, work: Callable[[], T]) -> T:
    """Return what ``work`` returns, done in a thread, once for all who ask by that subject."""
    key = asyncio.get_running_loop(), subject
    task = _under_way.get(key)
    if task is None:
        task = _under_way[key] = asyncio.create_task(asyncio.to_thread(work))
        task.add_done_callback(lambda done: _forget(key, done))
    result: T = await asyncio.shield(task)
    return result


def _forget(key: tuple[asyncio.AbstractEventLoop, object], done: asyncio.Task[Any]) -> None:
    del _under_way[key]
    if not done.cancelled():
        done.exception()  # seen, or asyncio complains of it when all who waited were cancelled
