"""What the expressions knew before the daemon began: read from the record, beside everything else, and given to them piece by piece."""

import asyncio
import logging
import time
from array import array
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from model_watchdog import writes as record
from model_watchdog.beside import run_beside
from model_watchdog.chunks import unpack_chunk, unpack_head
from model_watchdog.clock import Clock
from model_watchdog.config.model import Config
from model_watchdog.errors import WatchdogError
from model_watchdog.feeding import Feed
from model_watchdog.record import Record
from model_watchdog.rules.expr import KIND
from model_watchdog.store import Store

if TYPE_CHECKING:
    from model_watchdog.promql import Memory, Needs

log = logging.getLogger(__name__)

SEEN_SINCE = "seen_since"
"""The setting that says since when, in wall seconds, a daemon has watched all along."""
SHORT = 30.0
"""Seconds for which the daemon may be away, and has watched all along."""
MOST_SAMPLES = 400_000
"""So many are taken from the record, the newest: 6 MB. What reaches further back has not been seen."""
HOUR, PIECE, PAUSE = 3600.0, 50, 0.005
"""It is read an hour at a time, and so many rows or series are a piece, with a pause behind each: everything else goes on."""

Key = tuple[str, tuple[tuple[str, str], ...]]
Samples = tuple["array[int]", "array[float]"]


class Warming:
    """Made before anything is measured, by a daemon that was not there for `away` seconds (very many: there never was one)."""

    def __init__(self, store: Store, clock: Clock, feed: Feed, config: Config, away: float) -> None:
        self._store = store
        self._clock = clock
        self._feed = feed
        self._began = now = clock.wall()
        known = store.setting(SEEN_SINCE) if away <= SHORT else None
        self._seen_since = _read_time(known, now)
        store.put(record.setting(SEEN_SINCE, str(self._seen_since)))
        owners = [(None, config.host.probes), *((service.name, service.probes) for service in config.services.values())]
        feed.expect((owner, probe.name) for owner, probes in owners for probe in probes if probe.kind != KIND)
        self._look_back(config)

    async def load(self, config: Config) -> None:
        """At the start, and after a reload: the past of what the expressions look at now. Until it is here they are not answered."""
        feed = self._feed
        if feed.memory is None:
            return
        self._look_back(config)
        try:
            found, reached = await run_beside(_Reading(self._store.path, config.needs, self._clock.wall()).read)
            feed.seen_since = max(feed.seen_since, reached)
            for number, ((metric, labels), (times, values)) in enumerate(found.items(), 1):
                if feed.memory is not None:
                    feed.memory.precede(metric, labels, times, values)
                if number % PIECE == 0:
                    await asyncio.sleep(0)
        except WatchdogError as error:
            feed.seen_since = max(feed.seen_since, self._began)
            log.warning("event=past_unread reason=%r", str(error))
        finally:
            feed.is_loading = False

    def was_away(self) -> None:
        """The host slept, or the daemon was held up: of that time nothing is known."""
        self._seen_since = self._feed.seen_since = self._clock.wall()
        self._store.put(record.setting(SEEN_SINCE, str(self._seen_since)))

    def _look_back(self, config: Config) -> None:
        feed = self._feed
        feed.seen_since = max(self._seen_since, self._began - config.record.raw)
        feed.is_loading = feed.memory is not None


class _Reading:
    """The samples that expressions need, from before a moment, as columns by series; and since when they are complete. For a thread."""

    def __init__(self, path: Path, needs: "list[Needs]", until: float) -> None:
        self._path = str(path)
        self._needs = needs
        self._until = until

    def read(self) -> tuple[dict[Key, Samples], float]:
        from model_watchdog.promql import Memory, add_needs

        whole = add_needs(self._needs)
        wanted, since = Memory(whole.selectors), self._until - whole.span / 1000
        pieces: dict[Key, list[Samples]] = {}
        count, reached = 0, float("-inf")
        with Record(self._path) as source:
            for at, key, times, values in self._list_samples(source, wanted, since):
                count += len(times)
                if count > MOST_SAMPLES:
                    reached = at
                    break
                pieces.setdefault(key, []).append((times, values))
        return {key: _join(parts) for key, parts in pieces.items()}, reached

    def _list_samples(self, source: Record, wanted: "Memory", since: float) -> Iterator[tuple[float, Key, "array[int]", "array[float]"]]:
        """The newest first, each with the time down to which everything was given before it."""
        names = {
            number: (metric, tuple(sorted(labels.items())))
            for number, (metric, labels) in source.series_numbers().items()
            if wanted.wants(metric, tuple(sorted(labels.items())))
        }
        last, head = source.head()
        newest: dict[int, Samples] = {}
        for row in sorted(head, key=lambda row: float(row["at"])):
            if since <= row["at"] < self._until:
                for number, offset, value in zip(*unpack_head(row["data"]), strict=True):
                    if number in names:
                        times, values = newest.setdefault(number, (array("q"), array("d")))
                        times.append(round(row["at"] * 1000) + offset)
                        values.append(value)
        yield from ((self._until, names[number], *samples) for number, samples in newest.items())
        place, begin = self._until, max(since, self._until - 31 * 24 * HOUR)
        while names and place > float("-inf"):
            earliest = place - HOUR if place > begin else float("-inf")  # a chunk may begin long before, and reach into it
            rows = source.chunks_of(list(names), earliest, place, last, since)
            for number, row in enumerate(rows, 1):
                steps, values_of = unpack_chunk(row["data"])
                first = round(row["at"] * 1000)
                yield place, names[row["series"]], array("q", (first + step for step in steps)), array("d", values_of)
                if number % PIECE == 0:
                    time.sleep(PAUSE)
            place = earliest


def _join(parts: list[Samples]) -> Samples:
    """In the order of time; what is said twice of one moment is left out when it is taken."""
    rows = sorted(chain.from_iterable(zip(times, values, strict=True) for times, values in parts), key=lambda row: row[0])
    kept = [row for number, row in enumerate(rows) if not number or row[0] > rows[number - 1][0]]
    return array("q", (at for at, _ in kept)), array("d", (value for _, value in kept))


def _read_time(text: str | None, otherwise: float) -> float:
    """Not later than now: a clock that was wrong must not keep anything back for ever."""
    try:
        return min(float(text or otherwise), otherwise)
    except ValueError:
        return otherwise
