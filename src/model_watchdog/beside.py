"""Work that blocks, done beside the loop."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

Found = TypeVar("Found")


async def run_beside(work: Callable[[], Found]) -> Found:
    """In a thread that nobody waits for at the end of the daemon: neither a slow disk nor one that hangs holds anything up."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Found] = loop.create_future()

    def give(take: Callable[[Any], None], value: Any) -> None:
        if not found.done():
            take(value)

    def run() -> None:
        try:
            outcome = partial(give, found.set_result, work())
        except BaseException as error:  # whatever it is goes on to whoever waits
            outcome = partial(give, found.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(outcome)

    threading.Thread(target=run, name="beside", daemon=True).start()
    return await found
