"""Every series by the hour (or by the minute), read series after series, so that memory does not grow with their number.

What is rolled up comes from the rollups, what is not yet from the samples, as in `Record.buckets`; but what has not been folded lies in
one place for all series, and is read once.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from model_watchdog.chunks import read_rows, unpack_head
from model_watchdog.record import Record
from model_watchdog.report.period import MINUTES_UP_TO, MOMENT, MOMENTS_UP_TO, Period
from model_watchdog.rollups import DAY, HOUR, MINUTE, Bucket, pick, roll_up, unpack


@dataclass(frozen=True, slots=True)
class Measured:
    """A series with its buckets, each `width` seconds wide, oldest first: those that begin within the period."""

    metric: str
    labels: dict[str, str]
    width: int
    buckets: list[Bucket]
    number: int = 0


class Reading:
    """Of one record and one period."""

    def __init__(self, record: Record, period: Period) -> None:
        self._record, self._period = record, period
        self._last, head = record.head()  # at one moment: what is folded meanwhile is not seen twice
        self._rolled = float(record.setting("rolled_until") or 0.0)
        self._head = _sort_head(head)
        first = self._find_first()
        self.began = max(period.since, first) if first is not None else period.until
        span = period.until - self.began
        has_samples = span <= MOMENTS_UP_TO and self._reach_of_samples() <= self.began
        self.width = MOMENT if has_samples else MINUTE if span <= MINUTES_UP_TO else HOUR

    def __iter__(self) -> Iterator[Measured]:
        """In the order of their names; those without a sample in the period are left out."""
        known = self._record.series_numbers()
        for number in sorted(known, key=lambda one: (known[one][0], sorted(known[one][1].items()))):
            buckets = self._read(number)
            if buckets:
                yield Measured(*known[number], self.width, buckets, number)

    def read_minutes(self, measured: Measured, bucket: Bucket) -> list[Bucket]:
        """What an hour of a series was like by the minute; nothing where minutes are kept no longer, or it was read so already."""
        if measured.width < HOUR:
            return []
        rows = self._record.rows("SELECT data FROM rollup_minute WHERE series = ? AND at = ?", measured.number, bucket.at)
        made = [minute for row in rows for minute in unpack(row["data"], with_bins=False)]
        is_fresh = bucket.at + HOUR > self._rolled
        until = min(bucket.at + HOUR, self._period.until)
        samples = self._read_samples(measured.number, float(bucket.at), until) if is_fresh else []
        return pick(made, roll_up(samples, MINUTE))

    def _read(self, number: int) -> list[Bucket]:
        since, until, width = self._period.since, self._period.until, self.width
        begin = -(-since // width) * width  # a bucket belongs to the period in which it begins
        made, fresh = list[Bucket](), float(begin)
        if width >= MINUTE:
            table, span = ("rollup_hour", DAY) if width == HOUR else ("rollup_minute", HOUR)
            rolled = self._record.rows(f"SELECT data FROM {table} WHERE series = ? AND at > ? AND at < ?", number, begin - span, until)
            made, fresh = [bucket for row in rolled for bucket in unpack(row["data"])], max(begin, self._rolled)
        samples = self._read_samples(number, fresh, until) if until > fresh else []
        return [bucket for bucket in pick(made, roll_up(samples, width)) if begin <= bucket.at < until]

    def _read_samples(self, number: int, begin: float, until: float) -> list[tuple[float, float]]:
        query = "SELECT at, data FROM sample_chunk WHERE series = ? AND at < ? AND until >= ? AND id <= ?"
        rows = self._record.rows(query, number, until, begin, self._last)
        samples = read_rows([(False, row["at"], row["data"]) for row in rows], number, begin, until)
        samples += [sample for sample in self._head.get(number, ()) if begin <= sample[0] < until]
        return sorted(samples, key=lambda sample: sample[0])

    def _reach_of_samples(self) -> float:
        """When the oldest of the samples that are still there was measured; nothing was rolled up and thrown away since."""
        oldest = self._record.rows(
            "SELECT min(at) AS at FROM (SELECT min(at) AS at FROM sample_chunk UNION ALL SELECT min(at) FROM sample_head)"
        )
        at: float | None = oldest[0]["at"]
        return float("inf") if at is None else at

    def _find_first(self) -> float | None:
        """When the oldest of what the record has was measured, to the hour; None where it has nothing."""
        parts = [f"SELECT min(at) AS at FROM {table}" for table in ("rollup_hour", "rollup_minute", "sample_chunk", "sample_head")]
        first: float | None = self._record.rows(f"SELECT min(at) AS at FROM ({' UNION ALL '.join(parts[1:])})")[0]["at"]
        if first is None or first > self._period.since:  # by the day, and so only where nothing finer is older
            days = self._record.rows(parts[0])[0]["at"]
            first = days if first is None or (days is not None and days // DAY < first // DAY) else first
        return first


def _sort_head(rows: list[dict[str, Any]]) -> dict[int, list[tuple[float, float]]]:
    found: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        at, data = row["at"], row["data"]
        for number, offset, value in zip(*unpack_head(data), strict=True):
            found[number].append((at + offset / 1000, value))
    return found
