"""Writes what `rollups` makes of the samples: each hour that is over, once all its samples are folded; a few series at a time.

It is made anew from the samples themselves, so it can be made again: after a crash in the middle, or for an hour that the wall clock
has gone through twice. Of two tellings of an hour the one that knows of more samples stays.
"""

import sqlite3

from model_watchdog.chunks import read_rows
from model_watchdog.rollups import DAY, HOUR, MINUTE, Bucket, Kept, pack, pick, roll_up, unpack

SERIES_A_STEP, SAMPLES_A_STEP = 16, 2000
"""After so many of either a step ends; the store may have something urgent to write."""
MOST_PRUNED = 2
"""So many rows of a series go with each hour, at most."""
ROLLED, DONE = "rolled_until", "rolled_series"
"""The settings that say up to which wall time there are rollups (from there on there are the samples), and the number of the last series
that the present hour has been made of."""


class Rolling:
    """Uses the record's one connection, in its owner's transactions."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.forget()

    def forget(self) -> None:
        """After a transaction that was rolled back."""
        self._until: float | None = None
        self._done = 0
        self._is_blocked = False

    def look_again(self) -> None:
        """Samples were folded: an hour may be complete."""
        self._is_blocked = False

    @property
    def until(self) -> float:
        """Samples before this wall time are no longer needed for it."""
        return self._until if self._until is not None else self._load()

    def is_due(self, now: float) -> bool:
        """An hour is over, and all its samples are folded; or the clock was set back beyond what has been done."""
        if self._is_blocked:
            return False
        until = self.until
        if until > now:
            return True
        if until + HOUR > now:
            return False
        head = self._connection.execute("SELECT min(at) FROM sample_head").fetchone()[0]
        self._is_blocked = head is not None and head < until + HOUR
        return not self._is_blocked

    def step(self, now: float, kept: Kept) -> None:
        """The hour that is due, of a few series. In a transaction."""
        until = self.until
        if until > now:
            return self._save(_hour_of(now))
        rows = self._connection.execute("SELECT id FROM series WHERE id > ? ORDER BY id LIMIT ?", (self._done, SERIES_A_STEP)).fetchall()
        taken = 0
        for (series,) in rows:
            taken += self._roll(series, int(until))
            self._prune(series, now, kept)
            self._done = series
            if taken > SAMPLES_A_STEP:
                break
        if rows and (len(rows) == SERIES_A_STEP or rows[-1][0] > self._done):
            return self._write(DONE, self._done)
        return self._save(self._find_next(until + HOUR, now))

    def _roll(self, series: int, begin: int) -> int:
        samples = self._read(series, begin)
        if not samples:
            return 0
        minutes, hours = roll_up(samples, MINUTE), roll_up(samples, HOUR)
        self._put("rollup_minute", series, begin, minutes)
        self._put("rollup_hour", series, begin // DAY * DAY, hours)
        return len(samples)

    def _read(self, series: int, begin: int) -> list[tuple[float, float]]:
        query = "SELECT 0, at, data FROM sample_chunk WHERE series = ? AND at < ? AND until >= ?"
        rows = self._connection.execute(query, (series, begin + HOUR, begin))
        return [sample for sample in read_rows(rows, series, begin, begin + HOUR) if sample[0] < begin + HOUR]

    def _put(self, table: str, series: int, at: int, buckets: list[Bucket]) -> None:
        if not buckets:  # no value was finite
            return
        found = self._connection.execute(f"SELECT data FROM {table} WHERE series = ? AND at = ?", (series, at)).fetchone()
        if found is not None:
            buckets = pick(unpack(found[0]), buckets)
        query = f"INSERT INTO {table} (series, at, data) VALUES (?, ?, ?) ON CONFLICT (series, at) DO UPDATE SET data = excluded.data"
        self._connection.execute(query, (series, at, pack(buckets)))

    def _prune(self, series: int, now: float, kept: Kept) -> None:
        """A little more than comes in the same time: a clock that is wrong for an hour must not cost a year."""
        for table, width, seconds in (("rollup_minute", HOUR, kept.minutes), ("rollup_hour", DAY, kept.hours)):
            oldest = f"SELECT id FROM {table} WHERE series = ? AND at < ? ORDER BY at LIMIT {MOST_PRUNED}"
            self._connection.execute(f"DELETE FROM {table} WHERE id IN ({oldest})", (series, now - seconds - width))

    def _find_next(self, end: float, now: float) -> float:
        """The hour after this one; after a long time without the daemon the first that has samples."""
        if end + HOUR > now:
            return end
        query = """
            SELECT min(at) FROM (SELECT max(at, :end) AS at FROM sample_chunk WHERE until >= :end AND at <= :now
            UNION ALL SELECT max(at, :end) FROM sample_head WHERE at <= :now)"""
        first = self._connection.execute(query, {"end": end, "now": now}).fetchone()[0]
        return _hour_of(now if first is None else first)

    def _load(self) -> float:
        found = self._connection.execute("SELECT value FROM setting WHERE key = ?", (ROLLED,)).fetchone()
        if found is None:  # a new record, or one of a version that had no rollups
            found = self._connection.execute(
                "SELECT min(at) FROM (SELECT at FROM sample_chunk UNION ALL SELECT at FROM sample_head)"
            ).fetchone()
        if found[0] is None:  # no sample has come yet
            self._is_blocked = True
            return 0.0
        self._until = _hour_of(float(found[0]))
        done = self._connection.execute("SELECT value FROM setting WHERE key = ?", (DONE,)).fetchone()
        self._done = int(done[0]) if done else 0
        return self._until

    def _save(self, until: float) -> None:
        self._write(ROLLED, until)
        self._write(DONE, 0)
        self._until, self._done = until, 0

    def _write(self, key: str, value: float) -> None:
        query = "INSERT INTO setting (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        self._connection.execute(query, (key, str(value)))


def _hour_of(at: float) -> float:
    return at // HOUR * HOUR
