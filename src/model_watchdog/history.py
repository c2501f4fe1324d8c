"""Samples in the record: every one at full rate, for as long as `record.raw` says.

What arrives is appended as it comes, one row for all series (`sample_head`): one page is written, however many series there
are. Once enough has come together it is folded into one row for each series (`sample_chunk`), so that the history of one
series is read without touching the others. Both steps are small: a few milliseconds, in a transaction each.

A sample keeps all that is known of its time: each row has the wall time and the steady time of its first sample and the boot
they belong to. Samples of a chunk share one difference between the two clocks, so the time of each follows.
"""

import sqlite3
from itertools import pairwise

from model_watchdog.chunks import pack_chunk, pack_head, unpack_head, write_labels
from model_watchdog.core.sample import SeriesId
from model_watchdog.rolling import Rolling
from model_watchdog.rollups import Kept
from model_watchdog.writes import SampleBatch

FOLD_SAMPLES = 20_000
FOLD_ROWS = 360
"""So many samples or rows in the head are folded."""
LEAST_PRUNED = 200
"""So many old chunks go with each fold, or twice as many as came where that is more: less is never left than before."""
SWEEP_FOLDS = 1000
"""Series that have no samples any more are forgotten once in so many folds, which is a few days."""

Key = tuple[int, float, int, int]
"""Boot, difference of the clocks, series, and which 25 days of the boot: what is between two samples of a chunk must fit into 32 bits."""


class History:
    """Writes samples through the record's one connection. What it knows of the tables it can forget and look up again."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._folds = 0
        self.rolling = Rolling(connection)
        self.forget()

    def forget(self) -> None:
        """After a transaction that was rolled back: what is remembered of the tables may not be so."""
        self._numbers: dict[SeriesId, int] = {}
        self._boots: dict[str, int] = {}
        self._waiting: tuple[int, int] | None = None  # rows and samples in the head
        self.rolling.forget()

    def append(self, batch: SampleBatch) -> None:
        """Adds samples to the head, within the caller's transaction."""
        first = min(batch.times)
        offsets = [round((time - first) * 1000) for time in batch.times]
        numbers = [self._numbers.get(series) or self._number(series) for series in batch.series]
        row = (self._boot(batch.boot), first + batch.difference, first, len(numbers), pack_head(numbers, offsets, batch.values))
        rows, samples = self._count()
        self._connection.execute("INSERT INTO sample_head (boot, at, mono, count, data) VALUES (?, ?, ?, ?, ?)", row)
        self._waiting = rows + 1, samples + len(numbers)

    def is_due(self) -> bool:
        """There is enough to be folded. Known after an `append`."""
        rows, samples = self._waiting or (0, 0)
        return rows >= FOLD_ROWS or samples >= FOLD_SAMPLES

    def has_work(self, now: float) -> bool:
        """There is enough to be folded, or an hour is over."""
        return self.is_due() or self.rolling.is_due(now)

    def work(self, now: float, kept: Kept) -> None:
        """The next small step of what there is to do. In a transaction."""
        if self.is_due():
            self.fold(now, kept)
        else:
            self.rolling.step(now, kept)

    def fold(self, now: float, kept: Kept) -> None:
        """Folds what is oldest in the head, and takes out chunks that are too old at `now` (wall time). In a transaction."""
        last, taken, chunks = 0, 0, dict[Key, tuple[list[int], list[float]]]()
        query = "SELECT id, boot, at, mono, count, data FROM sample_head ORDER BY id LIMIT ?"
        for id_, boot, at, mono, count, data in self._connection.execute(query, (FOLD_ROWS,)):
            if taken and taken + count > FOLD_SAMPLES:
                break
            last, taken = id_, taken + count
            _unfold(chunks, boot, at, mono, data)
        rows = [_chunk_row(key, times, values) for key, (times, values) in chunks.items()]
        self._connection.executemany("INSERT INTO sample_chunk (series, boot, at, until, mono, data) VALUES (?, ?, ?, ?, ?, ?)", rows)
        self._connection.execute("DELETE FROM sample_head WHERE id <= ?", (last,))
        self._prune(now, kept.raw, max(LEAST_PRUNED, 2 * len(rows)))
        self._waiting = None
        self.rolling.look_again()
        self._sweep()

    def _prune(self, now: float, kept: float, most: int) -> None:
        """Of the `most` oldest chunks those that are too old, or of a time that has not come: the clock was wrong then."""
        oldest = "id IN (SELECT id FROM sample_chunk ORDER BY id LIMIT ?)"
        old = min(now - kept, self.rolling.until)
        self._connection.execute(f"DELETE FROM sample_chunk WHERE {oldest} AND (until < ? OR at > ?)", (most, old, now + kept))

    def _sweep(self) -> None:
        self._folds += 1
        if self._folds % SWEEP_FOLDS or self._count() != (0, 0):
            return
        used = " UNION ".join(f"SELECT series FROM {table}" for table in ("sample_chunk", "rollup_minute", "rollup_hour"))
        self._connection.execute(f"DELETE FROM series WHERE id NOT IN ({used})")
        self._numbers.clear()

    def _count(self) -> tuple[int, int]:
        if self._waiting is None:
            rows, samples = self._connection.execute("SELECT count(*), coalesce(sum(count), 0) FROM sample_head").fetchone()
            self._waiting = rows, samples
        return self._waiting

    def _number(self, series: SeriesId) -> int:
        texts = (series.metric, write_labels(dict(series.labels)))
        written = tuple(text.encode(errors="replace").decode() for text in texts)  # one that is no Unicode costs no other its samples
        self._connection.execute("INSERT OR IGNORE INTO series (metric, labels) VALUES (?, ?)", written)
        number: int = self._connection.execute("SELECT id FROM series WHERE metric = ? AND labels = ?", written).fetchone()[0]
        self._numbers[series] = number
        return number

    def _boot(self, boot: str) -> int:
        if boot not in self._boots:
            self._connection.execute("INSERT OR IGNORE INTO boot (boot_id) VALUES (?)", (boot,))
            self._boots[boot] = self._connection.execute("SELECT id FROM boot WHERE boot_id = ?", (boot,)).fetchone()[0]
        return self._boots[boot]


def _unfold(chunks: dict[Key, tuple[list[int], list[float]]], boot: int, at: float, mono: float, data: bytes) -> None:
    """Sorts the samples of one row of the head into the chunks of their series. Steady times become milliseconds."""
    difference, first = round(at - mono, 3), round(mono * 1000)
    for number, offset, value in zip(*unpack_head(data), strict=True):
        key = boot, difference, number, first >> 31
        chunk = chunks.get(key)
        if chunk is None:
            chunk = chunks[key] = ([], [])
        chunk[0].append(first + offset)
        chunk[1].append(value)


def _chunk_row(key: Key, times: list[int], values: list[float]) -> tuple[int, int, float, float, float, bytes]:
    boot, difference, number, _ = key
    if any(after < before for before, after in pairwise(times)):  # an old batch that could be written only after a new one
        order = sorted(range(len(times)), key=times.__getitem__)
        times, values = [times[place] for place in order], [values[place] for place in order]
    first, last = times[0] / 1000, times[-1] / 1000
    return number, boot, first + difference, last + difference, first, pack_chunk(times, values)
