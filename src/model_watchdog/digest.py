"""The digest: what was healed without a person since the last one. Nothing where there is nothing to say."""

import asyncio
import logging
import os
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from model_watchdog import writes as record
from model_watchdog.beside import run_beside
from model_watchdog.config.model import Digest
from model_watchdog.errors import WatchdogError
from model_watchdog.record import Record
from model_watchdog.stories import list_incidents
from model_watchdog.wording import compose_healed

if TYPE_CHECKING:
    from model_watchdog.daemon import Daemon

log = logging.getLogger(__name__)

LAST = "digest"
"""The setting that keeps the day of the last digest."""


def is_due(digest: Digest, last: str, now: datetime) -> bool:
    """Whether the next one is due at `now` (local); `last` is the day of the one before."""
    return is_time(digest, now) and datetime.fromisoformat(last).date() + timedelta(seconds=digest.every) <= now.date()


def is_time(digest: Digest, now: datetime) -> bool:
    """Whether its time of day has come."""
    return now.hour * 3600 + now.minute * 60 + now.second >= digest.at


def read_last(state_dir: str | os.PathLike[str]) -> str | None:
    """The day of the last one; None where there was none. Raises `WatchdogError` where the record cannot be read."""
    with Record.open(state_dir) as opened:
        return opened.setting(LAST)


def gather(state_dir: str | os.PathLike[str], since: float, now: float) -> list[dict[str, Any]]:
    """The incidents since then that are over, that were restarted in and in which nobody was told that it was given up, oldest first.

    Raises `WatchdogError` where the record cannot be read.
    """
    with Record.open(state_dir) as opened:
        healed = []
        for story in list_incidents(opened, since, None, now):
            if story["closed_at"] is None or not story["restarts"]:
                continue
            events = opened.events_of([story["id"], *story["follows"]])
            if any(event["event"] == "recovered" for event in events) and not any(event["event"] == "gave_up" for event in events):
                healed.append(story)
        return healed


class Digests:
    """Tells them when their time has come; the day is written together with the message, so each is told once."""

    def __init__(self, daemon: "Daemon") -> None:
        self._daemon = daemon
        self._last: str | None = None
        self._telling: asyncio.Task[None] | None = None

    def look(self) -> None:
        """Once a minute. Reading takes its time beside the loop; where it fails, the next look tries again."""
        digest, now = self._daemon.config.digest, datetime.fromtimestamp(self._daemon.clock.wall())
        if digest is None or self._daemon.dry_run or (self._telling is not None and not self._telling.done()):
            return
        if self._last is None or is_due(digest, self._last, now):
            self._telling = self._daemon.spawn(self.tell(digest, now))

    async def tell(self, digest: Digest, now: datetime) -> None:
        """Tells the one of `now`, if it is due."""
        directory, wall, today = self._daemon.state_dir, now.timestamp(), now.date()
        try:
            if self._last is None:
                self._last = await run_beside(lambda: read_last(directory))
            if self._last is None:  # the first one is told when its time comes for the first time
                self._last = (today if is_time(digest, now) else today - timedelta(seconds=digest.every)).isoformat()
                self._daemon.store.put(record.setting(LAST, self._last))
            if not is_due(digest, self._last, now):
                return
            healed = await run_beside(lambda: gather(directory, wall - digest.every, wall))
        except WatchdogError as error:
            log.warning('event=digest_waits reason="%s"', error)
            return
        self._last = today.isoformat()
        writes = [record.setting(LAST, self._last)]
        if healed:
            message = compose_healed(self._daemon.means.hostname, f"digest/{self._last}", healed, digest.every)
            for name in digest.to:
                writes += self._daemon.outbox.add(name, message)
        self._daemon.store.put(*writes)
        self._daemon.outbox.wake()
