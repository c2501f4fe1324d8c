"""A series by the minute and by the hour: how many samples, their extremes, sum and last, and a sketch of how they are distributed.

A sketch is DDSketch's (Masson, Rim, Lee, VLDB 2019): of each value the number of its bin, which is its logarithm, rounded, so that a
quantile is off by at most `ACCURACY` of itself; two sketches are merged by adding their counts. The number of a bin is made here as the
library `ddsketch` makes it, so that the daemon need not load that: it only writes them. `sketch` reads them, through the library.
"""

import math
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

MINUTE, HOUR, DAY = 60, 3600, 86_400
ACCURACY = 0.01
"""A quantile's greatest error, as a share of it."""
ZERO = 0
"""The bin of what is 0, or nearer to it than a float can tell."""
_MIDDLE = 50_000  # bins of positive values are numbered around it, those of negative ones around its negative: no float goes beyond
_SCALE = 1 / math.log1p(2 * ACCURACY / (1 - ACCURACY)) * math.log(2)
_SMALLEST = 2.2250738585072014e-308 * (1 + ACCURACY) / (1 - ACCURACY)
_HEAD = struct.Struct("<II")


@dataclass(frozen=True, slots=True)
class Kept:
    """For how many seconds samples, and what is made of them by the minute and by the hour, are kept."""

    raw: float = float(DAY)
    minutes: float = 30.0 * DAY
    hours: float = 400.0 * DAY


@dataclass(slots=True)
class Bucket:
    """The samples of one minute or hour, which begins `at`. Values that are not finite are left out."""

    at: int
    count: int
    least: float
    most: float
    total: float
    last: float
    bins: Mapping[int, int]

    @property
    def mean(self) -> float:
        return self.total / self.count


def find_bin(value: float) -> int:
    """The number of a finite value's bin."""
    if abs(value) <= _SMALLEST:
        return ZERO
    key = math.ceil(math.log(abs(value), 2) * _SCALE) + _MIDDLE
    return key if value > 0 else -key


def split_bin(number: int) -> tuple[int, int]:
    """The sign of a bin's values, and its key as the library has it."""
    if number == ZERO:
        return 0, 0
    return (1, number - _MIDDLE) if number > 0 else (-1, -number - _MIDDLE)


def roll_up(samples: Iterable[tuple[float, float]], width: int) -> list[Bucket]:
    """(wall time, value), oldest first, as one bucket for each `width` seconds in which there are any."""
    groups: dict[int, list[float]] = {}
    for at, value in samples:
        if math.isfinite(value):
            groups.setdefault(int(at // width) * width, []).append(value)
    return [_roll(at, values) for at, values in groups.items()]


def _roll(at: int, values: list[float]) -> Bucket:
    bins: Counter[int] = Counter()
    for value, count in Counter(values).items():
        bins[find_bin(value)] += count
    return Bucket(at, len(values), min(values), max(values), _add(values), values[-1], bins)


def _add(values: list[float]) -> float:
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):  # finite values whose sum is not
        return sum(values)


def merge(buckets: Iterable[Bucket], width: int) -> list[Bucket]:
    """Buckets, oldest first, as wider ones."""
    groups: dict[int, list[Bucket]] = {}
    for bucket in buckets:
        groups.setdefault(bucket.at // width * width, []).append(bucket)
    return [_merge(at, group) for at, group in groups.items()]


def _merge(at: int, group: list[Bucket]) -> Bucket:
    least, most = min(one.least for one in group), max(one.most for one in group)
    return Bucket(at, sum(one.count for one in group), least, most, _add([one.total for one in group]), group[-1].last, add_bins(group))


def add_bins(buckets: Iterable[Bucket]) -> dict[int, int]:
    """The sketch of all of them."""
    bins: dict[int, int] = {}
    for bucket in buckets:
        for number, count in bucket.bins.items():
            bins[number] = bins.get(number, 0) + count
    return bins


def pick(first: Iterable[Bucket], second: Iterable[Bucket]) -> list[Bucket]:
    """Of two tellings of the same minutes or hours the one that knows of more samples, oldest first."""
    best = {bucket.at: bucket for bucket in first}
    for bucket in second:
        if bucket.at not in best or bucket.count >= best[bucket.at].count:
            best[bucket.at] = bucket
    return [best[at] for at in sorted(best)]


def pack(buckets: list[Bucket]) -> bytes:
    """Column by column, which is what compresses; bins as the steps from one to the next."""
    count, keys, counts = len(buckets), list[int](), list[int]()
    for bucket in buckets:
        before = 0
        for key in sorted(bucket.bins):
            keys.append(key - before)
            counts.append(bucket.bins[key])
            before = key
    numbers = [bucket.at for bucket in buckets], [bucket.count for bucket in buckets], [len(bucket.bins) for bucket in buckets]
    columns = zip(*((one.least, one.most, one.total, one.last) for one in buckets), strict=True)
    parts = [_HEAD.pack(count, len(keys)), *(struct.pack(f"<{count}I", *column) for column in numbers)]
    parts += [struct.pack(f"<{count}d", *column) for column in columns]
    parts += [struct.pack(f"<{len(keys)}i", *keys), struct.pack(f"<{len(keys)}I", *counts)]
    return zlib.compress(b"".join(parts))


def unpack(data: bytes, *, with_bins: bool = True) -> list[Bucket]:
    """Without their bins it is quicker."""
    data = zlib.decompress(data)
    count, in_all = _HEAD.unpack_from(data)
    here = _HEAD.size
    numbers = struct.unpack_from(f"<{3 * count}I", data, here)
    here += 12 * count
    values = struct.unpack_from(f"<{4 * count}d", data, here)
    here += 32 * count
    times, counts, sizes = numbers[:count], numbers[count : 2 * count], numbers[2 * count :]
    columns = [values[place * count : (place + 1) * count] for place in range(4)]
    if not with_bins:
        return [_bucket(row, {}) for row in zip(times, counts, *columns, strict=True)]
    keys = struct.unpack_from(f"<{in_all}i", data, here)
    weights = struct.unpack_from(f"<{in_all}I", data, here + 4 * in_all)
    ends = list(accumulate(sizes, initial=0))
    sketches = [dict(zip(accumulate(keys[begin:end]), weights[begin:end], strict=True)) for begin, end in pairwise(ends)]
    return [_bucket(row, bins) for *row, bins in zip(times, counts, *columns, sketches, strict=True)]


def _bucket(row: Sequence[Any], bins: Mapping[int, int]) -> Bucket:
    at, count, least, most, total, last = row
    return Bucket(at, count, least, most, total, last, bins)
