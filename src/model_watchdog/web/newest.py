"""The newest value of each series: what has come since the last look is added, so that a look costs little however many there are."""

import time
from collections.abc import Iterator

from model_watchdog.chunks import read_last, unpack_head
from model_watchdog.record import Record

STALE_SECONDS = 300.0
"""What is older is not told: as Prometheus has it."""
FIRST_CHUNKS = 20_000
"""So many of the newest chunks are looked through at the first look."""
OVERLAP = 5.0
"""Seconds of what was seen that are looked at again: samples are not written in the order of their times."""


class Newest:
    """Keeps what it knows; `refresh` reads what has come."""

    def __init__(self) -> None:
        self._names: dict[int, tuple[str, dict[str, str]]] = {}
        self._values: dict[int, tuple[float, float]] = {}
        self._chunk = -1
        self._since = 0.0
        self._named_at = 0.0

    def refresh(self, record: Record, now: float) -> None:
        """At wall time `now`."""
        last = int(record.rows("SELECT coalesce(max(id), 0) AS id FROM sample_chunk")[0]["id"])
        if last < self._chunk:  # another record
            self.__init__()  # type: ignore[misc]
        for row in record.rows("SELECT at, data FROM sample_head WHERE at >= ?", max(self._since, now - STALE_SECONDS)):
            numbers, offsets, values = unpack_head(row["data"])
            for number, offset, value in zip(numbers, offsets, values, strict=True):
                self._add(number, row["at"] + offset / 1000, value)
        if last != self._chunk:
            known = self._chunk if self._chunk >= 0 else last - FIRST_CHUNKS
            query = "SELECT series, until, data FROM sample_chunk WHERE id > ? AND until >= ?"
            for row in record.rows(query, known, now - STALE_SECONDS):
                self._add(row["series"], row["until"], read_last(row["data"]))
            self._chunk = last
        self._since = now - OVERLAP
        if self._values.keys() - self._names.keys() or time.monotonic() - self._named_at > 60:
            self._names, self._named_at = record.series_numbers(), time.monotonic()
        self._values = {number: seen for number, seen in self._values.items() if now - seen[0] <= STALE_SECONDS}

    def _add(self, number: int, at: float, value: float) -> None:
        known = self._values.get(number)
        if known is None or at >= known[0]:
            self._values[number] = at, value

    def read(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """Metric, labels and value of each that was not stale at the last look."""
        for number, (_, value) in self._values.items():
            if number in self._names:
                yield (*self._names[number], value)
