"""The report to download: made by a child process, one at a time, so that neither its memory nor its time is the page's."""

import asyncio
import tempfile
import time
from pathlib import Path

from model_watchdog.errors import WatchdogError
from model_watchdog.report.period import read_period
from model_watchdog.reporting import ask_child

FRESH = 30.0
"""Seconds for which one that was made is handed out again."""
MOST_WAITING = 8


class Busy(WatchdogError):
    """Another one is being made."""


class Reports:
    """`state_dir` holds the record."""

    def __init__(self, state_dir: str) -> None:
        self._state_dir = Path(state_dir)
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._newest: tuple[tuple[str, str, str], float, bytes] | None = None

    async def make(self, since: str, language: str, form: str) -> bytes:
        """The report since then, as `html` or `json`. Raises `NoPeriod` for a time that is none, and `Busy` while many others wait.

        Raises `WatchdogError`, OSError or TimeoutError where it could not be made.
        """
        read_period(since, None, time.time())
        asked = (since, language, form)
        if self._waiting >= MOST_WAITING:
            raise Busy("other reports are being made; ask again in a moment")
        self._waiting += 1
        try:
            async with self._turn:
                return await self._make(asked)
        finally:
            self._waiting -= 1

    async def _make(self, asked: tuple[str, str, str]) -> bytes:
        since, language, form = asked
        if self._newest is None or self._newest[0] != asked or time.monotonic() - self._newest[1] >= FRESH:
            with tempfile.TemporaryDirectory(prefix="model-watchdog-web-") as directory:
                path = Path(directory, f"report.{form}")
                await ask_child(["report", "--since", since, "-o", str(path)], self._state_dir, language)
                text = await asyncio.to_thread(path.read_bytes)
            self._newest = asked, time.monotonic(), text
        return self._newest[2]
