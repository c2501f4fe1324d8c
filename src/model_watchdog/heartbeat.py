"""A dead man's switch, such as healthchecks.io: it is told again and again that the watchdog works, and complains when it is told no more.

It is told at its address, at `/start` behind it when the watchdog begins, and at `/fail` while a job is overdue: then the watchdog runs,
but does not do its work. What is not told for a while is what the switch is for, so nothing is queued and nothing is told twice.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from model_watchdog.asking import Asking, explain_status
from model_watchdog.config.model import Heartbeat
from model_watchdog.core.sample import Failure
from model_watchdog.core.units import Url
from model_watchdog.errors import ProbeError
from model_watchdog.wire import httpx

log = logging.getLogger(__name__)

TRIES = 3
"""So often each sign is tried: at once, and after `WAIT` seconds, doubled."""
WAIT = 1.0


class Heart:
    """Beats while it is open. `overdue` gives the job that should have run long ago, or nothing."""

    def __init__(self, heartbeat: Heartbeat, overdue: Callable[[], str]) -> None:
        self.error = ""
        self._heartbeat = heartbeat
        self._overdue = overdue
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._beat(), name="heartbeat")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _beat(self) -> None:
        """On its own beat: an answer that takes long does not put the next sign off."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        word = "/start"
        while True:
            await self._tell(word)
            due = max(due + self._heartbeat.every, loop.time())
            await asyncio.sleep(due - loop.time())
            word = "/fail" if self._overdue() else ""

    async def _tell(self, word: str) -> None:
        """Never raises: a switch that cannot be reached says so by itself, later."""
        wait, problem = WAIT, ""
        for attempt in range(TRIES):
            problem = await self._ask(word)
            if not problem:
                break
            if attempt + 1 < TRIES:
                await asyncio.sleep(min(wait, self._heartbeat.every / TRIES))
                wait *= 2
        if problem and not self.error:
            log.warning('event=heartbeat_not_told reason="%s"', problem.replace('"', "'"))
        elif self.error and not problem:
            log.warning("event=heartbeat_told")
        self.error = problem

    async def _ask(self, word: str) -> str:
        """What went wrong, or nothing."""
        target = replace(self._heartbeat, url=Url(_join(self._heartbeat.url, word)))
        asking = Asking(target, self._heartbeat.timeout)

        async def take(response: httpx.Response) -> None:
            if not 200 <= response.status_code < 300:
                raise ProbeError(Failure.STATUS, explain_status(response.status_code))

        try:
            await asking.ask(take)
        except ProbeError as error:
            return error.detail
        finally:
            await asking.close()
        return ""


def _join(url: str, word: str) -> str:
    """The word behind the path, before what is asked there."""
    address, mark, question = url.partition("?")
    return f"{address.rstrip('/') if word else address}{word}{mark}{question}"
