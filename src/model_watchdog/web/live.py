"""How things stand now, looked at once however many ask: the daemon is asked at most twice a second, whatever is done to this process."""

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator
from typing import Any

from model_watchdog import status
from model_watchdog.errors import WatchdogError
from model_watchdog.record import Record
from model_watchdog.web.metrics import Value, tell_states
from model_watchdog.web.newest import Newest

Doc = dict[str, Any]

EVERY = 0.5
"""Seconds between two looks."""
MOST_STREAMS = 64
BEAT_SECONDS = 15.0


def dump(value: object) -> str:
    """JSON; a number that JSON does not have is null."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(_without_nan(value), ensure_ascii=False)


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Live:
    """`document` is `status --json`'s; it is looked at while somebody asks, or has a stream open."""

    def __init__(self, state_dir: str, runtime_dir: str) -> None:
        self._state_dir = state_dir
        self._runtime_dir = runtime_dir
        self._document: Doc = {}
        self._told = ""
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()
        self._newest = Newest()
        self._measuring = asyncio.Lock()
        self.language: str | None = None
        self.streams = 0

    def open(self) -> Record:
        """The record, for one request."""
        return Record.open(self._state_dir)

    async def look(self) -> Doc:
        """Not older than `EVERY` seconds. Raises `WatchdogError` where the record cannot be read though a daemon runs."""
        async with self._looking:
            if time.monotonic() - self._looked_at >= EVERY:
                self._document, more = await asyncio.to_thread(status.collect, self._state_dir, self._runtime_dir)
                self._looked_at = time.monotonic()
                self._told = ""
                self.language = more["language"]
            return self._document

    async def tell(self) -> str:
        """The document as a stream tells it, written once however many streams there are; or why it cannot be read."""
        try:
            doc = await self.look()
        except WatchdogError as error:
            return dump({"error": str(error)})
        if not self._told:
            self._told = dump({key: value for key, value in doc.items() if key != "generated_at"})
        return self._told

    async def follow(self) -> AsyncIterator[str]:
        """Server-sent events: the document whenever something in it has changed."""
        told, beat = "", time.monotonic()
        self.streams += 1
        try:
            while True:
                text = await self.tell()
                if text != told:
                    told, beat = text, time.monotonic()
                    yield f"data: {text}\n\n"
                elif time.monotonic() - beat > BEAT_SECONDS:
                    beat = time.monotonic()
                    yield ": still here\n\n"
                await asyncio.sleep(EVERY)
        finally:
            self.streams -= 1

    async def measure(self) -> list[Value]:
        """The newest value of every series, and what the daemon and the host say of themselves."""
        doc = await self.look()
        async with self._measuring:
            values: list[Value] = await asyncio.to_thread(self._read_newest)
        running = bool(doc["daemon"]["running"])
        if running:
            values += [(metric["metric"], metric["labels"], metric["value"]) for metric in doc["host"]["metrics"]]
            values += tell_states(doc["services"])  # of a daemon that is away it is only known what it said last
        return [*values, ("watchdog_up", {}, float(running))]

    def _read_newest(self) -> list[Value]:
        with self.open() as record:
            self._newest.refresh(record, time.time())
        return [*self._newest.read()]
