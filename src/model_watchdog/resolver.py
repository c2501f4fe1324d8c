"""Names to addresses, in a bounded number of threads that nobody has to wait for.

The event loop's own lookups run in its default executor: a resolver that does not answer fills that with threads which hold up
everything else in it, and the end of the process too.
"""

import asyncio
import ipaddress
import socket
import threading

from model_watchdog.core.sample import Failure
from model_watchdog.errors import ProbeError

MOST = 8
"""Lookups at the same time; a further one fails at once rather than waiting behind dead ones."""


class Resolver:
    """Looks names up; those who ask for the same name at the same time share one lookup."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Future[tuple[str, ...]]] = {}

    async def resolve(self, host: str) -> tuple[str, ...]:
        """Addresses of a host in the order in which they are to be tried; an address is its own answer.

        Raises ProbeError (`dns`). The caller has the deadline: a lookup that outlives it goes on, and counts against MOST until
        it ends.
        """
        try:
            return (str(ipaddress.ip_address(host)),)
        except ValueError:
            pass
        loop = asyncio.get_running_loop()
        self._running = {name: lookup for name, lookup in self._running.items() if lookup.get_loop() is loop}
        if host not in self._running:
            if len(self._running) >= MOST:
                raise ProbeError(Failure.DNS, f"the name {host} was not looked up: {MOST} lookups have not been answered yet")
            self._start(host)
        return await asyncio.shield(self._running[host])

    def _start(self, host: str) -> None:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[str, ...]] = loop.create_future()
        answer.add_done_callback(lambda _: self._running.pop(host, None))
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())  # whoever asked may have gone
        thread = threading.Thread(target=_look_up, args=(host, loop, answer), daemon=True, name="lookup")
        try:
            thread.start()
        except RuntimeError:
            raise ProbeError(Failure.WATCHER, "no thread can be started to look a name up") from None
        self._running[host] = answer


def _look_up(host: str, loop: asyncio.AbstractEventLoop, answer: "asyncio.Future[tuple[str, ...]]") -> None:
    found: tuple[str, ...] | ProbeError
    try:
        entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        found = tuple(dict.fromkeys(str(entry[4][0]) for entry in entries))
    except (OSError, UnicodeError) as error:
        found = ProbeError(Failure.DNS, f"the name {host} cannot be looked up: {getattr(error, 'strerror', None) or error}")
    try:
        loop.call_soon_threadsafe(_give, answer, found)
    except RuntimeError:
        return  # the loop has been closed meanwhile


def _give(answer: "asyncio.Future[tuple[str, ...]]", found: tuple[str, ...] | ProbeError) -> None:
    if answer.done():
        return
    if isinstance(found, ProbeError):
        answer.set_exception(found)
    else:
        answer.set_result(found)


resolver = Resolver()
"""Shared by all probes of the process."""
